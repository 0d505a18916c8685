/** How a config's text is to be read. The number is `ConfigType` of DescribeConfigs. Source: KIP-569. */
export const ConfigType = {
  boolean: 1,
  string: 2,
  int: 3,
  short: 4,
  long: 5,
  double: 6,
  list: 7,
  class: 8,
  password: 9,
} as const

/** A name of `ConfigType`. */
export type ConfigTypeName = keyof typeof ConfigType

/** What a text must be to be a legal value: its type, and bounds or words where there are any. */
export interface ConfigRule {
  readonly type: ConfigTypeName
  /** Smallest number, inclusive; as bigint because bounds reach 2^63. */
  readonly min?: bigint
  /** Largest number, inclusive. */
  readonly max?: bigint
  /** The only words there are; for lists, the only items. */
  readonly words?: readonly string[]
  /** What each item of a list must look like, and what to say of one that does not. */
  readonly items?: { readonly pattern: RegExp; readonly wrong: string }
}

const intMax = 2n ** 31n - 1n
const longMax = 2n ** 63n - 1n

/** The largest `long`, which stands for "never" in Kafka's configs. */
export const longMaxText = String(longMax)

/**
 * Says in a phrase what is wrong with `text` as a value under `rule`, or null if nothing is. Numbers are
 * compared as bigint, so values near 2^63 are neither rounded nor let through when they are larger.
 * The phrases are those of Kafka's `ConfigDef`.
 */
export function whatIsWrong(rule: ConfigRule, text: string): string | null {
  switch (rule.type) {
    case 'boolean':
      return /^(true|false)$/i.test(text) ? null : 'Expected value to be either true or false'
    case 'short':
    case 'int':
    case 'long':
      return whatIsWrongWithInteger(rule, text)
    case 'double': {
      const value = parseDouble(text)
      if (value === null) return 'Not a number of type DOUBLE'
      if (rule.min !== undefined && value < Number(rule.min)) return `Value must be at least ${rule.min}`
      if (rule.max !== undefined && value > Number(rule.max)) return `Value must be no more than ${rule.max}`
      return null
    }
    case 'list': {
      const items = listItems(text)
      if (rule.items !== undefined && !items.every((item) => rule.items!.pattern.test(item)))
        return rule.items.wrong
      return whatIsWrongWithWords(rule, items)
    }
    case 'string':
      return whatIsWrongWithWords(rule, [text])
    case 'class':
    case 'password':
      return null
  }
}

/** The items of a list value: comma-separated, without blanks around them; none for the empty text. */
export function listItems(text: string): readonly string[] {
  const trimmed = text.trim()
  return trimmed === '' ? [] : trimmed.split(',').map((item) => item.trim())
}

/** Whether two legal values of a type mean the same, however they are written ("+1" and "1"). */
export function sameValue(type: ConfigTypeName, a: string, b: string): boolean {
  switch (type) {
    case 'short':
    case 'int':
    case 'long':
      return BigInt(withoutPlus(a)) === BigInt(withoutPlus(b))
    case 'double':
      return parseDouble(a) === parseDouble(b)
    case 'boolean':
      return a.toLowerCase() === b.toLowerCase()
    case 'list':
      return listItems(a).join() === listItems(b).join()
    default:
      return a === b
  }
}

/** A legal integer value as a number; beyond ±(2^53 - 1) the nearest number that is exact. */
export function clampedNumber(text: string): number {
  const value = Number(text)
  return Math.max(Number.MIN_SAFE_INTEGER, Math.min(Number.MAX_SAFE_INTEGER, value))
}

function whatIsWrongWithInteger(rule: ConfigRule, text: string): string | null {
  if (!/^[+-]?\d{1,40}$/.test(text)) return `Not a number of type ${rule.type.toUpperCase()}`
  const value = BigInt(withoutPlus(text))
  const typeMax = rule.type === 'long' ? longMax : rule.type === 'int' ? intMax : 2n ** 15n - 1n
  if (value > typeMax || value < -typeMax - 1n) return `Not a number of type ${rule.type.toUpperCase()}`
  if (rule.min !== undefined && value < rule.min) return `Value must be at least ${rule.min}`
  if (rule.max !== undefined && value > rule.max) return `Value must be no more than ${rule.max}`
  return null
}

function whatIsWrongWithWords(rule: ConfigRule, items: readonly string[]): string | null {
  if (rule.words === undefined) return null
  for (const item of items) {
    if (!rule.words.includes(item)) return `String must be one of: ${rule.words.join(', ')}`
  }
  return null
}

function parseDouble(text: string): number | null {
  return /^[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?$/i.test(text) ? Number(text) : null
}

/** `BigInt` does not read a leading plus, Java does. */
function withoutPlus(text: string): string {
  return text.startsWith('+') ? text.slice(1) : text
}

import { topicDefaultNames } from '../broker/brokerConfig.ts'
import { brokerConfigSynonyms, brokerConfigTable } from '../broker/configTable.ts'
import { topicConfigTable } from '../controller/topicConfigTable.ts'
import { kafkaSetting } from './kafkaSettings.ts'
import { nearest } from './nearest.ts'
import type { Property } from './properties.ts'

/** A setting and where it was said. */
export interface Setting {
  /** As the broker spells it. */
  readonly name: string
  readonly value: string
  /** For messages: `server.properties:12`, `CORDWOOD_NODE_ID in the environment`, `--set`, `--listen`. */
  readonly origin: string
}

/** Everything that settings come from, from the weakest to the strongest. */
export interface SettingSources {
  readonly file: { readonly path: string; readonly properties: readonly Property[] } | null
  readonly environment: Readonly<Record<string, string | undefined>>
  readonly set: readonly (readonly [string, string])[]
  /** Options of their own, such as `--listen`. */
  readonly flags: readonly Setting[]
}

/** The settings that are in effect, and what is wrong with what was said. */
export interface Gathered {
  /** By name, as the broker spells it. */
  readonly settings: ReadonlyMap<string, Setting>
  /** Sentences for the log. */
  readonly warnings: readonly string[]
  /** Why a broker cannot start with them; empty when it can. */
  readonly problems: readonly string[]
}

/** Variables that begin like settings and are for something else. */
const ownVariables = /^CORDWOOD_(?:CONFIG|LOG_LEVEL|LOG_FORMAT|DEBUG|NATIVE|SEED|INTEROP|BOOTSTRAP)$/
/** Kubernetes gives these to every container beside a service that is called `cordwood` or `kafka`. */
const serviceVariables =
  /^[A-Z]+_(?:SERVICE_HOST|SERVICE_PORT(?:_\w+)?|PORT(?:_\d+_(?:TCP|UDP)(?:_(?:ADDR|PORT|PROTO))?)?)$/
/** What Kafka's scripts and its image read besides settings, and what programs call their access to a cluster. */
const kafkaVariables =
  /^KAFKA_(?:HOME|VERSION|OPTS|\w+_OPTS|LOG4J_\w+|TOOLS_\w+|JMX_\w+|DEBUG|HEAP_\w+|GC_\w+|MODE|CLUSTER_ID|SASL_(?:USER|USERNAME|PASSWORD|MECHANISM)|SSL_(?:CA|CERT|CAFILE|CERTFILE|KEYFILE)(?:_\w+)?)$/

/** Every name that the broker knows, its other spellings included. */
export const knownSettings: ReadonlySet<string> = new Set([
  ...Object.keys(brokerConfigTable),
  ...brokerConfigSynonyms.keys(),
  ...topicDefaultNames,
])

/**
 * Puts the sources together: options of their own win over `--set`, that over the environment (`CORDWOOD_…` over
 * `KAFKA_…`), that over the file. Values are not looked at, but for settings of Kafka that cordwood does not have.
 */
export function gatherSettings({ file, environment, set, flags }: SettingSources): Gathered {
  const gathering = new Gathering()
  for (const { name, value, line } of file?.properties ?? []) {
    gathering.take(name, value, `${file!.path}:${line}`, 'strict')
  }
  for (const [variable, value] of fromEnvironment(environment, 'KAFKA_')) {
    gathering.take(kafkaName(variable), value, inEnvironment(variable), 'lenient')
  }
  for (const [variable, value] of fromEnvironment(environment, 'CORDWOOD_')) {
    gathering.take(ownName(variable), value, inEnvironment(variable), 'strict')
  }
  for (const [name, value] of set) gathering.take(name, value, '--set', 'strict')
  for (const { name, value, origin } of flags) gathering.take(name, value, origin, 'strict')
  return gathering.result()
}

/** Letters that may differ from a setting's for a name to be taken for it, mistyped. */
const mostSlips = 2

class Gathering {
  readonly #settings = new Map<string, Setting>()
  readonly #warnings: string[] = []
  readonly #problems: string[] = []
  /** Names that are ignored, by the reason. */
  readonly #ignored = new Map<string, string[]>()

  take(name: string, value: string, origin: string, manner: 'strict' | 'lenient'): void {
    if (!knownSettings.has(name)) {
      this.#unknown(name, value, origin, manner)
      return
    }
    const canonical = brokerConfigSynonyms.get(name) ?? name
    const earlier = this.#settings.get(canonical)
    if (earlier !== undefined && fileOf(earlier.origin) === fileOf(origin) && earlier.origin !== origin) {
      this.#warnings.push(`${origin}: ${name} stands above already, at ${earlier.origin}; this one counts`)
    }
    this.#settings.set(canonical, { name: canonical, value, origin })
  }

  #unknown(name: string, value: string, origin: string, manner: 'strict' | 'lenient'): void {
    const kafka = kafkaSetting(name, value)
    if (kafka?.verdict === 'same') return
    // Whole families of Kafka's names are left out: what looks like one of those may be a slip in one of ours.
    const isSlip = manner === 'strict' && nearest(name, knownSettings, mostSlips) !== null
    if (kafka?.verdict === 'ignored' && !isSlip) {
      const names = this.#ignored.get(kafka.why) ?? []
      names.push(name)
      this.#ignored.set(kafka.why, names)
      return
    }
    if (kafka?.verdict === 'refused') {
      this.#problems.push(`${origin}: cordwood cannot do ${name}=${value}: ${kafka.why}`)
      return
    }
    const meant = suggestion(name)
    if (manner === 'strict') this.#problems.push(`${origin}: there is no setting "${name}"${meant}`)
    else if (meant !== '') this.#warnings.push(`${origin}: there is no setting "${name}"${meant}; left out`)
  }

  result(): Gathered {
    const ignored = [...this.#ignored].map(([why, names]) => `left out ${names.join(', ')}: ${why}`)
    return {
      settings: this.#settings,
      warnings: [...this.#warnings, ...ignored],
      problems: this.#problems,
    }
  }
}

/** Where the first setting was said that `message` names, as the beginning of a line; empty if it names none. */
export function originIn(message: string, settings: ReadonlyMap<string, Setting>): string {
  let found: Setting | null = null
  let foundAt = Number.POSITIVE_INFINITY
  for (const setting of settings.values()) {
    const at = positionOf(message, setting.name)
    if (at < 0 || at > foundAt) continue
    found = setting
    foundAt = at
  }
  return found === null ? '' : `${found.origin}: `
}

/** Where `name` stands as a whole word; -1 if nowhere. */
function positionOf(text: string, name: string): number {
  return text.search(new RegExp(`(?<![\\w.])${name.replaceAll('.', '\\.')}(?!\\w|\\.\\w)`))
}

function suggestion(name: string): string {
  const topic = topicConfigTable.get(name)?.synonyms[0]?.name
  if (topic !== undefined) return `; that is a topic's, the default of all topics is ${topic}`
  const meant = nearest(name, knownSettings)
  return meant === null ? '' : `; did you mean "${meant}"?`
}

/** What a file is called in the origins of its lines. */
function fileOf(origin: string): string {
  return origin.replace(/:\d+$/, '')
}

function inEnvironment(variable: string): string {
  return `${variable} in the environment`
}

function fromEnvironment(
  environment: SettingSources['environment'],
  prefix: string,
): readonly (readonly [string, string])[] {
  return Object.entries(environment)
    .filter(
      ([name]) =>
        name.startsWith(prefix) &&
        !ownVariables.test(name) &&
        !serviceVariables.test(name) &&
        !kafkaVariables.test(name),
    )
    .map(([name, value]) => [name, value ?? ''] as const)
    .sort(([a], [b]) => (a < b ? -1 : 1))
}

/** The setting that a variable of Kafka's image stands for: `_` is a dot, `__` is `_`, `___` is `-`. */
function kafkaName(variable: string): string {
  const marks: Readonly<Record<string, string>> = { _: '.', __: '_', ___: '-' }
  return variable
    .slice('KAFKA_'.length)
    .toLowerCase()
    .replace(/_{1,3}/g, (mark) => marks[mark]!)
}

/** The same for cordwood's variables; `CORDWOOD_FLUSH_POLICY` is `cordwood.flush.policy`. */
function ownName(variable: string): string {
  const name = variable.slice('CORDWOOD_'.length).toLowerCase().replaceAll('_', '.')
  return !knownSettings.has(name) && knownSettings.has(`cordwood.${name}`) ? `cordwood.${name}` : name
}

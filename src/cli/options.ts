import { InvalidArgumentError } from 'commander'
import type { Address } from '../runtime/network.ts'

/** The port that Kafka clients expect. */
export const defaultPort = 9092

/**
 * `HOST:PORT`, `HOST` (port 9092), `[::1]:9092` or `::1`. Throws `InvalidArgumentError`, which the command line
 * shows with the name of the option, as all parsers of this file do.
 */
export function parseAddress(text: string): Address {
  const match = /^(?:\[([^\]]+)\]|([^:[\]\s]+))(?::(\d{1,5}))?$/.exec(text)
  const host = match?.[1] ?? match?.[2]
  if (host === undefined) {
    if (/^[0-9a-fA-F:.]*::?[0-9a-fA-F:.]*$/.test(text) && text.split(':').length > 2)
      return { host: text, port: defaultPort }
    throw new InvalidArgumentError('It must be HOST:PORT, for example 127.0.0.1:9092.')
  }
  const port = match?.[3] === undefined ? defaultPort : Number(match[3])
  if (port > 65_535) throw new InvalidArgumentError('A port is at most 65535.')
  return { host, port }
}

/** `HOST:PORT` or a port alone, which means 127.0.0.1. */
export function parseMetricsAddress(text: string): Address {
  if (/^\d{1,5}$/.test(text)) return parseAddress(`127.0.0.1:${text}`)
  if (!/:\d{1,5}$/.test(text))
    throw new InvalidArgumentError('It must be HOST:PORT, for example 127.0.0.1:9100.')
  return parseAddress(text)
}

/** Addresses separated by commas: any of them is enough to find the rest of the cluster. */
export function parseAddresses(text: string): readonly Address[] {
  return text.split(',').map((part) => parseAddress(part.trim()))
}

/** `address` as text: the counterpart of `parseAddress`. */
export function formatAddress({ host, port }: Address): string {
  return host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`
}

/** A whole number from `min` to `max`, both inclusive. */
export function wholeNumber(min: number, max: number = Number.MAX_SAFE_INTEGER): (text: string) => number {
  return (text) => {
    const value = Number(text)
    if (!/^-?\d+$/.test(text) || !Number.isSafeInteger(value) || value < min || value > max) {
      const bound = max === Number.MAX_SAFE_INTEGER ? `${min} or more` : `from ${min} to ${max}`
      throw new InvalidArgumentError(`It must be a whole number, ${bound}.`)
    }
    return value
  }
}

const byteUnits: Readonly<Record<string, number>> = { '': 1, B: 1, KIB: 1024, MIB: 1024 ** 2, GIB: 1024 ** 3 }

/** A number of bytes: `65536` or `64KiB`. */
export function parseBytes(text: string): number {
  const match = /^(\d+)\s*([a-z]*)$/i.exec(text)
  const unit = match === null ? undefined : byteUnits[match[2]!.toUpperCase()]
  if (unit === undefined)
    throw new InvalidArgumentError('It must be a number of bytes, such as 65536 or 64KiB.')
  return Number(match![1]) * unit
}

/** Collects `key=value` pairs of an option that may be given several times; a value may be empty and hold "=". */
export function collectPair(
  text: string,
  earlier: readonly (readonly [string, string])[] = [],
): readonly (readonly [string, string])[] {
  const at = text.indexOf('=')
  if (at <= 0) throw new InvalidArgumentError('It must be KEY=VALUE.')
  return [...earlier, [text.slice(0, at).trim(), text.slice(at + 1)]]
}

/** Collects the values of an option that may be given several times. */
export function collect<T>(
  parse: (text: string) => T,
): (text: string, earlier?: readonly T[]) => readonly T[] {
  return (text, earlier = []) => [...earlier, parse(text)]
}

/** Milliseconds since 1970 from digits or from an ISO 8601 date, UTC unless it names a zone; null if it is neither. */
export function parseTimestamp(text: string): number | null {
  if (/^\d+$/.test(text)) return Number(text)
  if (!/^\d{4}-\d{2}(-\d{2})?/.test(text)) return null
  const zoned = /T\d{2}:\d{2}/.test(text) && !/(Z|[+-]\d{2}:?\d{2})$/i.test(text) ? `${text}Z` : text
  const ms = Date.parse(zoned)
  return Number.isNaN(ms) ? null : ms
}

/** Whole milliseconds from `5`, `500ms`, `5s` or `2m`: a bare number is seconds. */
export function parseDuration(text: string): number {
  const match = /^(\d+(?:\.\d+)?)(ms|s|m|h)?$/.exec(text)
  if (match === null) throw new InvalidArgumentError('It must be a duration, such as 500ms, 30s or 2m.')
  const unitMs = { ms: 1, s: 1000, m: 60_000, h: 3_600_000 }[match[2] ?? 's'] ?? 1000
  return Math.round(Number(match[1]) * unitMs)
}

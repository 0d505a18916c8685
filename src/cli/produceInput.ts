import { isUtf8 } from 'node:buffer'
import { UsageError } from './failure.ts'
import { parseTimestamp } from './options.ts'

/** One header of a record. Keys may repeat. */
export interface RecordHeader {
  readonly key: string
  readonly value: Uint8Array | null
}

/** A record as it comes from the input, before a partition was chosen. */
export interface InputRecord {
  readonly key: Uint8Array | null
  readonly value: Uint8Array | null
  readonly headers: readonly RecordHeader[]
  /** Milliseconds since 1970, or null for "now". */
  readonly timestampMs: number | null
  /** Or null for "by key". */
  readonly partition: number | null
}

/** How lines become records. */
export interface InputFormat {
  /** `lines`: the whole line is the value, or key and value around `keySeparator`. `json`: one object a line. */
  readonly kind: 'lines' | 'json'
  readonly keySeparator: Uint8Array | null
  /** The CSV column, from 1, that is the key; the value stays the whole line. Null for none. */
  readonly csvKeyColumn: number | null
  /** Keys and values are base64 in the input. */
  readonly base64: boolean
  /** Added to every record. */
  readonly headers: readonly RecordHeader[]
}

/** A longer line is taken for a mistake: no broker takes records of that size by default. */
const maxLineBytes = 64 * 1024 * 1024

/**
 * Cuts `chunks` at line feeds and gives the lines of each chunk together, without the line feed; a last line
 * without one counts. Bytes are not interpreted. Throws `UsageError` for a line above 64 MiB.
 */
export async function* splitLines(chunks: AsyncIterable<Uint8Array>): AsyncGenerator<readonly Uint8Array[]> {
  let rest: Uint8Array[] = []
  let restBytes = 0
  for await (const chunk of chunks) {
    const lines: Uint8Array[] = []
    let from = 0
    for (let at = chunk.indexOf(10); at >= 0; at = chunk.indexOf(10, from)) {
      const piece = chunk.subarray(from, at)
      lines.push(rest.length === 0 ? piece : Buffer.concat([...rest, piece]))
      rest = []
      restBytes = 0
      from = at + 1
    }
    if (from < chunk.length) {
      rest.push(chunk.subarray(from))
      restBytes += chunk.length - from
      if (restBytes > maxLineBytes)
        throw new UsageError('a line of the input is longer than 64 MiB; is it text?')
    }
    if (lines.length > 0) yield lines
  }
  if (rest.length > 0) yield [Buffer.concat(rest)]
}

/** The record that `line` (without its line feed) stands for. Throws `UsageError`, which the caller adds the line's number to. */
export function parseRecord(line: Uint8Array, format: InputFormat): InputRecord {
  if (format.kind === 'json') return parseJsonRecord(line, format)
  let key: Uint8Array | null = null
  let value: Uint8Array | null = line
  if (format.csvKeyColumn !== null) {
    key = csvCell(line, format.csvKeyColumn)
    if (key === null) throw new UsageError(`there is no column ${format.csvKeyColumn}`)
  } else if (format.keySeparator !== null) {
    const at = Buffer.from(line.buffer, line.byteOffset, line.length).indexOf(format.keySeparator)
    if (at >= 0) {
      key = line.subarray(0, at)
      value = line.subarray(at + format.keySeparator.length)
    }
  }
  if (format.base64) {
    key = key === null ? null : fromBase64(Buffer.from(key).toString('latin1'), 'key')
    value = fromBase64(Buffer.from(value).toString('latin1'), 'value')
  }
  return { key, value, headers: format.headers, timestampMs: null, partition: null }
}

/** Cell `column` (from 1) of a line of CSV, without its quotes; null when the line has fewer. Source: RFC 4180. */
export function csvCell(line: Uint8Array, column: number): Uint8Array | null {
  const end = line[line.length - 1] === 13 ? line.length - 1 : line.length
  let at = 0
  for (let cell = 1; ; cell++) {
    let quoted = false
    const from = at
    while (at < end && (quoted || line[at] !== 44)) {
      if (line[at] === 34) quoted = !quoted
      at += 1
    }
    if (cell === column) {
      if (line[from] !== 34) return line.subarray(from, at)
      return Buffer.from(
        Buffer.from(line.subarray(from + 1, at - 1))
          .toString('latin1')
          .replaceAll('""', '"'),
        'latin1',
      )
    }
    if (at >= end) return null
    at += 1
  }
}

function parseJsonRecord(line: Uint8Array, format: InputFormat): InputRecord {
  let parsed: unknown
  try {
    if (!isUtf8(line)) throw new SyntaxError('it is not UTF-8')
    parsed = JSON.parse(Buffer.from(line.buffer, line.byteOffset, line.length).toString())
  } catch (error) {
    throw new UsageError(`not JSON: ${(error as Error).message}`)
  }
  if (typeof parsed !== 'object' || parsed === null || Array.isArray(parsed)) {
    throw new UsageError(`it must be an object such as {"key": "k", "value": "v"}`)
  }
  const { key, value, headers, partition, timestamp } = parsed as Record<string, unknown>
  if (
    partition !== undefined &&
    partition !== null &&
    !(Number.isSafeInteger(partition) && (partition as number) >= 0)
  ) {
    throw new UsageError(`partition must be a whole number, 0 or more`)
  }
  return {
    key: jsonBytes(key, format.base64, 'key'),
    value: jsonBytes(value, format.base64, 'value'),
    headers: [...format.headers, ...jsonHeaders(headers, format.base64)],
    timestampMs: jsonTimestamp(timestamp),
    partition: (partition as number | null | undefined) ?? null,
  }
}

/** Text is taken as it is; any other JSON value becomes its JSON text; null and absence are Kafka's null. */
function jsonBytes(value: unknown, base64: boolean, name: string): Uint8Array | null {
  if (value === undefined || value === null) return null
  if (typeof value !== 'string') return Buffer.from(JSON.stringify(value))
  return base64 ? fromBase64(value, name) : Buffer.from(value)
}

/** `{"name": "value"}` or `[{"key": "name", "value": "value"}]`, the form that can repeat a name. */
function jsonHeaders(headers: unknown, base64: boolean): RecordHeader[] {
  if (headers === undefined || headers === null) return []
  if (typeof headers !== 'object') throw new UsageError(`headers must be an object or a list`)
  const pairs = Array.isArray(headers)
    ? headers.map(
        (header: { key?: unknown; value?: unknown } | null) => [header?.key, header?.value] as const,
      )
    : Object.entries(headers)
  return pairs.map(([key, value]) => {
    if (typeof key !== 'string') throw new UsageError(`a header needs a "key" that is text`)
    return { key, value: jsonBytes(value, base64, `header ${key}`) }
  })
}

function jsonTimestamp(timestamp: unknown): number | null {
  if (timestamp === undefined || timestamp === null) return null
  const ms =
    typeof timestamp === 'number' || typeof timestamp === 'string' ? parseTimestamp(String(timestamp)) : null
  if (ms === null) {
    throw new UsageError(`timestamp must be milliseconds since 1970 or an ISO 8601 date`)
  }
  return ms
}

function fromBase64(text: string, name: string): Uint8Array {
  const trimmed = text.trimEnd()
  if (!/^[A-Za-z0-9+/_-]*={0,2}$/.test(trimmed)) throw new UsageError(`the ${name} is not base64`)
  return Buffer.from(trimmed, 'base64')
}

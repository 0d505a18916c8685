import { isUtf8 } from 'node:buffer'
import { UsageError } from './failure.ts'
import type { RecordHeader } from './produceInput.ts'

/** A record as it was read, with where it was read. */
export interface ConsumedRecord {
  readonly topic: string
  readonly partition: number
  readonly offset: number
  /** Milliseconds since 1970; -1 when the record carries none. */
  readonly timestampMs: number
  readonly key: Uint8Array | null
  readonly value: Uint8Array | null
  readonly headers: readonly RecordHeader[]
}

/** Turns a record into the bytes that are printed for it, with a line feed where one belongs. */
export type RecordFormatter = (record: ConsumedRecord) => readonly (Uint8Array | string)[]

/** The fields of `--format`, with what the help says of each. */
export const formatFields = {
  k: 'key',
  v: 'value',
  t: 'topic',
  p: 'partition',
  o: 'offset',
  T: 'timestamp in milliseconds',
  h: 'headers as a=1,b=2',
  K: 'length of the key in bytes, -1 for null',
  V: 'length of the value in bytes, -1 for null',
} as const
type FormatField = keyof typeof formatFields

const escapes: Readonly<Record<string, string>> = { n: '\n', t: '\t', r: '\r', 0: '\0', '\\': '\\' }

/**
 * A formatter for text with fields such as `%k` (`formatFields`), `%%`, and escapes `\n`, `\t`, `\r`, `\0`,
 * `\\`. Keys and values are printed byte for byte, or as base64; null prints nothing. Throws `UsageError` for
 * an unknown field.
 */
export function templateFormatter(template: string, base64: boolean): RecordFormatter {
  const pieces: (string | { readonly field: FormatField })[] = []
  for (const [token, field, escaped] of template.matchAll(/%(.?)|\\(.)|[^%\\]+|\\$/gsu)) {
    if (field !== undefined && field !== '%') {
      if (!Object.hasOwn(formatFields, field)) {
        const known = Object.keys(formatFields).map((name) => `%${name}`)
        throw new UsageError(
          `the format has an unknown field "${token}"; the fields are ${known.join(' ')} %%`,
        )
      }
      pieces.push({ field: field as FormatField })
    } else {
      pieces.push(field === '%' ? '%' : escaped !== undefined ? (escapes[escaped] ?? token) : token)
    }
  }
  const bytes = (value: Uint8Array | null): Uint8Array | string => {
    if (value === null) return ''
    return base64 ? base64Of(value) : value
  }
  return (record) =>
    pieces.map((piece) => (typeof piece === 'string' ? piece : fieldOf(record, piece.field, bytes)))
}

function fieldOf(
  record: ConsumedRecord,
  field: FormatField,
  bytes: (value: Uint8Array | null) => Uint8Array | string,
): Uint8Array | string {
  switch (field) {
    case 'k':
      return bytes(record.key)
    case 'v':
      return bytes(record.value)
    case 't':
      return record.topic
    case 'p':
      return String(record.partition)
    case 'o':
      return String(record.offset)
    case 'T':
      return String(record.timestampMs)
    case 'h':
      return record.headers.map(({ key, value }) => `${key}=${textOf(value) ?? ''}`).join(',')
    case 'K':
      return String(record.key?.length ?? -1)
    case 'V':
      return String(record.value?.length ?? -1)
  }
}

/**
 * A formatter for one JSON object a line: topic, partition, offset, timestamp, key, value, headers. Bytes that
 * are not UTF-8 cannot be told in JSON text: `onLossy` is called for each such record unless `base64` is asked for.
 */
export function jsonFormatter(base64: boolean, onLossy: (record: ConsumedRecord) => void): RecordFormatter {
  return (record) => {
    const { topic, partition, offset, timestampMs, key, value, headers } = record
    let lossy = false
    const text = (bytes: Uint8Array | null): string | null => {
      if (bytes !== null && base64) return base64Of(bytes)
      if (bytes !== null && !isUtf8(bytes)) lossy = true
      return textOf(bytes)
    }
    const line = JSON.stringify({
      topic,
      partition,
      offset,
      timestamp: timestampMs,
      key: text(key),
      value: text(value),
      headers: headers.map((header) => ({ key: header.key, value: text(header.value) })),
    })
    if (lossy) onLossy(record)
    return [line, '\n']
  }
}

function base64Of(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString('base64')
}

function textOf(bytes: Uint8Array | null): string | null {
  return bytes === null ? null : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString()
}

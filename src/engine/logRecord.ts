import type { HeaderInput } from '../segment/batchWriter.ts'
import type { RecordHeader } from '../segment/records.ts'

/** A record to be appended. Text is stored as UTF-8. */
export interface RecordInput {
  readonly key?: Uint8Array | string | null | undefined
  readonly value?: Uint8Array | string | null | undefined
  /** By name, or as a list where order or repetition matters. */
  readonly headers?: Readonly<Record<string, Uint8Array | string | null>> | readonly HeaderInput[] | undefined
  /** Milliseconds since 1970. Default: now. */
  readonly timestampMs?: number | undefined
}

/**
 * A record as it was appended. `key`, `value` and the values of headers are views into memory that all records of
 * a read share: keep a copy of the one that is kept for long.
 */
export class LogRecord {
  readonly offset: number
  /** Milliseconds since 1970. */
  readonly timestampMs: number
  readonly key: Uint8Array | null
  readonly value: Uint8Array | null
  readonly headers: readonly RecordHeader[]

  constructor(
    offset: number,
    timestampMs: number,
    key: Uint8Array | null,
    value: Uint8Array | null,
    headers: readonly RecordHeader[],
  ) {
    this.offset = offset
    this.timestampMs = timestampMs
    this.key = key
    this.value = value
    this.headers = headers
  }

  /** The value as text; null when it is null. */
  text(): string | null {
    return textOf(this.value)
  }

  /** The key as text; null when it is null. */
  keyText(): string | null {
    return textOf(this.key)
  }

  /** The value parsed as JSON; null when it is null. Throws `SyntaxError` when it is something else. */
  json<T = unknown>(): T {
    const text = this.text()
    return text === null ? (null as T) : (JSON.parse(text) as T)
  }

  /** The value of the last header of this name as text; null when there is none or it is null. */
  header(name: string): string | null {
    return textOf(this.headers.findLast(({ key }) => key === name)?.value ?? null)
  }
}

function textOf(bytes: Uint8Array | null): string | null {
  return bytes === null ? null : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString()
}

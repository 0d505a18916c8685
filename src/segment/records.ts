import { EngineError } from '../model/errors.ts'
import type { Checksum } from '../runtime/checksum.ts'
import { BatchWriter } from './batchWriter.ts'
import { BatchHeader, batchHeaderBytes } from './recordBatch.ts'

/** A header of a record: a name and a value that may be null. */
export interface RecordHeader {
  readonly key: string
  readonly value: Uint8Array | null
}

/** A record to be written. */
export interface NewRecord {
  readonly key: Uint8Array | null
  readonly value: Uint8Array | null
  readonly headers?: readonly RecordHeader[]
  /** Milliseconds since 1970. */
  readonly timestampMs: number
}

/** A record as it is stored. Bytes are views into the batch. */
export interface StoredRecord {
  readonly offset: number
  readonly timestampMs: number
  readonly key: Uint8Array | null
  readonly value: Uint8Array | null
  readonly headers: readonly RecordHeader[]
}

/** A codec for the records of a batch; `id` as in the batch's attributes (1 gzip, 2 snappy, 3 lz4, 4 zstd). */
export interface BatchCompression {
  readonly id: number
  compress(bytes: Uint8Array): Uint8Array
}

/** What goes into one batch. */
export interface NewBatch {
  /** At least one. */
  readonly records: readonly NewRecord[]
  /** Default 0: the log assigns it. */
  readonly baseOffset?: number
  /** Default -1: the log assigns it. */
  readonly leaderEpoch?: number
  /** Default -1: not idempotent. */
  readonly producerId?: number
  readonly producerEpoch?: number
  readonly baseSequence?: number
  readonly isControl?: boolean
  readonly isTransactional?: boolean
  readonly compression?: BatchCompression
}

/** What the body of a batch was before compression, given the codec's id. */
export type Decompress = (codec: number, body: Uint8Array) => Uint8Array

/** Makes what a reader of records wants of one; the bytes are views into the batch, or into what it decompresses to. */
export type MakeRecord<T> = (
  offset: number,
  timestampMs: number,
  key: Uint8Array | null,
  value: Uint8Array | null,
  headers: readonly RecordHeader[],
) => T

const noHeaders: readonly RecordHeader[] = []

/** The bytes of one record batch (magic 2), checksum included. */
export function encodeBatch(batch: NewBatch, checksum: Checksum): Uint8Array {
  const writer = new BatchWriter(1024)
  writer.begin()
  for (const { key, value, timestampMs, headers } of batch.records) {
    writer.record(key, value, timestampMs, headers)
  }
  const { compression } = batch
  const flags = (batch.isTransactional === true ? 0x10 : 0) | (batch.isControl === true ? 0x20 : 0)
  const tags = {
    baseOffset: batch.baseOffset ?? 0,
    leaderEpoch: batch.leaderEpoch ?? -1,
    producerId: batch.producerId ?? -1,
    producerEpoch: batch.producerEpoch ?? -1,
    baseSequence: batch.baseSequence ?? -1,
    attributes: (compression?.id ?? 0) | flags,
  }
  return writer.end(tags, checksum, compression && ((bytes) => compression.compress(bytes)))
}

/**
 * The records of one batch. `bytes` begins with the batch and may go on after it. A compressed body needs
 * `decompress`, which is given the codec's id; without it this throws `unsupportedCompressionType`.
 * Throws `invalidRecord` for records that lie about their lengths, or that do not ascend to the last offset of the batch at most.
 */
export function* readRecords(bytes: Uint8Array, decompress?: Decompress): Generator<StoredRecord> {
  const header = new BatchHeader(bytes, 0)
  const reader = new RecordReader(bodyOf(bytes, header, decompress))
  for (let index = 0; index < header.recordsCount; index++) yield reader.record(header, asObject)
}

/** As `readRecords`, all at once and each as `make` has it. */
export function decodeRecords<T>(bytes: Uint8Array, make: MakeRecord<T>, decompress?: Decompress): T[] {
  const header = new BatchHeader(bytes, 0)
  const reader = new RecordReader(bodyOf(bytes, header, decompress))
  const records: T[] = []
  for (let index = 0; index < header.recordsCount; index++) records.push(reader.record(header, make))
  return records
}

const asObject: MakeRecord<StoredRecord> = (offset, timestampMs, key, value, headers) => ({
  offset,
  timestampMs,
  key,
  value,
  headers,
})

function bodyOf(bytes: Uint8Array, header: BatchHeader, decompress: Decompress | undefined): Uint8Array {
  const body = bytes.subarray(batchHeaderBytes, header.sizeBytes)
  if (header.codec === 0) return body
  if (decompress !== undefined) return decompress(header.codec, body)
  throw new EngineError('unsupportedCompressionType', 'a compressed batch, and nothing to decompress it with')
}

/** Reads records one after the other. */
class RecordReader {
  readonly #bytes: Uint8Array
  #at = 0
  #lastDelta = -1

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes
  }

  record<T>(header: BatchHeader, make: MakeRecord<T>): T {
    const lengthBytes = this.#varlong()
    const end = this.#at + lengthBytes
    if (lengthBytes < 0 || end > this.#bytes.length) lies()
    this.#at++ // Attributes: unused.
    const timestampDelta = this.#varlong()
    const delta = this.#varlong()
    // Compaction leaves gaps, and the order as it was.
    if (delta <= this.#lastDelta || delta > header.lastOffsetDelta) misplaced(delta)
    this.#lastDelta = delta
    const offset = header.baseOffset + delta
    const key = this.#sized()
    const value = this.#sized()
    const count = this.#varlong()
    if (count < 0 || count > end - this.#at) lies()
    const headers = count === 0 ? noHeaders : this.#headers(count)
    if (this.#at !== end) lies()
    const timestampMs = header.isLogAppendTime
      ? header.maxTimestampMs
      : header.baseTimestampMs + timestampDelta
    return make(offset, timestampMs, key, value, headers)
  }

  #headers(count: number): RecordHeader[] {
    const headers: RecordHeader[] = []
    for (let index = 0; index < count; index++) {
      const name = this.#sized() ?? lies()
      headers.push({ key: Buffer.from(name).toString(), value: this.#sized() })
    }
    return headers
  }

  #sized(): Uint8Array | null {
    const lengthBytes = this.#varlong()
    if (lengthBytes === -1) return null
    const start = this.#at
    if (lengthBytes < 0 || lengthBytes > this.#bytes.length - start) lies()
    this.#at += lengthBytes
    return this.#bytes.subarray(start, this.#at)
  }

  #varlong(): number {
    let value = 0
    for (let scale = 1, count = 0; ; scale *= 128, count++) {
      const byte = this.#bytes[this.#at++]
      if (byte === undefined || count === 10) lies()
      value += (byte & 0x7f) * scale
      if (byte < 0x80) return value % 2 === 0 ? value / 2 : -(value + 1) / 2
    }
  }
}

function lies(): never {
  throw new EngineError('invalidRecord', 'a stored record says that it is longer than its batch')
}

function misplaced(delta: number): never {
  throw new EngineError('invalidRecord', `no record of its batch can come ${delta} after the first here`)
}

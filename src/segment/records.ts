import { EngineError } from '../model/errors.ts'
import type { Checksum } from '../runtime/checksum.ts'
import { writeInt16, writeInt32, writeInt64 } from './integers.ts'
import { BatchHeader, batchHeaderBytes, batchPrefixBytes, updateChecksum } from './recordBatch.ts'

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

/** The bytes of one record batch (magic 2), checksum included. */
export function encodeBatch(batch: NewBatch, checksum: Checksum): Uint8Array {
  const { records, compression } = batch
  const first = records[0]
  if (first === undefined) throw new EngineError('invalidRecord', 'a batch needs at least one record')
  const baseTimestampMs = first.timestampMs
  let maxTimestampMs = baseTimestampMs
  const writer = new RecordWriter()
  if (compression === undefined) writer.skip(batchHeaderBytes)
  for (let index = 0; index < records.length; index++) {
    const record = records[index]!
    if (record.timestampMs > maxTimestampMs) maxTimestampMs = record.timestampMs
    writer.record(record, index, record.timestampMs - baseTimestampMs)
  }
  let bytes = writer.bytes()
  if (compression !== undefined) {
    const body = compression.compress(bytes)
    bytes = new Uint8Array(batchHeaderBytes + body.length)
    bytes.set(body, batchHeaderBytes)
  }
  const attributes =
    (compression?.id ?? 0) |
    (batch.isTransactional === true ? 0x10 : 0) |
    (batch.isControl === true ? 0x20 : 0)
  writeInt64(bytes, 0, batch.baseOffset ?? 0)
  writeInt32(bytes, 8, bytes.length - batchPrefixBytes)
  writeInt32(bytes, 12, batch.leaderEpoch ?? -1)
  bytes[16] = 2
  writeInt16(bytes, 21, attributes)
  writeInt32(bytes, 23, records.length - 1)
  writeInt64(bytes, 27, baseTimestampMs)
  writeInt64(bytes, 35, maxTimestampMs)
  writeInt64(bytes, 43, batch.producerId ?? -1)
  writeInt16(bytes, 51, batch.producerEpoch ?? -1)
  writeInt32(bytes, 53, batch.baseSequence ?? -1)
  writeInt32(bytes, 57, records.length)
  updateChecksum(bytes, checksum)
  return bytes
}

/**
 * The records of one batch. `bytes` begins with the batch and may go on after it. A compressed body needs
 * `decompress`, which is given the codec's id; without it this throws `unsupportedCompressionType`.
 * Throws `invalidRecord` for records that lie about their lengths.
 */
export function* readRecords(
  bytes: Uint8Array,
  decompress?: (codec: number, body: Uint8Array) => Uint8Array,
): Generator<StoredRecord> {
  const header = new BatchHeader(bytes, 0)
  let body = bytes.subarray(batchHeaderBytes, header.sizeBytes)
  if (header.codec !== 0) {
    if (decompress === undefined) {
      throw new EngineError(
        'unsupportedCompressionType',
        'a compressed batch, and nothing to decompress it with',
      )
    }
    body = decompress(header.codec, body)
  }
  const reader = new RecordReader(body)
  for (let index = 0; index < header.recordsCount; index++) yield reader.record(header)
}

/** Appends records to bytes that grow. */
class RecordWriter {
  #target = Buffer.allocUnsafe(1024)
  #length = 0

  skip(count: number): void {
    this.#reserve(count)
    this.#target.fill(0, this.#length, this.#length + count)
    this.#length += count
  }

  bytes(): Uint8Array {
    return new Uint8Array(this.#target.subarray(0, this.#length))
  }

  record(record: NewRecord, offsetDelta: number, timestampDelta: number): void {
    const headers = record.headers ?? []
    let bodyBytes =
      1 +
      varlongBytes(timestampDelta) +
      varlongBytes(offsetDelta) +
      sizedBytes(record.key) +
      sizedBytes(record.value) +
      varlongBytes(headers.length)
    for (const header of headers) {
      const keyBytes = Buffer.byteLength(header.key)
      bodyBytes += varlongBytes(keyBytes) + keyBytes + sizedBytes(header.value)
    }
    this.#reserve(bodyBytes + 5)
    this.#varlong(bodyBytes)
    this.#target[this.#length++] = 0
    this.#varlong(timestampDelta)
    this.#varlong(offsetDelta)
    this.#sized(record.key)
    this.#sized(record.value)
    this.#varlong(headers.length)
    for (const header of headers) {
      this.#sized(Buffer.from(header.key))
      this.#sized(header.value)
    }
  }

  #sized(bytes: Uint8Array | null): void {
    this.#varlong(bytes === null ? -1 : bytes.length)
    if (bytes === null) return
    this.#target.set(bytes, this.#length)
    this.#length += bytes.length
  }

  #varlong(value: number): void {
    let zigzag = value >= 0 ? value * 2 : -value * 2 - 1
    while (zigzag >= 0x80) {
      this.#target[this.#length++] = (zigzag % 128) | 0x80
      zigzag = Math.floor(zigzag / 128)
    }
    this.#target[this.#length++] = zigzag
  }

  #reserve(count: number): void {
    const needed = this.#length + count
    if (needed <= this.#target.length) return
    const grown = Buffer.allocUnsafe(Math.max(needed, this.#target.length * 2))
    this.#target.copy(grown, 0, 0, this.#length)
    this.#target = grown
  }
}

/** Bytes that a zigzag varint of `value` takes. */
function varlongBytes(value: number): number {
  let zigzag = value >= 0 ? value * 2 : -value * 2 - 1
  let count = 1
  while (zigzag >= 0x80) {
    zigzag = Math.floor(zigzag / 128)
    count++
  }
  return count
}

function sizedBytes(bytes: Uint8Array | null): number {
  return bytes === null ? 1 : varlongBytes(bytes.length) + bytes.length
}

/** Reads records one after the other. */
class RecordReader {
  readonly #bytes: Uint8Array
  #at = 0

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes
  }

  record(header: BatchHeader): StoredRecord {
    const lengthBytes = this.#varlong()
    const end = this.#at + lengthBytes
    if (lengthBytes < 0 || end > this.#bytes.length) lies()
    this.#at++ // Attributes: unused.
    const timestampDelta = this.#varlong()
    const offset = header.baseOffset + this.#varlong()
    const key = this.#sized()
    const value = this.#sized()
    const count = this.#varlong()
    if (count < 0 || count > end - this.#at) lies()
    const headers: RecordHeader[] = []
    for (let index = 0; index < count; index++) {
      const name = this.#sized() ?? lies()
      headers.push({ key: Buffer.from(name).toString(), value: this.#sized() })
    }
    if (this.#at !== end) lies()
    const timestampMs = header.isLogAppendTime
      ? header.maxTimestampMs
      : header.baseTimestampMs + timestampDelta
    return { offset, timestampMs, key, value, headers }
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

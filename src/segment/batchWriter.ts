import { EngineError } from '../model/errors.ts'
import type { Checksum } from '../runtime/checksum.ts'
import { writeInt16, writeInt32, writeInt64 } from './integers.ts'
import { batchHeaderBytes, batchPrefixBytes, updateChecksum } from './recordBatch.ts'

/** A key or value as a writer takes it: bytes, text that becomes UTF-8, or null. */
export type Blob = Uint8Array | string | null

/** A header of a record to be written. */
export interface HeaderInput {
  readonly key: string
  readonly value: Blob
}

/** What the header of a batch says beside its records. */
export interface BatchTags {
  readonly baseOffset: number
  readonly leaderEpoch: number
  /** -1: not idempotent. */
  readonly producerId: number
  readonly producerEpoch: number
  readonly baseSequence: number
  /** Codec id and flags, as in the batch's attributes. */
  readonly attributes: number
}

/** The tags of a batch without a producer: the log sets offset and epoch. */
export const plainTags: BatchTags = {
  baseOffset: 0,
  leaderEpoch: -1,
  producerId: -1,
  producerEpoch: -1,
  baseSequence: -1,
  attributes: 0,
}

const noHeaders: readonly HeaderInput[] = []
/** Milliseconds between a batch's first time and another one: twice as much has to be a number that is exact. */
const greatestDelta = 2 ** 52 - 1

/**
 * Writes record batches (magic 2) one after the other into memory of its own: `begin`, `record` for each, `end`. What
 * `end` returned stays as it is until `reset`, which lets the memory be used again.
 */
export class BatchWriter {
  #target: Buffer
  readonly #keptBytes: number
  /** Where the batch begins that is being written. */
  #start = 0
  #at = 0
  #count = 0
  #baseTimestampMs = 0
  #maxTimestampMs = 0

  /** Begins with `initialBytes` of memory and keeps at most `keptBytes` over a `reset`. */
  constructor(initialBytes: number, keptBytes: number = initialBytes) {
    this.#target = Buffer.allocUnsafeSlow(initialBytes)
    this.#keptBytes = keptBytes
  }

  /** Bytes written since the last `reset`, as far as they lie in the present memory. */
  get usedBytes(): number {
    return this.#at
  }

  /** Lets the memory be used again; everything that `end` returned is void. */
  reset(): void {
    if (this.#target.length > this.#keptBytes) this.#target = Buffer.allocUnsafeSlow(this.#keptBytes)
    this.#start = 0
    this.#at = 0
  }

  /** Begins a batch; one that was not ended is dropped. */
  begin(): void {
    this.#at = this.#start
    this.#reserve(batchHeaderBytes)
    this.#at += batchHeaderBytes
    this.#count = 0
  }

  /** Adds a record. Throws `malformed` for a time that is no whole number or too far from the first one, and for what is no blob or header. */
  record(key: Blob, value: Blob, timestampMs: number, headers: readonly HeaderInput[] = noHeaders): void {
    if (!Number.isSafeInteger(timestampMs)) {
      throw new EngineError('malformed', `${timestampMs} is no time in whole milliseconds`)
    }
    if (this.#count === 0) this.#baseTimestampMs = this.#maxTimestampMs = timestampMs
    else if (timestampMs > this.#maxTimestampMs) this.#maxTimestampMs = timestampMs
    const timestampDelta = timestampMs - this.#baseTimestampMs
    if (Math.abs(timestampDelta) > greatestDelta) {
      throw new EngineError('malformed', `${timestampMs} is too far from the batch's first time`)
    }
    const keyBytes = blobBytes(key)
    const valueBytes = blobBytes(value)
    let bodyBytes =
      1 +
      varlongBytes(timestampDelta) +
      varlongBytes(this.#count) +
      sizedBytes(keyBytes) +
      sizedBytes(valueBytes) +
      varlongBytes(headers.length)
    for (const header of headers) {
      if (typeof header?.key !== 'string')
        throw new EngineError('malformed', 'the key of a header is a string')
      bodyBytes += sizedBytes(Buffer.byteLength(header.key)) + sizedBytes(blobBytes(header.value))
    }
    this.#reserve(bodyBytes + 5)
    this.#varlong(bodyBytes)
    this.#target[this.#at++] = 0
    this.#varlong(timestampDelta)
    this.#varlong(this.#count)
    this.#blob(key, keyBytes)
    this.#blob(value, valueBytes)
    this.#varlong(headers.length)
    for (const header of headers) {
      this.#blob(header.key, Buffer.byteLength(header.key))
      this.#blob(header.value, blobBytes(header.value))
    }
    this.#count++
  }

  /** Bytes of the batch that is being written, so far. */
  get batchBytes(): number {
    return this.#at - this.#start
  }

  /**
   * Ends the batch and returns its bytes, checksum included. `compress` replaces what the records take by what it
   * returns. Throws `invalidRecord` for a batch without records.
   */
  end(
    tags: BatchTags,
    checksum: Pick<Checksum, 'crc32c'>,
    compress?: (records: Uint8Array) => Uint8Array,
  ): Uint8Array {
    if (this.#count === 0) throw new EngineError('invalidRecord', 'a batch needs at least one record')
    const bodyAt = this.#start + batchHeaderBytes
    if (compress !== undefined) {
      const body = compress(this.#target.subarray(bodyAt, this.#at))
      this.#at = bodyAt
      this.#reserve(body.length)
      this.#target.set(body, this.#at)
      this.#at += body.length
    }
    const start = this.#start
    const bytes = new Uint8Array(this.#target.buffer, this.#target.byteOffset + start, this.#at - start)
    this.#start = this.#at
    writeInt64(bytes, 0, tags.baseOffset)
    writeInt32(bytes, 8, bytes.length - batchPrefixBytes)
    writeInt32(bytes, 12, tags.leaderEpoch)
    bytes[16] = 2
    writeInt16(bytes, 21, tags.attributes)
    writeInt32(bytes, 23, this.#count - 1)
    writeInt64(bytes, 27, this.#baseTimestampMs)
    writeInt64(bytes, 35, this.#maxTimestampMs)
    writeInt64(bytes, 43, tags.producerId)
    writeInt16(bytes, 51, tags.producerEpoch)
    writeInt32(bytes, 53, tags.baseSequence)
    writeInt32(bytes, 57, this.#count)
    updateChecksum(bytes, checksum)
    return bytes
  }

  /** Copies a whole batch that somebody else made; it stays until `reset`. */
  copy(batch: Uint8Array): Uint8Array {
    this.#at = this.#start
    this.#reserve(batch.length)
    const bytes = this.#target.subarray(this.#at, this.#at + batch.length)
    bytes.set(batch)
    this.#at += batch.length
    this.#start = this.#at
    return bytes
  }

  #blob(blob: Blob, lengthBytes: number): void {
    this.#varlong(lengthBytes)
    if (blob === null) return
    if (typeof blob === 'string') this.#target.write(blob, this.#at, lengthBytes, 'utf8')
    else this.#target.set(blob, this.#at)
    this.#at += lengthBytes
  }

  #varlong(value: number): void {
    let zigzag = value >= 0 ? value * 2 : -value * 2 - 1
    while (zigzag >= 0x80) {
      this.#target[this.#at++] = (zigzag % 128) | 0x80
      zigzag = Math.floor(zigzag / 128)
    }
    this.#target[this.#at++] = zigzag
  }

  /** Makes room for `count` more bytes of the present batch, in new memory if need be: what was ended stays where it is. */
  #reserve(count: number): void {
    const needed = this.#at + count
    if (needed <= this.#target.length) return
    const written = this.#at - this.#start
    const grown = Buffer.allocUnsafeSlow(Math.max(this.#keptBytes, (written + count) * 2))
    this.#target.copy(grown, 0, this.#start, this.#at)
    this.#target = grown
    this.#start = 0
    this.#at = written
  }
}

/** Bytes of a blob, -1 for null. Throws `malformed` for anything that the types do not allow. */
function blobBytes(blob: Blob): number {
  if (blob === null) return -1
  if (typeof blob === 'string') return Buffer.byteLength(blob)
  if (blob instanceof Uint8Array) return blob.length
  throw new EngineError(
    'malformed',
    `a key, value or header is text, a Uint8Array or null, not ${typeof blob}`,
  )
}

/** Bytes that a length and as many bytes take. */
function sizedBytes(lengthBytes: number): number {
  return lengthBytes < 0 ? 1 : varlongBytes(lengthBytes) + lengthBytes
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

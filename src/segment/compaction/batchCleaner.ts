import { EngineError } from '../../model/errors.ts'
import type { Checksum } from '../../runtime/checksum.ts'
import type { Codecs } from '../../runtime/compute.ts'
import { writeInt16, writeInt32, writeInt64 } from '../integers.ts'
import { type BatchHeader, batchHeaderBytes, batchPrefixBytes, updateChecksum } from '../recordBatch.ts'
import { varlongBytes, writeVarlong } from '../varlong.ts'
import type { KeyMap } from './keyMap.ts'
import { RecordCursor } from './recordCursor.ts'
import type { TransactionFilter } from './transactions.ts'

const attributesAt = 21
const baseTimestampAt = 27
const maxTimestampAt = 35
const recordsCountAt = 57
const deleteHorizonBit = 0x40

/** Times beyond this many ms (36,000 years) cannot be moved to another base exactly. */
const greatestTimeMs = 2 ** 50

/** What is known of a producer that still writes; its last batch stays, if only as a header. */
export interface LastBatch {
  readonly producerId: number
  readonly producerEpoch: number
  /** Last offset of its last data batch, -1 when only a marker is known. */
  readonly lastDataOffset: number
}

/** How batches are cleaned. */
export interface CleaningRules {
  readonly keys: KeyMap
  /** Exclusive end of what `keys` knows: records from here on stay. */
  readonly mapEnd: number
  readonly nowMs: number
  readonly deleteRetentionMs: number
  /** Tombstones stay whatever their age: an earlier batch could not be read, and may hold what they delete. */
  keepTombstones: boolean
  readonly transactions: TransactionFilter
  readonly producers: ReadonlyMap<number, LastBatch>
  readonly codecs: Codecs
  readonly checksum: Checksum
  /** A body that decompresses to more is not looked into. */
  readonly maxBodyBytes: number
}

/** What becomes of a batch: it stays as it is, nothing of it stays, or these bytes take its place. */
export type Cleaned = 'stays' | 'goes' | Uint8Array

/**
 * Decides record by record what compaction keeps, as Kafka does: the latest record of each key, tombstones and markers
 * until their delete horizon, the last batch of each active producer. Offsets never change.
 * Unlike Kafka it keeps records without a key. Source: Kafka's log cleaner, KIP-534.
 */
export class BatchCleaner {
  readonly #rules: CleaningRules
  /** Batches that could not be looked into and were kept whole. */
  unreadable = 0
  recordsRead = 0
  recordsKept = 0

  constructor(rules: CleaningRules) {
    this.#rules = rules
  }

  /** What becomes of the batch; `batch` is its bytes, checked. */
  clean(header: BatchHeader, batch: Uint8Array): Cleaned {
    const { transactions, nowMs } = this.#rules
    const mayGo = transactions.mayGo(header, batch)
    const isLast = this.#isLastOfProducer(header)
    if (header.recordsCount === 0) return isLast ? 'stays' : 'goes'
    this.recordsRead += header.recordsCount
    if (header.isControl) {
      const isDue = mayGo && header.hasDeleteHorizon && header.baseTimestampMs <= nowMs
      if (isDue) return isLast ? this.#emptied(header, batch) : 'goes'
      this.recordsKept += header.recordsCount
      return mayGo && !header.hasDeleteHorizon
        ? this.#rewritten(header, batch, batchBody(header, batch), null)
        : 'stays'
    }
    if (mayGo) return isLast ? this.#emptied(header, batch) : 'goes'
    return this.#cleanRecords(header, batch, isLast)
  }

  #cleanRecords(header: BatchHeader, batch: Uint8Array, isLast: boolean): Cleaned {
    let body: Uint8Array
    let kept: Uint8Array
    let tombstones = 0
    let count = 0
    try {
      body = this.body(header, batch)
      if (Math.abs(header.baseTimestampMs) > greatestTimeMs)
        throw new EngineError('invalidTimestamp', 'not a time')
      const cursor = new RecordCursor(body)
      kept = new Uint8Array(header.recordsCount)
      for (let index = 0; index < kept.length; index++) {
        cursor.next()
        if (Math.abs(cursor.timestampDelta) > greatestTimeMs)
          throw new EngineError('invalidTimestamp', 'not a time')
        if (!this.#keeps(header, cursor)) continue
        kept[index] = 1
        count++
        if (cursor.hasKey && !cursor.hasValue) tombstones++
      }
    } catch {
      // Clients compress, and the broker does not look: what cannot be read is not ours to delete.
      this.unreadable++
      this.#rules.keepTombstones = true
      this.recordsKept += header.recordsCount
      return 'stays'
    }
    this.recordsKept += count
    if (count === 0) return isLast ? this.#emptied(header, batch) : 'goes'
    const needsHorizon = tombstones > 0 && !header.hasDeleteHorizon
    if (count === kept.length && !needsHorizon) return 'stays'
    return this.#rewritten(header, batch, body, kept, needsHorizon)
  }

  /** The records of a batch, decompressed. */
  body(header: BatchHeader, batch: Uint8Array): Uint8Array {
    const body = batchBody(header, batch)
    if (header.codec === 0) return body
    return this.#rules.codecs.decompress(header.codec, body, this.#rules.maxBodyBytes)
  }

  #keeps(header: BatchHeader, record: RecordCursor): boolean {
    const { keys, mapEnd, nowMs, keepTombstones } = this.#rules
    const offset = header.baseOffset + record.offsetDelta
    if (offset >= mapEnd || !record.hasKey) return true
    if (keys.get(record.bytes, record.keyStart, record.keyEnd) > offset) return false
    if (record.hasValue || keepTombstones) return true
    return !header.hasDeleteHorizon || nowMs < header.baseTimestampMs
  }

  #isLastOfProducer(header: BatchHeader): boolean {
    if (header.producerId < 0) return false
    const last = this.#rules.producers.get(header.producerId)
    if (last === undefined) return false
    if (last.lastDataOffset >= 0) return header.lastOffset === last.lastDataOffset
    return header.isControl && header.producerEpoch === last.producerEpoch
  }

  /** The header alone, for the sequence and epoch in it. */
  #emptied(header: BatchHeader, batch: Uint8Array): Uint8Array {
    const bytes = batch.slice(0, batchHeaderBytes)
    const { attributes } = header
    // No records, so no codec and no horizon.
    return this.#finish(
      bytes,
      attributes & ~deleteHorizonBit & ~7,
      header.maxTimestampMs,
      header.maxTimestampMs,
      0,
    )
  }

  /** The batch with the records that are `kept` (null: all). A new delete horizon takes the place of its base timestamp. */
  #rewritten(
    header: BatchHeader,
    batch: Uint8Array,
    body: Uint8Array,
    kept: Uint8Array | null,
    needsHorizon = true,
  ): Uint8Array {
    const { nowMs, deleteRetentionMs, codecs } = this.#rules
    const horizonMs = Math.min(nowMs + deleteRetentionMs, greatestTimeMs)
    const baseMs = needsHorizon ? horizonMs : header.baseTimestampMs
    const shiftMs = header.baseTimestampMs - baseMs
    // A timestamp delta may grow to ten bytes, and with it the record's length.
    const records = new Uint8Array(body.length + (needsHorizon ? header.recordsCount * 14 : 0))
    const cursor = new RecordCursor(body)
    let at = 0
    let count = 0
    let maxTimestampMs = -1
    for (let index = 0; index < header.recordsCount; index++) {
      cursor.next()
      if (kept !== null && kept[index] === 0) continue
      count++
      maxTimestampMs = Math.max(maxTimestampMs, header.baseTimestampMs + cursor.timestampDelta)
      at = needsHorizon
        ? shifted(cursor, cursor.timestampDelta + shiftMs, records, at)
        : copied(cursor, records, at)
    }
    const plain = records.subarray(0, at)
    const stored = header.codec === 0 ? plain : codecs.compress(header.codec, plain)
    const bytes = new Uint8Array(batchHeaderBytes + stored.length)
    bytes.set(batch.subarray(0, batchHeaderBytes))
    bytes.set(stored, batchHeaderBytes)
    const attributes = needsHorizon ? header.attributes | deleteHorizonBit : header.attributes
    const newestMs = header.isLogAppendTime ? header.maxTimestampMs : maxTimestampMs
    return this.#finish(bytes, attributes, baseMs, newestMs, count)
  }

  #finish(bytes: Uint8Array, attributes: number, baseMs: number, maxMs: number, count: number): Uint8Array {
    writeInt32(bytes, 8, bytes.length - batchPrefixBytes)
    writeInt16(bytes, attributesAt, attributes)
    writeInt64(bytes, baseTimestampAt, baseMs)
    writeInt64(bytes, maxTimestampAt, maxMs)
    writeInt32(bytes, recordsCountAt, count)
    updateChecksum(bytes, this.#rules.checksum)
    return bytes
  }
}

function batchBody(header: BatchHeader, batch: Uint8Array): Uint8Array {
  return batch.subarray(batchHeaderBytes, header.sizeBytes)
}

/** Copies a record; returns where it ends. */
function copied(record: RecordCursor, target: Uint8Array, at: number): number {
  target.set(record.bytes.subarray(record.start, record.end), at)
  return at + record.end - record.start
}

/** Copies a record with another timestamp delta; returns where it ends. */
function shifted(record: RecordCursor, timestampDelta: number, target: Uint8Array, at: number): number {
  const rest = record.bytes.subarray(record.restStart, record.end)
  at = writeVarlong(target, at, 1 + varlongBytes(timestampDelta) + rest.length)
  target[at++] = 0
  at = writeVarlong(target, at, timestampDelta)
  target.set(rest, at)
  return at + rest.length
}

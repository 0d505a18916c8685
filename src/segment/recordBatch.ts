import { EngineError } from '../model/errors.ts'
import type { Checksum } from '../runtime/checksum.ts'
import {
  readInt16,
  readInt32,
  readInt64,
  readUint32,
  writeInt16,
  writeInt32,
  writeInt64,
} from './integers.ts'
import { walkRecords } from './recordWalk.ts'

/** Bytes of a batch before its records. Source: KIP-98, record batch v2. */
export const batchHeaderBytes = 61
/** Bytes of a batch that `batchLength` does not count: the base offset and the length itself. */
export const batchPrefixBytes = 12
/** First byte that the checksum covers: base offset, length, epoch and magic can be set without a new one. */
export const checksummedFrom = 21

const leaderEpochAt = 12
const magicAt = 16
const crcAt = 17
const attributesAt = 21
const maxTimestampAt = 35

const codecMask = 0x07
const logAppendTimeBit = 0x08
const transactionalBit = 0x10
const controlBit = 0x20
const deleteHorizonBit = 0x40

/** The header of one record batch (magic 2), decoded. Offsets are inclusive; timestamps are ms since 1970, -1 for none. */
export class BatchHeader {
  readonly baseOffset: number
  /** Bytes of the whole batch, prefix included. */
  readonly sizeBytes: number
  readonly partitionLeaderEpoch: number
  readonly magic: number
  /** CRC-32C of everything from byte 21 on. */
  readonly crc: number
  readonly attributes: number
  readonly lastOffsetDelta: number
  readonly baseTimestampMs: number
  readonly maxTimestampMs: number
  /** -1 when the producer is not idempotent. */
  readonly producerId: number
  readonly producerEpoch: number
  readonly baseSequence: number
  readonly recordsCount: number

  /** Decodes the 61 bytes at `at`, unchecked; the caller has made sure that they are there. */
  constructor(bytes: Uint8Array, at: number) {
    this.baseOffset = readInt64(bytes, at)
    this.sizeBytes = readInt32(bytes, at + 8) + batchPrefixBytes
    this.partitionLeaderEpoch = readInt32(bytes, at + leaderEpochAt)
    this.magic = (bytes[at + magicAt]! << 24) >> 24
    this.crc = readUint32(bytes, at + crcAt)
    this.attributes = readInt16(bytes, at + attributesAt)
    this.lastOffsetDelta = readInt32(bytes, at + 23)
    this.baseTimestampMs = readInt64(bytes, at + 27)
    this.maxTimestampMs = readInt64(bytes, at + maxTimestampAt)
    this.producerId = readInt64(bytes, at + 43)
    this.producerEpoch = readInt16(bytes, at + 51)
    this.baseSequence = readInt32(bytes, at + 53)
    this.recordsCount = readInt32(bytes, at + 57)
  }

  /** Offset of the last record, inclusive. */
  get lastOffset(): number {
    return this.baseOffset + this.lastOffsetDelta
  }

  /** Sequence of the last record; sequences wrap from 2^31 - 1 to 0. -1 when there is none. */
  get lastSequence(): number {
    return this.baseSequence < 0 ? -1 : sequenceAfter(this.baseSequence, this.lastOffsetDelta)
  }

  /** Codec id: 0 none, 1 gzip, 2 snappy, 3 lz4, 4 zstd. */
  get codec(): number {
    return this.attributes & codecMask
  }

  /** Whether the broker set the time: every record then has `maxTimestampMs`. */
  get isLogAppendTime(): boolean {
    return (this.attributes & logAppendTimeBit) !== 0
  }

  get isTransactional(): boolean {
    return (this.attributes & transactionalBit) !== 0
  }

  /** Whether the batch holds a marker of the engine that no application sees. */
  get isControl(): boolean {
    return (this.attributes & controlBit) !== 0
  }

  /** Whether `baseTimestampMs` is the delete horizon that compaction left there. */
  get hasDeleteHorizon(): boolean {
    return (this.attributes & deleteHorizonBit) !== 0
  }
}

/** The sequence `delta` after `sequence`, wrapping from 2^31 - 1 to 0. */
export function sequenceAfter(sequence: number, delta: number): number {
  const sum = sequence + delta
  return sum > 0x7fff_ffff ? sum - 0x8000_0000 : sum
}

/** The checksum that a batch carries, unsigned. */
export function readCrc(bytes: Uint8Array): number {
  return readUint32(bytes, crcAt)
}

/** Who made a batch: clients may not write control records. */
export type BatchOrigin = 'client' | 'broker'

/**
 * Checks one whole batch as it came from a producer and returns its header: length, magic, checksum, counts,
 * and, unless compressed, every record. Corrects a `maxTimestamp` that is not the records' maximum (in place,
 * with a new checksum), as Kafka does; nothing is decompressed.
 * Throws `corruptMessage` (length, checksum), `invalidRecord` (not exactly one batch of magic 2, counts or
 * records that lie), `unsupportedCompressionType`, `invalidTimestamp` (beyond ±2^53).
 */
export function checkBatch(
  bytes: Uint8Array,
  checksum: Checksum,
  origin: BatchOrigin = 'client',
): BatchHeader {
  if (bytes.length < batchHeaderBytes) {
    const code = bytes.length === 0 ? 'invalidRecord' : 'corruptMessage'
    throw new EngineError(
      code,
      `a record batch takes at least ${batchHeaderBytes} bytes, not ${bytes.length}`,
    )
  }
  const header = new BatchHeader(bytes, 0)
  checkMagic(header.magic)
  if (header.sizeBytes < batchHeaderBytes || header.sizeBytes > bytes.length) {
    throw new EngineError('corruptMessage', `batch of ${bytes.length} bytes says it has ${header.sizeBytes}`)
  }
  if (header.sizeBytes < bytes.length) {
    throw new EngineError('invalidRecord', 'a produce request carries exactly one record batch per partition')
  }
  if (checksum.crc32c(bytes.subarray(checksummedFrom)) !== header.crc) {
    throw new EngineError('corruptMessage', 'the checksum of a record batch does not match its bytes')
  }
  checkHeader(header, origin)
  if (header.codec !== 0) return header
  const maxTimestampMs = walkRecords(bytes, batchHeaderBytes, header)
  if (header.isLogAppendTime || maxTimestampMs === header.maxTimestampMs) return header
  writeInt64(bytes, maxTimestampAt, maxTimestampMs)
  updateChecksum(bytes, checksum)
  return new BatchHeader(bytes, 0)
}

function checkMagic(magic: number): void {
  if (magic === 2) return
  if (magic === 0 || magic === 1) {
    throw new EngineError('invalidRecord', `message format ${magic} is not supported; use record batches (2)`)
  }
  throw new EngineError('corruptMessage', `there is no message format ${magic}`)
}

function checkHeader(header: BatchHeader, origin: BatchOrigin): void {
  const { recordsCount, lastOffsetDelta, producerId } = header
  if (recordsCount <= 0 || recordsCount !== lastOffsetDelta + 1) {
    throw new EngineError(
      'invalidRecord',
      `a batch of ${recordsCount} records cannot end ${lastOffsetDelta} after its first`,
    )
  }
  if (header.codec > 4) throw new EngineError('unsupportedCompressionType', `no codec has id ${header.codec}`)
  if (header.isControl && origin === 'client') {
    throw new EngineError('invalidRecord', 'clients may not write control records')
  }
  if (!Number.isSafeInteger(producerId) || producerId < -1) {
    throw new EngineError('invalidRecord', `${producerId} is no producer id`)
  }
  // Control batches carry no sequence: their producer epoch alone matters.
  if (producerId >= 0 && !header.isControl && (header.baseSequence < 0 || header.producerEpoch < 0)) {
    throw new EngineError('invalidRecord', 'an idempotent producer must send an epoch and a sequence')
  }
  if (!Number.isSafeInteger(header.baseTimestampMs) || !Number.isSafeInteger(header.maxTimestampMs)) {
    throw new EngineError('invalidTimestamp', 'timestamps beyond 2^53 ms are not supported')
  }
}

/** Sets the base offset in place; the checksum does not cover it. */
export function setBaseOffset(bytes: Uint8Array, baseOffset: number): void {
  writeInt64(bytes, 0, baseOffset)
}

/** Sets the partition leader epoch in place; the checksum does not cover it. */
export function setPartitionLeaderEpoch(bytes: Uint8Array, leaderEpoch: number): void {
  writeInt32(bytes, leaderEpochAt, leaderEpoch)
}

/** Marks the batch as timed by the broker: `maxTimestamp`, the timestamp type bit and a new checksum, in place. */
export function setLogAppendTime(bytes: Uint8Array, timestampMs: number, checksum: Checksum): void {
  writeInt64(bytes, maxTimestampAt, timestampMs)
  writeInt16(bytes, attributesAt, readInt16(bytes, attributesAt) | logAppendTimeBit)
  updateChecksum(bytes, checksum)
}

/** Writes the checksum that the batch's bytes need. */
export function updateChecksum(bytes: Uint8Array, checksum: Pick<Checksum, 'crc32c'>): void {
  writeInt32(bytes, crcAt, checksum.crc32c(bytes.subarray(checksummedFrom)))
}

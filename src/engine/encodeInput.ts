import { EngineError } from '../model/errors.ts'
import type { Checksum } from '../runtime/checksum.ts'
import type { Codecs } from '../runtime/compute.ts'
import type { Runtime } from '../runtime/runtime.ts'
import { BatchWriter, type HeaderInput, plainTags } from '../segment/batchWriter.ts'
import { type BatchHeader, batchHeaderBytes } from '../segment/recordBatch.ts'
import { haveKeys, walkRecords } from '../segment/recordWalk.ts'
import type { RecordInput } from './logRecord.ts'
import type { Compression, ResolvedSettings } from './logSettings.ts'

/** What an append takes: records, which become one batch, or one batch that is ready. */
export type AppendInput = RecordInput | readonly RecordInput[] | Uint8Array

/** Bytes of records, before compression, that one append may have: what a reader of them has to hold. */
export const maxBatchBytes = 64 << 20

const codecIds: Readonly<Record<Compression, number>> = { none: 0, gzip: 1, snappy: 2, lz4: 3, zstd: 4 }

/**
 * The bytes of the batch that `input` becomes, in memory of `writer`. Throws `messageTooLarge`, `invalidRecord` for no
 * records, `malformed` for what is no record, `unsupportedCompressionType`.
 */
export function encodeInput(
  input: AppendInput,
  settings: ResolvedSettings,
  writer: BatchWriter,
  runtime: Runtime,
  codecs: Codecs,
): Uint8Array {
  const { compression, config } = settings
  const codec = codecIds[compression]
  const mostBytes = codec === 0 ? config.maxMessageBytes : maxBatchBytes
  const needsKeys = config.cleanupPolicy.compact
  if (input instanceof Uint8Array) {
    checkLength(input.length, config.maxMessageBytes)
    return writer.copy(input)
  }
  const nowMs = runtime.clock.wallMs()
  writer.begin()
  if (isList(input)) {
    for (let index = 0; index < input.length; index++) {
      if (needsKeys) checkKey(input[index]?.key)
      writeRecord(writer, input[index], nowMs)
      checkLength(writer.batchBytes, mostBytes)
    }
  } else {
    if (needsKeys) checkKey(input?.key)
    writeRecord(writer, input, nowMs)
    checkLength(writer.batchBytes, mostBytes)
  }
  if (codec === 0) return writer.end(plainTags, runtime.checksum)
  const tags = { ...plainTags, attributes: codec }
  return writer.end(tags, runtime.checksum, (records) => codecs.compress(codec, records))
}

/** What makes a batch repeatable: a log takes each sequence of a producer once, in order. Source: KIP-98. */
export interface ProducerTags {
  /** Who writes: a whole number that no other producer of the log has. */
  readonly id: number
  /** Goes up by one when the producer starts anew with sequence 0; batches of earlier epochs are refused. Default 0. */
  readonly epoch?: number
  /** Number of the first record: 0, then that of the last one plus one. */
  readonly sequence: number
}

/** What `encodeRecords` may be told. */
export interface EncodeOptions {
  readonly compression?: Compression
  readonly producer?: ProducerTags
}

/** One batch of `records`, ready to be appended, in memory of its own. Throws as `encodeInput`. */
export function encodeReady(
  records: readonly RecordInput[],
  { compression = 'none', producer }: EncodeOptions,
  { nowMs, checksum, codecs }: { nowMs: number; checksum: Pick<Checksum, 'crc32c'>; codecs: Codecs },
): Uint8Array {
  const codec = codecIds[compression]
  const writer = new BatchWriter(1024)
  writer.begin()
  if (!Array.isArray(records)) throw new EngineError('malformed', 'records are a list of objects')
  for (const record of records as readonly RecordInput[]) {
    writeRecord(writer, record, nowMs)
    checkLength(writer.batchBytes, maxBatchBytes)
  }
  const idempotent = producer && {
    producerId: producer.id,
    producerEpoch: producer.epoch ?? 0,
    baseSequence: producer.sequence,
  }
  const tags = { ...plainTags, attributes: codec, ...idempotent }
  return writer.end(tags, checksum, codec === 0 ? undefined : (bytes) => codecs.compress(codec, bytes))
}

function writeRecord(writer: BatchWriter, record: RecordInput | undefined, nowMs: number): void {
  if (typeof record !== 'object' || record === null) {
    throw new EngineError('malformed', 'a record is an object such as { key, value }')
  }
  const { key = null, value = null, headers, timestampMs = nowMs } = record
  // Without either it is more likely something else than a record.
  if (key === null && value === null) checkIsRecord(record)
  if (headers === undefined) writer.record(key, value, timestampMs)
  else writer.record(key, value, timestampMs, listOf(headers))
}

function checkIsRecord(record: object): void {
  const isOther = [Array, Map, Set, ArrayBuffer].some((type) => record instanceof type)
  if (!isOther && !ArrayBuffer.isView(record)) return
  throw new EngineError('malformed', 'a record is an object such as { key, value }, and not a list of bytes')
}

/** Throws `invalidRecord` for a key that is none: compaction could not tell what the record replaces. */
export function checkKey(key: unknown): void {
  if (key === null || key === undefined) refuseWithoutKey()
}

function refuseWithoutKey(): never {
  throw new EngineError('invalidRecord', 'a log that is compacted takes no records without a key')
}

/**
 * Throws `invalidRecord` when a ready batch does not hold what its header says, or with `needsKeys` a record without a key, and
 * `corruptMessage` when it cannot be decompressed. `checkBatch` looks into those that are not compressed.
 */
export function checkReady(batch: Uint8Array, header: BatchHeader, needsKeys: boolean, codecs: Codecs): void {
  let records = batch.subarray(batchHeaderBytes)
  if (header.codec !== 0) {
    records = codecs.decompress(header.codec, records, maxBatchBytes)
    walkRecords(records, 0, header)
  }
  if (needsKeys && !haveKeys(records, 0, header.recordsCount)) refuseWithoutKey()
}

function listOf(headers: NonNullable<RecordInput['headers']>): readonly HeaderInput[] {
  if (Array.isArray(headers)) return headers as readonly HeaderInput[]
  if (typeof headers !== 'object' || headers === null || headers instanceof Map || headers instanceof Set) {
    throw new EngineError('malformed', 'headers are an object, or a list of objects such as { key, value }')
  }
  return Object.entries(headers).map(([key, value]) => ({ key, value }))
}

function checkLength(lengthBytes: number, mostBytes: number): void {
  if (lengthBytes <= mostBytes) return
  throw new EngineError('messageTooLarge', `an append of more than ${mostBytes} bytes; make it several`)
}

function isList(input: RecordInput | readonly RecordInput[]): input is readonly RecordInput[] {
  return Array.isArray(input)
}

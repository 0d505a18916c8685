import { gunzipSync, gzipSync } from 'node:zlib'
import { expect } from 'vitest'
import { EngineError } from '../../../src/model/errors.ts'
import { type Codecs, inlineCompute } from '../../../src/runtime/compute.ts'
import type { DiskFile } from '../../../src/runtime/disk.ts'
import type { Runtime } from '../../../src/runtime/runtime.ts'
import type { Compacted } from '../../../src/segment/compaction/compactLog.ts'
import type { Log, LogConfig } from '../../../src/segment/log.ts'
import type { LogState } from '../../../src/segment/logState.ts'
import { BatchHeader, checkBatch } from '../../../src/segment/recordBatch.ts'
import { encodeBatch, type NewBatch, readRecords, type StoredRecord } from '../../../src/segment/records.ts'
import { tasks } from '../../../src/segment/tasks.ts'
import { WriteGroup } from '../../../src/segment/writeGroup.ts'
import { instantPace } from '../../../src/testing/diskPace.ts'
import { SimClock } from '../../../src/testing/simClock.ts'
import { SimFileSystem } from '../../../src/testing/simFileSystem.ts'
import { createSimRuntime, type SimRuntime } from '../../../src/testing/simRuntime.ts'
import { runtime as portable, testConfig } from '../support.ts'

/** Codec 1 is gzip; 4 is there to be missing. */
export const codecs: Codecs = {
  compress: (codec, body) => (codec === 1 ? gzipSync(body, { level: 1 }) : missing()),
  decompress: (codec, body) => (codec === 1 ? gunzipSync(body) : missing()),
}

function missing(): never {
  throw new EngineError('unsupportedCompressionType', 'not here')
}

/** A runtime whose files are simulated, whose tasks run in this thread and whose clock stands still. */
export function compactingRuntime(fs: SimFileSystem = new SimFileSystem(), wallMs?: number): SimRuntime {
  const runtime = createSimRuntime(fs, { clock: new SimClock(wallMs), pace: instantPace })
  const { disk, checksum } = runtime
  return { ...runtime, compute: inlineCompute(tasks, { disk, checksum, codecs }) }
}

/** Many small segments, compacted at once. */
export const compactConfig: LogConfig = {
  ...testConfig,
  segmentBytes: 600,
  deleteRetentionMs: 1000,
  flush: 'batch',
  cleanupPolicy: { delete: false, compact: true },
}

/** A record as tests name it; a value of null is a tombstone. */
export interface Entry {
  readonly key: string | null
  readonly value: string | null
}

/** The bytes of a batch. */
export function keyedBatch(
  entries: readonly Entry[],
  timestampMs: number,
  more: Partial<NewBatch> & { readonly gzip?: boolean } = {},
): Uint8Array {
  const records = entries.map(({ key, value }, index) => ({
    key: key === null ? null : Buffer.from(key),
    value: value === null ? null : Buffer.from(value),
    timestampMs: timestampMs + index,
    headers: index % 2 === 0 ? [] : [{ key: 'h', value: Buffer.from(String(index)) }],
  }))
  const { gzip = false, ...rest } = more
  const compression = { id: 1, compress: (body: Uint8Array) => codecs.compress(1, body) }
  return encodeBatch({ records, ...rest, ...(gzip ? { compression } : {}) }, portable.checksum)
}

/** The marker that ends a transaction. */
export function markerBatch(producerId: number, kind: 'abort' | 'commit', timestampMs: number): Uint8Array {
  const record = {
    key: Buffer.from([0, 0, 0, kind === 'commit' ? 1 : 0]),
    value: Buffer.alloc(6),
    timestampMs,
  }
  const flags = { isControl: true, isTransactional: true }
  return encodeBatch({ records: [record], producerId, producerEpoch: 0, ...flags }, portable.checksum)
}

/** Appends a batch and waits until it is stored; returns its base offset. */
export async function appendBatch(log: Log, runtime: Runtime, bytes: Uint8Array, epoch = 0): Promise<number> {
  const group = new WriteGroup(runtime.disk)
  const { baseOffset } = log.append(checkBatch(bytes, runtime.checksum, 'broker'), bytes, epoch, group)
  await group.submit()
  await log.whenFlushed(log.logEndOffset)
  return baseOffset
}

/** Compacts all that may be, with room for few keys unless more is said. */
export async function compactAll(
  log: Log,
  maxMapBytes = 1 << 20,
  endOffset = log.flushedOffset,
): Promise<Compacted | null> {
  await log.prepareCheckpoint()
  await stateOf(log).sealer.idle()
  return log.compact({ endOffset, maxMapBytes, maxBodyBytes: 1 << 20 })
}

/** The inside of a log. */
export function stateOf(log: Log): LogState {
  return (log as unknown as { readonly state: LogState }).state
}

/** A batch as it is in a segment. */
export interface FoundBatch {
  readonly header: BatchHeader
  readonly records: readonly StoredRecord[]
}

/** Every batch in the log's files, with offsets that continue and checksums that are right. */
export async function filesOf(log: Log, runtime: Runtime): Promise<FoundBatch[]> {
  const found: FoundBatch[] = []
  for (const { file, baseOffset, sizeBytes } of stateOf(log).segments.all) {
    if (sizeBytes === 0) continue
    const bytes = await runtime.disk.readFile(file.path)
    expect(bytes.length).toBe(sizeBytes)
    expect(found.length === 0 ? baseOffset : found.at(-1)!.header.lastOffset + 1).toBe(baseOffset)
    for (let at = 0; at < bytes.length; ) {
      const header = new BatchHeader(bytes, at)
      const batch = bytes.subarray(at, at + header.sizeBytes)
      expect(runtime.checksum.crc32c(batch.subarray(21))).toBe(header.crc)
      if (at > 0) expect(header.baseOffset).toBe(found.at(-1)!.header.lastOffset + 1)
      found.push({
        header,
        records: [...readRecords(batch, (codec, body) => codecs.decompress(codec, body, 1e6))],
      })
      at += header.sizeBytes
    }
  }
  return found
}

/** What a consumer that begins at the start gets: records that are no markers and in no aborted transaction. */
export function committed(batches: readonly FoundBatch[]): StoredRecord[] {
  const open = new Map<number, StoredRecord[]>()
  const found: StoredRecord[] = []
  for (const { header, records } of batches) {
    if (header.isControl) {
      const key = records[0]?.key
      if (key && key[3] === 1) found.push(...(open.get(header.producerId) ?? []))
      open.delete(header.producerId)
    } else if (header.isTransactional) {
      open.set(header.producerId, [...(open.get(header.producerId) ?? []), ...records])
    } else found.push(...records)
  }
  return found.sort((left, right) => left.offset - right.offset)
}

/** The latest value of each key; null for a tombstone. */
export function foldOf(records: readonly StoredRecord[]): Map<string, string | null> {
  const latest = new Map<string, string | null>()
  for (const { key, value } of records) {
    if (key !== null)
      latest.set(Buffer.from(key).toString(), value === null ? null : Buffer.from(value).toString())
  }
  return latest
}

/** Every record from `offset` on, as a client gets it: by reads that each go on after the batch before. */
export async function readThrough(log: Log, runtime: Runtime, offset: number): Promise<StoredRecord[]> {
  const records: StoredRecord[] = []
  for (let next = offset; next < log.flushedOffset; ) {
    const found = await log.read(next, 500, log.flushedOffset, true)
    const { file, position, lengthBytes } = found!.ranges[0]!
    const bytes = new Uint8Array(lengthBytes)
    expect(await (file as DiskFile).read(bytes, position)).toBe(lengthBytes)
    const before = records.length
    for (let at = 0; at < bytes.length; ) {
      const batch = bytes.subarray(at)
      const header = checkBatchHeader(batch, runtime)
      for (const record of readRecords(batch, (codec, body) => codecs.decompress(codec, body, 1e6))) {
        if (record.offset >= next) records.push(record)
      }
      at += header.sizeBytes
      next = header.lastOffset + 1
    }
    // Some clients take an answer without records for the end of the log.
    if (records.length === before) expect(next).toBe(log.flushedOffset)
  }
  return records
}

function checkBatchHeader(batch: Uint8Array, runtime: Runtime): BatchHeader {
  const header = new BatchHeader(batch, 0)
  expect(runtime.checksum.crc32c(batch.subarray(21, header.sizeBytes))).toBe(header.crc)
  return header
}

import { EngineError, toEngineError } from '../model/errors.ts'
import type { Runtime } from '../runtime/runtime.ts'
import { BatchHeader, batchHeaderBytes, checkBatch } from '../segment/recordBatch.ts'
import { readRecords } from '../segment/records.ts'
import type { CommittedOffset, GroupMetadata, OffsetsRecord } from './offsetsRecords.ts'
import type { OffsetsReign } from './offsetsReign.ts'
import { decodeOffsetsRecord } from './recordFormat.ts'

const readBytes = 1024 * 1024

/** What an offsets log says of one group. */
export interface LoadedGroup {
  metadata: GroupMetadata | null
  readonly offsets: Map<string, Map<number, CommittedOffset>>
}

/** What an offsets log says, and how large it is. */
export interface LoadedOffsets {
  readonly groups: Map<string, LoadedGroup>
  /** Bytes of batches in the log. */
  readonly sizeBytes: number
}

/** Is told of a record that could not be read; `offset` is its own or its batch's first. */
export type ReportDamage = (offset: number, error: EngineError) => void

/**
 * Reads what earlier reigns have left in an offsets log, below `endOffset`: the last record of each key counts, tombstones remove. What is
 * damaged is reported and left out; types that this release does not know are passed over. Rejects when the log cannot be
 * read at all, or not be told apart into batches, and when the reign is over.
 */
export async function loadOffsets(
  runtime: Runtime,
  log: OffsetsReign,
  endOffset: number,
  report: ReportDamage,
): Promise<LoadedOffsets> {
  const groups = new Map<string, LoadedGroup>()
  let sizeBytes = 0
  let offset = log.logStartOffset
  while (offset < endOffset) {
    const bytes = await readFrom(log, offset, endOffset)
    if (bytes === null) {
      // What is live was written again behind what has gone; of what has gone half may have been read.
      groups.clear()
      sizeBytes = 0
      offset = log.logStartOffset
      continue
    }
    let nextOffset = offset
    for (let at = 0; at < bytes.length; ) {
      const batch = batchAt(bytes, at, nextOffset)
      at += batch.length
      const header = new BatchHeader(batch, 0)
      const records = readBatch(runtime, batch, header, log.logStartOffset, report)
      if (records !== null && !continues(header, nextOffset, log.logStartOffset)) throw lost(nextOffset)
      for (const record of records ?? []) apply(groups, record)
      // Of a damaged batch nothing can be believed; only at the end of a read there is nothing better.
      if (records !== null || at === bytes.length) nextOffset = header.lastOffset + 1
    }
    if (nextOffset <= offset || nextOffset > endOffset) throw lost(offset)
    offset = nextOffset
    sizeBytes += bytes.length
  }
  for (const [groupId, group] of groups) {
    if (group.metadata === null && group.offsets.size === 0) groups.delete(groupId)
  }
  return { groups, sizeBytes }
}

/** What is to be read next; null when the log begins later by now, since somebody has shortened it. */
async function readFrom(log: OffsetsReign, offset: number, endOffset: number): Promise<Uint8Array | null> {
  try {
    const bytes = await log.read(offset, endOffset, readBytes)
    return log.logStartOffset > offset ? null : bytes
  } catch (error) {
    if (log.logStartOffset > offset) return null
    throw error
  }
}

/** Whether a batch belongs at `offset`. No checksum covers its base offset. Compaction leaves gaps, never overlaps. */
function continues(header: BatchHeader, offset: number, logStartOffset: number): boolean {
  return header.lastOffset >= offset && header.baseOffset >= (offset === logStartOffset ? 0 : offset)
}

function batchAt(bytes: Uint8Array, at: number, offset: number): Uint8Array {
  if (bytes.length - at < batchHeaderBytes) throw lost(offset)
  const { sizeBytes } = new BatchHeader(bytes, at)
  if (sizeBytes < batchHeaderBytes || sizeBytes > bytes.length - at) throw lost(offset)
  return bytes.subarray(at, at + sizeBytes)
}

function lost(offset: number): EngineError {
  return new EngineError(
    'corruptLog',
    `nobody can say where the batches of the offsets log from ${offset} on end`,
  )
}

/** The records of a batch, none for control batches; null when the batch is damaged. */
function readBatch(
  runtime: Runtime,
  batch: Uint8Array,
  header: BatchHeader,
  startOffset: number,
  report: ReportDamage,
): OffsetsRecord[] | null {
  const records: OffsetsRecord[] = []
  try {
    checkBatch(batch, runtime.checksum, 'broker')
    if (header.isControl) return records
    for (const { offset, key, value } of readRecords(batch)) {
      if (offset < startOffset || key === null) continue
      try {
        const record = decodeOffsetsRecord(key, value)
        if (record !== null) records.push(record)
      } catch (cause) {
        report(offset, toEngineError(cause, 'malformed', 'a record of the offsets log cannot be read'))
      }
    }
    return records
  } catch (cause) {
    report(header.baseOffset, toEngineError(cause, 'corruptLog', 'a batch of the offsets log cannot be read'))
    return null
  }
}

function apply(groups: Map<string, LoadedGroup>, record: OffsetsRecord): void {
  let group = groups.get(record.groupId)
  if (group === undefined) {
    group = { metadata: null, offsets: new Map() }
    groups.set(record.groupId, group)
  }
  if (record.type === 'group') {
    group.metadata = record.value
    return
  }
  const partitions = group.offsets.get(record.topic)
  if (record.value === null) {
    partitions?.delete(record.partition)
    if (partitions?.size === 0) group.offsets.delete(record.topic)
  } else if (partitions === undefined) {
    group.offsets.set(record.topic, new Map([[record.partition, record.value]]))
  } else partitions.set(record.partition, record.value)
}

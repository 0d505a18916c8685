import { CorruptionError, EngineError } from '../model/errors.ts'
import type { Checksum } from '../runtime/checksum.ts'
import { walkHeaders } from './batchScan.ts'
import { readWhole } from './largeBatch.ts'
import type { BatchHeader } from './recordBatch.ts'
import { readRecords } from './records.ts'
import type { Segment } from './segment.ts'
import { isTrue, type SegmentIndexes } from './segmentIndexes.ts'

/** A record found by its time. */
export interface TimestampOffset {
  readonly offset: number
  readonly timestampMs: number
  readonly leaderEpoch: number
}

/** The part of a log that lookups see. */
export interface TimestampView {
  readonly segments: readonly Segment[]
  readonly logStartOffset: number
  /** Exclusive. */
  readonly endOffset: number
  readableBytes(segment: Segment): number
  indexes(segment: Segment): Promise<SegmentIndexes>
  /** Makes them again from the batches. */
  rebuild(segment: Segment): Promise<SegmentIndexes>
  largestTimestamp(segment: Segment): Promise<number>
  readonly checksum: Checksum
  /** Takes note of what is damaged in a segment. */
  findDamage(segment: Segment): Promise<void>
  readonly decompress: ((codec: number, body: Uint8Array) => Uint8Array) | undefined
}

/**
 * The first record at or after `logStartOffset` with a timestamp of at least `timestampMs`; null when there is
 * none below `endOffset`. Source: KIP-33, KIP-79.
 */
export async function offsetForTimestamp(
  view: TimestampView,
  timestampMs: number,
): Promise<TimestampOffset | null> {
  for (const segment of view.segments) {
    if ((await view.largestTimestamp(segment)) < timestampMs) continue
    let indexes = await view.indexes(segment)
    let entry = indexes.timeIndex.entryFor(timestampMs)
    const isFile = segment.offsetIndex === null
    if (isFile && entry !== null && !(await isTrue(segment, indexes, entry))) {
      // Nothing in the file tells that a time in it is another one; the batch that it stands for does.
      indexes = await view.rebuild(segment)
      entry = indexes.timeIndex.entryFor(timestampMs)
    }
    const startRelative = Math.max(view.logStartOffset - segment.baseOffset, 0)
    const from = indexes.offsetIndex.positionFor(Math.max(entry?.relativeOffset ?? 0, startRelative))
    const found = await firstMatch(view, segment, from, (time) => time >= timestampMs, timestampMs)
    if (found !== null) return found
  }
  return null
}

/** The earliest record that has the greatest timestamp of the log; null for an empty log. Source: KIP-734. */
export async function latestTimestamp(view: TimestampView): Promise<TimestampOffset | null> {
  let best: Segment | null = null
  let greatest = -1
  for (const segment of view.segments) {
    const timestampMs = await view.largestTimestamp(segment)
    if (timestampMs > greatest) {
      greatest = timestampMs
      best = segment
    }
  }
  if (best === null) return null
  // What is not flushed yet may be newer: then the greatest among the flushed ones has to be looked for.
  const found = await offsetForTimestamp({ ...view, segments: [best] }, greatest)
  return found ?? scanForLatest(view)
}

async function scanForLatest(view: TimestampView): Promise<TimestampOffset | null> {
  let greatest = -1
  for (const segment of view.segments) {
    await walkHeaders(segment.file, 0, view.readableBytes(segment), (header) => {
      const counts = header.recordsCount > 0 && header.lastOffset >= view.logStartOffset
      if (counts && header.maxTimestampMs > greatest) greatest = header.maxTimestampMs
      return true
    })
  }
  return greatest < 0 ? null : offsetForTimestamp(view, greatest)
}

async function firstMatch(
  view: TimestampView,
  segment: Segment,
  from: number,
  matches: (timestampMs: number) => boolean,
  timestampMs: number,
): Promise<TimestampOffset | null> {
  const end = view.readableBytes(segment)
  let position = from
  while (position < end) {
    let candidate: BatchHeader | null = null
    await walkHeaders(segment.file, position, end, (header, at) => {
      position = at + header.sizeBytes
      if (header.lastOffset < view.logStartOffset || header.maxTimestampMs < timestampMs) return true
      candidate = header
      return false
    })
    if (candidate === null) return null
    const found = await searchBatch(view, segment, position, candidate, matches)
    if (found !== null) return found
  }
  return null
}

/** Looks inside one batch, which ends at `end`. */
async function searchBatch(
  view: TimestampView,
  segment: Segment,
  end: number,
  header: BatchHeader,
  matches: (timestampMs: number) => boolean,
): Promise<TimestampOffset | null> {
  // Compaction left nothing of it but a header.
  if (header.recordsCount === 0) return null
  const leaderEpoch = header.partitionLeaderEpoch
  const { decompress } = view
  const firstOffset = Math.max(header.baseOffset, view.logStartOffset)
  const whole = { offset: firstOffset, timestampMs: header.maxTimestampMs, leaderEpoch }
  if (header.isLogAppendTime || (header.codec !== 0 && decompress === undefined)) return whole
  const position = end - header.sizeBytes
  const { bytes, found } = await readWhole(
    segment.file,
    position,
    header.sizeBytes,
    header.crc,
    view.checksum,
  )
  if (bytes === null) {
    await view.findDamage(segment)
    const [expected, instead] = [`checksum ${header.crc}`, `checksum ${found}`]
    throw new CorruptionError({ file: segment.file.path, position, expected, found: instead })
  }
  try {
    for (const record of readRecords(bytes, decompress)) {
      if (record.offset < view.logStartOffset || !matches(record.timestampMs)) continue
      return { offset: record.offset, timestampMs: record.timestampMs, leaderEpoch }
    }
  } catch (error) {
    // What is inside was never looked at, so it may be too large, or not what it says: the batch's start stands for it.
    if (header.codec !== 0 && error instanceof EngineError) return whole
    throw error
  }
  return null
}

import { CorruptionError } from '../model/errors.ts'
import { anyBatches, type BatchBounds } from '../model/fileRange.ts'
import { corruptionOf } from './badRanges.ts'
import type { LogState } from './logState.ts'
import type { ReadResult } from './logTypes.ts'
import { findDamage, mayHaveGaps } from './mendChecks.ts'
import { type BatchRange, findRange } from './rangeSearch.ts'
import { asDamaged, isUnreadable } from './readingAround.ts'
import { OtherSegmentError } from './sameSegment.ts'
import type { Segment } from './segment.ts'
import type { TimestampView } from './timestampLookup.ts'

/** `Log.read`. */
export function readLog(
  state: LogState,
  offset: number,
  maxBytes: number,
  endOffset: number,
  minOneBatch: boolean,
): ReadResult | null | Promise<ReadResult | null> {
  if (state.offline !== null) throw state.offline
  if (offset < state.logStartOffset || offset > state.logEndOffset) state.outOfRange(offset)
  const end = Math.min(endOffset, state.flush.flushedOffset)
  if (offset >= end) return null
  const index = state.segments.indexFor(offset)
  const segment = state.segments.all[index]!
  const readableBytes = state.flush.readableBytes(segment)
  if (segment === state.segments.active) {
    const recent = state.recent
    const first = recent.indexOf(offset)
    if (first >= 0) {
      const position = recent.position(first, segment.sizeBytes)
      const firstBytes = recent.position(first + 1, segment.sizeBytes) - position
      if (firstBytes > maxBytes && !minOneBatch) return null
      let stop = recentEnd(state, end, readableBytes)
      const limit = position + Math.max(maxBytes, firstBytes)
      if (limit < stop) stop = recent.boundaryFor(limit)
      return rangeOf(state, segment, position, stop, recent.baseOffset(first))
    }
  }
  return readFile(state, index, offset, maxBytes, end, minOneBatch)
}

/** Where to stop reading the active segment so that no batch from `end` on is included. */
function recentEnd(state: LogState, end: number, readableBytes: number): number {
  if (end >= state.flush.flushedOffset) return readableBytes
  const recent = state.recent
  const last = recent.indexOf(end)
  const index = recent.baseOffset(last) < end ? last + 1 : last
  return recent.position(index, readableBytes)
}

async function readFile(
  state: LogState,
  index: number,
  offset: number,
  maxBytes: number,
  end: number,
  minOneBatch: boolean,
): Promise<ReadResult | null> {
  const segments = state.segments
  const segment = segments.all[index]!
  const readableBytes = state.flush.readableBytes(segment)
  // An end inside this segment has to be found among its batches.
  const endInside = end < Math.min(state.endOffsetOf(index), state.flush.flushedOffset) ? end : null
  const epochFor = (at: number): number => state.epochs.epochFor(at)
  const file = asDamaged(segment.file, state.badRanges)
  const query = { file, offset, maxBytes, minOneBatch, readableBytes, epochFor, endOffset: endInside }
  let range: BatchRange | null
  try {
    range = await findRange(segment, segments, query)
  } catch (error) {
    // Retention was faster.
    if (offset < state.logStartOffset) state.outOfRange(offset)
    if (segment.isReplaced) return readLog(state, offset, maxBytes, end, minOneBatch)
    noteExchanged(state, segment, error)
    if (isUnreadable(error)) tellUnreadable(state, segment, readableBytes)
    throw error
  }
  // Compaction was faster: what was read may be half of the old segment's, half of the new one's.
  if (segment.isReplaced) return readLog(state, offset, maxBytes, end, minOneBatch)
  if (range?.isEmpty) {
    const next = segments.all[segments.all.indexOf(segment) + 1]?.baseOffset ?? end
    if (next > offset && next < end) return readLog(state, next, maxBytes, end, minOneBatch)
  }
  if (range === null) return null
  if (range.firstOffset > offset && !mayHaveGaps(state, range.firstOffset - 1)) {
    // No checksum covers the offset of a batch.
    const wrong = { expected: `offset ${offset}`, found: `offset ${range.firstOffset}` }
    throw new CorruptionError({ file: segment.file.path, position: range.position, ...wrong })
  }
  return rangeOf(state, segment, range.position, range.end, range.firstOffset)
}

/** Throws `CorruptionError` when it is known that something of the segment cannot be read, and is no more than that. */
function tellUnreadable({ badRanges }: LogState, { file }: Segment, readableBytes: number): void {
  badRanges.onUnreadable?.(file.path)
  const bad = badRanges.unreadableIn(file.path, 0, readableBytes)
  if (bad !== null) throw corruptionOf(bad)
}

/** Nothing of an exchanged file is served. */
function noteExchanged(state: LogState, segment: Segment, error: unknown): void {
  const index = state.segments.all.indexOf(segment)
  if (!(error instanceof OtherSegmentError) || index < 0) return
  const { file, baseOffset } = segment
  const nextOffset = Math.min(state.endOffsetOf(index), state.flush.flushedOffset)
  const end = state.flush.readableBytes(segment)
  state.badRanges.add({ ...error.corruption, file: file.path, position: 0, end, baseOffset, nextOffset })
}

/** The part of a log that lookups by time see. */
export function timestampView(state: LogState): TimestampView {
  const segments = state.segments
  return {
    segments: [...segments.all],
    logStartOffset: state.logStartOffset,
    endOffset: state.flush.flushedOffset,
    readableBytes: (segment) => state.flush.readableBytes(segment),
    indexes: (segment) => segments.indexes(segment),
    rebuild: (segment) => segments.rebuild(segment),
    largestTimestamp: (segment) => segments.largestTimestamp(segment),
    checksum: state.runtime.checksum,
    findDamage: (segment) => findDamage(state, segment.baseOffset),
    decompress: state.options.decompress,
  }
}

/** Good batches only: what lies before known damage. Throws `CorruptionError` when that is nothing. */
function rangeOf(
  state: LogState,
  segment: Segment,
  position: number,
  end: number,
  firstOffset: number,
): ReadResult {
  const lengthBytes = state.badRanges.readableEnd(segment.file.path, position, end) - position
  const bounds = boundsFrom(state, segment, firstOffset)
  return { ranges: [{ file: segment.file, position, lengthBytes, bounds }], lengthBytes, firstOffset }
}

/** What is known of the batches from `firstOffset` on, to the end of their segment. */
function boundsFrom(state: LogState, segment: Segment, firstOffset: number): BatchBounds {
  const isGapless = !mayHaveGaps(state, segment.baseOffset)
  const { epochs, segments } = state
  const minEpoch = epochs.epochFor(firstOffset)
  if (minEpoch < 0) return { ...anyBatches, minOffset: firstOffset, isGapless }
  let maxEpoch = epochs.latestEpoch
  if (minEpoch < maxEpoch) {
    const next = segments.all[segments.indexFor(firstOffset) + 1]
    if (next !== undefined) maxEpoch = epochs.epochFor(next.baseOffset - 1)
  }
  return { minOffset: firstOffset, isGapless, minEpoch, maxEpoch }
}

import type { Checksum } from '../runtime/checksum.ts'
import { type ClosedLog, type ClosedPlace, closedText, isClosedLog, placeOf } from './closedLog.ts'
import { readUint32, writeInt32 } from './integers.ts'
import type { LogState } from './logState.ts'
import { type ProducerEntry, ProducerState } from './producerState.ts'
import { decodeResumeProducers, encodeResumeProducers } from './resumeProducers.ts'
import { emptyMark, type Segment, type SegmentMark } from './segment.ts'

/** A log with more producers has them in snapshot files only: recovery then begins at one of these. */
const mostProducers = 20_000

/** All that has to be known of a log at one of its offsets to go on from there without reading what lies before. */
export interface ResumePoint {
  /** Everything below it is in the log's files, durably. */
  readonly offset: number
  /** The segment that recovery would go on in. */
  readonly segmentBaseOffset: number
  readonly bytes: Uint8Array
}

/** A resume point taken apart. */
export interface ResumedLog {
  readonly closed: ClosedLog
  readonly producers: ProducerEntry[]
}

/**
 * What the log is at `flushedOffset`; null when earlier segments are not finished, or there are too many producers.
 * It may be used once everything below it has been synced.
 */
export function captureResume(state: LogState): ResumePoint | null {
  const { flush, segments, sealer, producers, options } = state
  const offset = flush.flushedOffset
  if (producers.count > mostProducers || state.offline !== null) return null
  const [first] = flush.pending
  let active: Segment = segments.active
  let mark: SegmentMark = active.mark()
  if (first !== undefined) {
    active = first.startSegment
    mark = first.startMark
    // The segment was full, and has been finished meanwhile, or even compacted.
    if (state.isFinished(active)) {
      active = segments.all[segments.indexFor(offset)]!
      mark = emptyMark
    }
  }
  if (active.offsetIndex === null || active.timeIndex === null) return null
  const oldest = sealer.oldestOffset
  if (oldest !== null && oldest < active.baseOffset) return null
  const closed: ClosedLog = {
    topicId: options.topicId,
    logStartOffset: Math.min(state.logStartOffset, offset),
    logEndOffset: offset,
    leaderEpochs: state.epochs.entriesBefore(offset),
    hasProducers: false,
    segments: placesUpTo(segments.all, active, mark.sizeBytes),
    active: {
      sizeBytes: mark.sizeBytes,
      maxTimestampMs: mark.maxTimestampMs,
      offsetOfMaxTimestamp: mark.offsetOfMaxTimestamp,
      firstTimestampMs: mark.firstTimestampMs,
      bytesSinceIndexEntry: mark.bytesSinceIndexEntry,
      digest: mark.digest,
      firstDigest: mark.firstDigest,
      offsets: active.offsetIndex.summaryBefore(mark.sizeBytes),
      times: timesAt(active, mark, offset),
    },
  }
  const bytes = encode(closed, producersAt(state), state.runtime.checksum)
  return { offset, segmentBaseOffset: active.baseOffset, bytes }
}

/** What is noted of a log's segments, whether it can be gone on from there or not; none where nothing is. */
export function notedPlaces({
  resume,
  noted = [],
}: {
  readonly resume?: ResumedLog | null
  readonly noted?: readonly ClosedPlace[]
}): readonly ClosedPlace[] {
  return resume?.closed.segments ?? noted
}

/** The resume point of a log that was closed cleanly. */
export function closedResume(state: LogState, closed: ClosedLog): ResumePoint {
  const bytes = encode({ ...closed, hasProducers: false }, state.producers.entries(), state.runtime.checksum)
  return { offset: closed.logEndOffset, segmentBaseOffset: closed.segments.at(-1)![0], bytes }
}

/** Takes a resume point apart; null when it is none. */
export function decodeResume(bytes: Uint8Array, checksum: Checksum): ResumedLog | null {
  if (bytes.length < 4) return null
  const length = readUint32(bytes, 0)
  if (length > bytes.length - 4) return null
  const producers = decodeResumeProducers(bytes.subarray(4 + length), checksum)
  if (producers === null) return null
  try {
    const closed = JSON.parse(Buffer.from(bytes.subarray(4, 4 + length)).toString()) as Partial<ClosedLog>
    return isClosedLog(closed) ? { closed, producers } : null
  } catch {
    return null
  }
}

function encode(closed: ClosedLog, producers: readonly ProducerEntry[], checksum: Checksum): Uint8Array {
  const text = closedText(closed)
  const snapshot = encodeResumeProducers(producers, checksum)
  const bytes = Buffer.allocUnsafe(4 + text.length + snapshot.length)
  writeInt32(bytes, 0, text.length)
  bytes.write(text, 4, 'latin1')
  bytes.set(snapshot, 4 + text.length)
  return bytes
}

/** Base offset and size of the segments up to `active`, of which `sizeBytes` count. */
function placesUpTo(all: readonly Segment[], active: Segment, activeBytes: number): ClosedLog['segments'] {
  const places: ClosedPlace[] = []
  for (const segment of all) if (segment.baseOffset < active.baseOffset) places.push(placeOf(segment))
  places.push([active.baseOffset, activeBytes])
  return places
}

/** The time index as it would be had the segment been finished at `mark`. */
function timesAt(active: Segment, mark: SegmentMark, endOffset: number): ClosedLog['active']['times'] {
  const times = active.timeIndex!.summaryBefore(endOffset - active.baseOffset)
  if (mark.maxTimestampMs <= times.lastTimestampMs || mark.maxTimestampMs < 0) return times
  const lastRelativeOffset = mark.offsetOfMaxTimestamp - active.baseOffset
  return { count: times.count + 1, lastTimestampMs: mark.maxTimestampMs, lastRelativeOffset }
}

/** The producers as they were at `flushedOffset`: what is pending is taken back, latest first. */
function producersAt(state: LogState): readonly ProducerEntry[] {
  const { pending } = state.flush
  if (pending.length === 0) return state.producers.entries()
  const producers = new ProducerState(state.producers.entries())
  for (const each of pending.toReversed()) {
    each.restoreProducers((producerId, before) => producers.restore(producerId, before))
  }
  return producers.entries()
}

import { CorruptionError } from '../model/errors.ts'
import { planted } from '../model/planted.ts'
import type { Runtime } from '../runtime/runtime.ts'
import { walkHeaders } from './batchScan.ts'
import type { ClosedPlace } from './closedLog.ts'
import { segmentFileName } from './fileNames.ts'
import { LeaderEpochs } from './leaderEpochs.ts'
import { findSegments, type Listing, type RecoveryInput, type Unfinished } from './logFiles.ts'
import { ProducerState } from './producerState.ts'
import type { ReplayedTail } from './replayedTail.ts'
import type { ResumedLog } from './resumePoint.ts'
import { checkSameSegment, heldAt } from './sameSegment.ts'
import { Segment } from './segment.ts'

/** Where recovery begins to read a log, and what is known of all before. */
export interface ScanStart {
  /** Every segment, ascending, with the size that its file has. */
  readonly segments: Segment[]
  /** The segment that the scan begins in. */
  readonly first: number
  /** That segment as it is before the scan: its `sizeBytes` is where the scan begins. A new one with each call. */
  makeFirst(): Segment
  /** The offset of the first batch that is scanned. */
  readonly offset: number
  readonly epochs: LeaderEpochs
  /** Exclusive end of what the files must have. */
  readonly durableOffset: number
  readonly producers: ProducerState
  /** Batches of producers count from this offset on. */
  readonly producersFrom: number
  /** Segments from the resume point on that need no scan and are not finished. */
  readonly unfinished: readonly Unfinished[]
}

/** Begins at a resume point; null when the files are not such that it can be one. Throws `CorruptionError` for those of another log, and for one that is gone. */
export async function resumeStart(
  runtime: Runtime,
  input: RecoveryInput,
  listing: Listing,
  { closed, producers }: ResumedLog,
): Promise<ScanStart | null> {
  const { directory, logStartOffset } = input
  // All that it knows was deleted: segments at the new start do not continue it.
  if (closed.logEndOffset < logStartOffset) return null
  const [activeBase, knownBytes] = closed.segments.at(-1)!
  const laterOffsets = listing.segmentOffsets.filter((offset) => offset >= activeBase)
  const hasActive = laterOffsets[0] === activeBase
  if (!hasActive && knownBytes > 0) return null
  const later = await findSegments(runtime, input, laterOffsets)
  if (hasActive) await checkSameSegment(later[0]!.file, later[0]!.sizeBytes, closed)
  const earlier = closed.segments.slice(0, -1)
  const isThere = (baseOffset: number): boolean => listing.present.has(segmentFileName(baseOffset, 'log'))
  const kept = earlier.map(([baseOffset]) => baseOffset).filter(isThere)
  // With the sizes that they have now: they may have been compacted since.
  const segments = await findSegments(runtime, input, kept)
  const found = new Map(segments.map((segment) => [segment.baseOffset, segment]))
  let before: Segment | null = null
  let goneUntil = 0
  for (const [index, place] of earlier.entries()) {
    const [baseOffset] = place
    const segment = found.get(baseOffset)
    if (segment === undefined) {
      // Only what was deleted may be gone, or what compaction has brought together with the segment before.
      const endOffset = earlier[index + 1]?.[0] ?? activeBase
      const isDeleted = endOffset <= logStartOffset
      if (baseOffset < goneUntil || (isDeleted && before === null)) continue
      if (isDeleted || (before !== null && (await endOf(before)) >= endOffset)) return null
      const path = `${directory}/${segmentFileName(baseOffset, 'log')}`
      const expected = `records from offset ${baseOffset} to ${endOffset}`
      throw new CorruptionError({ file: path, position: 0, expected, found: 'no file' })
    }
    before = segment
    const held = await heldAt(segment.file, segment.sizeBytes, place)
    segment.offsetIndex = null
    segment.timeIndex = null
    segment.digest = held.digest
    segment.firstDigest = held.firstDigest
    goneUntil = held.endOffset
  }
  const first = segments.length
  const path = `${directory}/${segmentFileName(activeBase, 'log')}`
  const file = runtime.disk.file(path)
  const createdMs = later[0]?.createdMs ?? runtime.clock.wallMs()
  if (!hasActive) later.unshift(new Segment(activeBase, file, createdMs, 0, true))
  return {
    segments: [...segments, ...later],
    first,
    makeFirst: () => {
      const segment = new Segment(activeBase, file, createdMs, knownBytes, !hasActive)
      segment.resume(closed.active)
      segment.hasIndexFiles = false
      return segment
    },
    offset: closed.logEndOffset,
    epochs: new LeaderEpochs(closed.leaderEpochs),
    durableOffset: input.recoveryPoint,
    producers: new ProducerState(producers),
    producersFrom: closed.logEndOffset,
    unfinished: [],
  }
}

/** Offset after the last batch of a segment, as far as its headers can be read. */
async function endOf({ file, baseOffset, sizeBytes }: Segment): Promise<number> {
  let endOffset = baseOffset
  try {
    await walkHeaders(file, 0, sizeBytes, ({ lastOffset }) => {
      endOffset = lastOffset + 1
      return true
    })
  } catch (error) {
    if (!(error instanceof CorruptionError)) throw error
  }
  return endOffset
}

/** Gives sealed segments that were read the digests that were noted of them: good batches may be another log's. */
export async function takeDigests(
  segments: readonly Segment[],
  noted: readonly ClosedPlace[],
): Promise<void> {
  const places = new Map(noted.map((place) => [place[0], place]))
  const active = noted.at(-1)
  for (const segment of segments) {
    const place = places.get(segment.baseOffset)
    if (place === undefined) continue
    if (place === active && place[1] < segment.sizeBytes && !planted('grownSegmentAccused')) {
      // It was the active one, as a clean shutdown notes it, and has grown since: it begins as it did.
      const [, , , firstDigest = -1] = place
      if (firstDigest >= 0) segment.firstDigest = firstDigest
      continue
    }
    const { digest, firstDigest } = await heldAt(segment.file, segment.sizeBytes, place)
    if (digest < 0) continue
    segment.digest = digest
    segment.firstDigest = firstDigest
  }
}

/**
 * Begins behind what replay has written from the same resume point on, all of which must be in the log; null when the
 * files are not such that it can.
 */
export function startBehind(start: ScanStart, tail: ReplayedTail, provenEnd: number): ScanStart | null {
  if (!tail.isWhole || tail.endOffset !== provenEnd || tail.endOffset <= start.offset) return null
  const segments = [...start.segments]
  const made = [...tail.unfinished.map(({ segment }) => segment), tail.segment]
  for (const [index, segment] of made.entries()) {
    const found = segments[start.first + index]
    if (found?.baseOffset !== segment.baseOffset) return null
    const isLast = index === made.length - 1
    if (isLast ? found.sizeBytes < segment.sizeBytes : found.sizeBytes !== segment.sizeBytes) return null
    if (!isLast) segments[start.first + index] = segment
  }
  return {
    ...start,
    segments,
    first: start.first + made.length - 1,
    makeFirst: () => tail.segment,
    offset: tail.endOffset,
    epochs: tail.epochs,
    producers: tail.producers,
    producersFrom: tail.endOffset,
    unfinished: tail.unfinished,
  }
}

import type { DiskFile } from '../runtime/disk.ts'
import { extendDigest, unknownDigest } from './batchDigest.ts'
import { type LogConfig, mostSegmentMs } from './logConfig.ts'
import { OffsetIndex, offsetIndexEntryBytes, type UnreadOffsets } from './offsetIndex.ts'
import { TimeIndex, timeIndexEntryBytes, type UnreadTimes } from './timeIndex.ts'

const largestRelativeOffset = 0x7fff_ffff

/** What `restore` needs to undo every `add` since. */
export interface SegmentMark {
  readonly sizeBytes: number
  readonly maxTimestampMs: number
  readonly offsetOfMaxTimestamp: number
  readonly firstTimestampMs: number
  readonly bytesSinceIndexEntry: number
  /** Of all batches; -1 when nobody knows. */
  readonly digest: number
  /** Of the first batch; -1 when nobody knows, or there is none. */
  readonly firstDigest: number
}

/** What takes the place of a segment and of those behind it that begin before `endOffset`. */
export interface Replacement {
  readonly sizeBytes: number
  readonly digest: number
  readonly firstDigest: number
  /** Exclusive. */
  readonly endOffset: number
}

/** The mark of a segment that nothing was added to. */
export const emptyMark: SegmentMark = {
  sizeBytes: 0,
  maxTimestampMs: -1,
  offsetOfMaxTimestamp: -1,
  firstTimestampMs: -1,
  bytesSinceIndexEntry: 0,
  digest: 0,
  firstDigest: unknownDigest,
}

/** The active segment as a clean shutdown left it. */
export interface ClosedSegment extends SegmentMark {
  readonly offsets: UnreadOffsets
  readonly times: UnreadTimes
}

/**
 * One segment of a log: a `.log` file with batches from `baseOffset` on, and its two sparse indexes. The
 * indexes are in memory (`offsetIndex`, `timeIndex`) until the segment is sealed; from then on they are files.
 * Sizes include bytes that are still on their way to the disk.
 */
export class Segment {
  readonly baseOffset: number
  readonly file: DiskFile
  /** Wall clock at creation, ms; the file's time for a segment that was found. Used when no batch has a timestamp. */
  readonly createdMs: number
  sizeBytes: number
  offsetIndex: OffsetIndex | null = new OffsetIndex()
  timeIndex: TimeIndex | null = new TimeIndex()
  /** Greatest timestamp so far, -1 for none. Not known of a sealed segment before its time index is read. */
  maxTimestampMs = -1
  /** Last offset of the batch that has `maxTimestampMs`. */
  offsetOfMaxTimestamp = -1
  /** Greatest timestamp of the first batch: `segmentMs` is measured from it. -1 while there is none. */
  firstTimestampMs = -1
  bytesSinceIndexEntry = 0
  /** `extendDigest` of all batches; -1 when nobody knows. */
  digest: number
  /** Of the first batch alone; -1 when nobody knows, or there is none. */
  firstDigest = unknownDigest
  /** Bytes that were there when the segment was taken up again after a clean shutdown. */
  resumedBytes = 0
  /** Whether index files were written that hold what is not in memory; a crash leaves none of the active segment's. */
  hasIndexFiles = true
  /** Nothing was written to the file yet: there is none. */
  isNew: boolean
  /** Whether a sync of the file's name has been asked for: without it the file may be lost with the power. */
  isNameSynced: boolean
  /** Whether such a sync has returned. */
  isNameDurable: boolean
  /** Compaction is putting another one in its place: it stays in the list until that is done. */
  isBeingReplaced = false
  /** What may take its place at any time from now on; null for nothing. */
  replacement: Replacement | null = null
  /** Another one has its place; only readers that were at it before still have it. */
  isReplaced = false

  constructor(baseOffset: number, file: DiskFile, createdMs: number, sizeBytes: number, isNew: boolean) {
    this.baseOffset = baseOffset
    this.file = file
    this.createdMs = createdMs
    this.sizeBytes = sizeBytes
    this.digest = sizeBytes === 0 ? 0 : unknownDigest
    this.isNew = isNew
    this.isNameSynced = !isNew
    this.isNameDurable = !isNew
  }

  /**
   * Counts a batch at the end of the segment, and indexes it when `indexIntervalBytes` have gone by since the
   * last entry, at the same places as Kafka. Returns the batch's position.
   */
  add(lastOffset: number, maxTimestampMs: number, sizeBytes: number, indexIntervalBytes: number): number {
    const position = this.sizeBytes
    if (position === 0) this.firstTimestampMs = maxTimestampMs
    if (maxTimestampMs > this.maxTimestampMs) {
      this.maxTimestampMs = maxTimestampMs
      this.offsetOfMaxTimestamp = lastOffset
    }
    if (this.bytesSinceIndexEntry > indexIntervalBytes) {
      this.offsetIndex!.append(lastOffset - this.baseOffset, position)
      this.timeIndex!.maybeAppend(this.maxTimestampMs, this.offsetOfMaxTimestamp - this.baseOffset)
      this.bytesSinceIndexEntry = 0
    }
    this.bytesSinceIndexEntry += sizeBytes
    this.sizeBytes = position + sizeBytes
    return position
  }

  /** Takes the batch that `add` is about to take into the digests. */
  digestNext(baseOffset: number, sizeBytes: number, leaderEpoch: number, crc: number): void {
    const isFirst = this.sizeBytes === 0
    if (isFirst) this.digest = 0
    if (this.digest < 0) return
    this.digest = extendDigest(this.digest, baseOffset, sizeBytes, leaderEpoch, crc)
    if (isFirst) this.firstDigest = this.digest
  }

  /** Whether the segment has no room for a batch that ends at `lastOffset`, or has been active long enough. */
  mustRoll(
    lastOffset: number,
    batchBytes: number,
    maxTimestampMs: number,
    wallMs: number,
    config: LogConfig,
  ): boolean {
    if (lastOffset - this.baseOffset > largestRelativeOffset) return true
    if (this.sizeBytes === 0) return false
    if (this.sizeBytes > config.segmentBytes - batchBytes) return true
    const ageMs =
      this.firstTimestampMs >= 0 ? maxTimestampMs - this.firstTimestampMs : wallMs - this.createdMs
    if (ageMs > mostSegmentMs(config)) return true
    const offsetEntries = Math.floor(config.segmentIndexBytes / offsetIndexEntryBytes)
    const timeEntries = Math.floor(config.segmentIndexBytes / timeIndexEntryBytes)
    // The time index keeps a place for the entry that is added when the segment is sealed.
    return this.offsetIndex!.count >= offsetEntries || this.timeIndex!.count >= timeEntries - 1
  }

  /** Adds the time index's last entry: the greatest timestamp of the whole segment. */
  completeTimeIndex(): void {
    if (this.maxTimestampMs >= 0) {
      this.timeIndex!.maybeAppend(this.maxTimestampMs, this.offsetOfMaxTimestamp - this.baseOffset)
    }
  }

  /** What `resume` needs after a clean shutdown. */
  closedState(): ClosedSegment {
    return { ...this.mark(), offsets: this.offsetIndex!.summary, times: this.timeIndex!.summary }
  }

  /** Takes the segment up where a clean shutdown left it; its indexes stay in their files until they are asked for. */
  resume(state: ClosedSegment): void {
    this.resumedBytes = state.sizeBytes
    this.maxTimestampMs = state.maxTimestampMs
    this.offsetOfMaxTimestamp = state.offsetOfMaxTimestamp
    this.firstTimestampMs = state.firstTimestampMs
    this.bytesSinceIndexEntry = state.bytesSinceIndexEntry
    // What an earlier release has stored knows none.
    this.digest = state.sizeBytes === 0 ? 0 : (state.digest ?? unknownDigest)
    this.firstDigest = state.firstDigest ?? unknownDigest
    this.offsetIndex = new OffsetIndex(undefined, state.offsets)
    this.timeIndex = new TimeIndex(undefined, undefined, state.times)
  }

  mark(): SegmentMark {
    return {
      sizeBytes: this.sizeBytes,
      maxTimestampMs: this.maxTimestampMs,
      offsetOfMaxTimestamp: this.offsetOfMaxTimestamp,
      firstTimestampMs: this.firstTimestampMs,
      bytesSinceIndexEntry: this.bytesSinceIndexEntry,
      digest: this.digest,
      firstDigest: this.firstDigest,
    }
  }

  /** Undoes every `add` since `mark`, in memory. `endOffset` is the log's end at the mark, exclusive. */
  restore(mark: SegmentMark, endOffset: number): void {
    this.sizeBytes = mark.sizeBytes
    this.maxTimestampMs = mark.maxTimestampMs
    this.offsetOfMaxTimestamp = mark.offsetOfMaxTimestamp
    this.firstTimestampMs = mark.firstTimestampMs
    this.bytesSinceIndexEntry = mark.bytesSinceIndexEntry
    this.digest = mark.digest
    this.firstDigest = mark.firstDigest
    this.offsetIndex!.truncate(mark.sizeBytes)
    this.timeIndex!.truncate(endOffset - this.baseOffset)
  }
}

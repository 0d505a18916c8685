import { assert } from '../model/assert.ts'
import { CorruptionError } from '../model/errors.ts'
import type { Logger } from '../model/logger.ts'
import type { Checksum } from '../runtime/checksum.ts'
import type { Runtime } from '../runtime/runtime.ts'
import { segmentFileName } from './fileNames.ts'
import { type IndexLookups, MappedIndexes } from './mappedIndex.ts'
import { checkFirstBatch } from './sameSegment.ts'
import { Segment } from './segment.ts'
import {
  buildIndexes,
  completeIndexes,
  hasGreatestTime,
  type IndexCache,
  loadIndexes,
  reportRebuilt,
  type SegmentIndexes,
  writeIndexes,
} from './segmentIndexes.ts'

/** What `SegmentList` works with. */
export interface SegmentListOptions {
  readonly directory: string
  readonly logger: Logger
  readonly cache: IndexCache
  /** `indexIntervalBytes` as it is configured now. */
  indexIntervalBytes(): number
}

/** The segments of one log, ascending; the last is the active one. Finds offsets, indexes and files. */
export class SegmentList {
  readonly #runtime: Runtime
  readonly #options: SegmentListOptions
  readonly #segments: Segment[]
  #active: Segment
  /** Removed segments whose files still stand, for running sends. */
  readonly #removed = new Set<Segment>()
  /** The removal of files that is under way. */
  #removing: Promise<void> = Promise.resolve()
  #isClosed = false

  constructor(runtime: Runtime, options: SegmentListOptions, segments: Segment[]) {
    this.#runtime = runtime
    this.#options = options
    this.#segments = segments
    this.#active = segments[segments.length - 1]!
  }

  get all(): readonly Segment[] {
    return this.#segments
  }

  get active(): Segment {
    return this.#active
  }

  /** Bytes of all batches, those on their way to the disk included. */
  get sizeBytes(): number {
    let sum = 0
    for (const segment of this.#segments) sum += segment.sizeBytes
    return sum
  }

  /** Index of the segment that holds `offset`. */
  indexFor(offset: number): number {
    let low = 0
    let high = this.#segments.length
    while (low < high) {
      const middle = (low + high) >>> 1
      if (this.#segments[middle]!.baseOffset <= offset) low = middle + 1
      else high = middle
    }
    return low - 1
  }

  /** Begins a new active segment. Its file comes with the first write. */
  roll(baseOffset: number): void {
    const file = this.#runtime.disk.file(`${this.#options.directory}/${segmentFileName(baseOffset, 'log')}`)
    this.#active = new Segment(baseOffset, file, this.#runtime.clock.wallMs(), 0, true)
    this.#segments.push(this.#active)
  }

  /** Makes `segment`, in the place of the one with its base offset, the active one; returns those after it. */
  makeActive(segment: Segment): Segment[] {
    const index = this.indexFor(segment.baseOffset)
    const dropped = this.#segments.splice(index + 1)
    for (const each of [...dropped, this.#segments[index]!]) this.#options.cache.remove(each)
    this.#segments[index] = segment
    this.#active = segment
    return dropped
  }

  /** Lets go of segments that lie wholly below `startOffset`; their files go `delayMs` later. */
  removeBelow(startOffset: number, delayMs: number): Segment[] {
    // Another log may have the names by now; the next start removes what is left.
    if (this.#isClosed) return []
    let count = 0
    while (count < this.#segments.length - 1 && this.#segments[count + 1]!.baseOffset <= startOffset) {
      if (this.#segments[count]!.isBeingReplaced) break
      count++
    }
    const removed = this.#segments.splice(0, count)
    for (const segment of removed) {
      this.#options.cache.remove(segment)
      this.#removed.add(segment)
    }
    if (count > 0) this.#runtime.clock.setTimer(delayMs, () => void this.#removeFiles(removed)).detach?.()
    return removed
  }

  /** Puts `segment` in the place of neighbours, whose files (under other names by now) go `delayMs` later. */
  replace(replaced: readonly Segment[], segment: Segment, delayMs: number): void {
    const index = this.#segments.indexOf(replaced[0]!)
    assert(index >= 0 && this.#segments[index + replaced.length - 1] === replaced.at(-1), 'neighbours')
    this.#segments.splice(index, replaced.length, segment)
    this.#active = this.#segments[this.#segments.length - 1]!
    for (const old of replaced) {
      this.#options.cache.remove(old)
      old.isReplaced = true
      this.#removed.add(old)
    }
    this.#runtime.clock.setTimer(delayMs, () => void this.#removeFiles([...replaced])).detach?.()
  }

  /** Keeps the indexes of a segment in memory as long as somebody has it. */
  async keepIndexes(segment: Segment): Promise<void> {
    const { offsetIndex, timeIndex } = await this.indexes(segment)
    segment.offsetIndex = offsetIndex
    segment.timeIndex = timeIndex
    if (segment.maxTimestampMs >= 0) return
    segment.maxTimestampMs = timeIndex.lastTimestampMs
    segment.offsetOfMaxTimestamp = segment.baseOffset + timeIndex.lastRelativeOffset
  }

  /** Removes the files of removed segments now. */
  removeFiles(): Promise<void> {
    return this.#removeFiles([...this.#removed])
  }

  /** Lets go of every descriptor; files of removed segments stay for the next start. */
  async close(): Promise<void> {
    this.#isClosed = true
    this.#removed.clear()
    await this.#removing
    for (const segment of this.#segments) {
      this.#options.cache.remove(segment)
      await segment.file.close()
    }
  }

  /** Both indexes of a segment, read or made again if need be. */
  async indexes(segment: Segment): Promise<SegmentIndexes> {
    const { disk } = this.#runtime
    const { cache, logger } = this.#options
    const { offsetIndex, timeIndex } = segment
    if (offsetIndex !== null && timeIndex !== null) {
      if (!offsetIndex.isComplete || !timeIndex.isComplete) {
        await checkFirstBatch(segment, this.#runtime.checksum)
        await completeIndexes(disk, segment, this.#options.indexIntervalBytes(), logger)
      }
      return { offsetIndex, timeIndex }
    }
    const cached = cache.get(segment)
    if (cached !== null) return cached
    await checkFile(segment, this.#runtime.checksum)
    const loaded = await loadIndexes(disk, segment)
    // The greatest time decides whether the segment is looked at.
    const isGood = loaded !== null && (await hasGreatestTime(segment, loaded))
    const kept = keptIndexes(segment)
    if (kept !== null) return kept
    if (!isGood) return this.rebuild(segment)
    cache.put(segment, loaded)
    return loaded
  }

  /**
   * Both indexes as far as lookups need them: mapped, where that is possible. They may throw `UnmappedError`: then
   * `indexes` has them.
   */
  async lookups(segment: Segment): Promise<IndexLookups> {
    const { cache } = this.#options
    if (segment.offsetIndex !== null) return this.indexes(segment)
    const cached = cache.lookups(segment)
    if (cached !== null) return cached
    await checkFile(segment, this.#runtime.checksum)
    const mapped = await MappedIndexes.open(this.#runtime.disk, segment)
    const kept = keptIndexes(segment)
    if (kept !== null) {
      mapped?.close()
      return kept
    }
    if (mapped === null) return this.indexes(segment)
    cache.putMapped(segment, mapped)
    return mapped
  }

  /** Makes a sealed segment's indexes again from its batches. Throws `CorruptionError`. */
  async rebuild(segment: Segment): Promise<SegmentIndexes> {
    await checkFile(segment, this.#runtime.checksum)
    const built = await buildIndexes(segment, segment.sizeBytes, this.#options.indexIntervalBytes())
    // The files are those of the segment that has its place.
    if (segment.isBeingReplaced || segment.isReplaced) return built
    reportRebuilt(this.#options.logger, segment)
    this.#options.cache.put(segment, built)
    // The cache has them; without room on the disk they are made once more another time.
    await writeIndexes(this.#runtime.disk, segment, built, 'none').catch(() => {})
    return built
  }

  /** Greatest timestamp of a segment in ms, -1 for none. */
  async largestTimestamp(segment: Segment): Promise<number> {
    if (segment.offsetIndex !== null) return segment.maxTimestampMs
    return (await this.indexes(segment)).timeIndex.lastTimestampMs
  }

  #removeFiles(segments: readonly Segment[]): Promise<void> {
    const removing = this.#removeEach(segments)
    this.#removing = Promise.all([this.#removing, removing]).then(() => {})
    return removing
  }

  async #removeEach(segments: readonly Segment[]): Promise<void> {
    const { directory, logger } = this.#options
    try {
      for (const segment of segments) {
        if (!this.#removed.delete(segment)) continue
        await segment.file.close()
        if (segment.isReplaced) {
          await this.#runtime.disk.remove(segment.file.path)
          continue
        }
        for (const kind of ['log', 'index', 'timeindex', 'txnindex', 'snapshot'] as const) {
          await this.#runtime.disk.remove(`${directory}/${segmentFileName(segment.baseOffset, kind)}`)
        }
      }
    } catch (error) {
      logger.warn('files of a removed segment are still there; the next start removes them', {
        directory,
        error: String(error),
      })
    }
  }
}

/** Set when the segment is about to be replaced: what is read from then on may be another one's. */
function keptIndexes({ offsetIndex, timeIndex }: Segment): SegmentIndexes | null {
  return offsetIndex !== null && timeIndex !== null ? { offsetIndex, timeIndex } : null
}

/** Throws `CorruptionError` when a finished segment's file has another length or begins otherwise: it is not the one that was finished. */
async function checkFile(segment: Segment, checksum: Checksum): Promise<void> {
  const { file, sizeBytes } = segment
  const found = await file.size()
  if (found === sizeBytes) return segment.isReplaced ? undefined : checkFirstBatch(segment, checksum)
  throw new CorruptionError({
    file: file.path,
    position: Math.min(found, sizeBytes),
    expected: `${sizeBytes} bytes`,
    found: `${found}`,
  })
}

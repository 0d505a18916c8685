import { CorruptionError, EngineError } from '../model/errors.ts'
import type { Logger } from '../model/logger.ts'
import { planted } from '../model/planted.ts'
import type { Disk, DiskSync } from '../runtime/disk.ts'
import { walkHeaders } from './batchScan.ts'
import type { IndexLookups, MappedIndexes } from './mappedIndex.ts'
import { OffsetIndex } from './offsetIndex.ts'
import type { BatchHeader } from './recordBatch.ts'
import { Segment } from './segment.ts'
import { type TimeEntry, TimeIndex } from './timeIndex.ts'

/** Both sparse indexes of a segment. */
export interface SegmentIndexes {
  readonly offsetIndex: OffsetIndex
  readonly timeIndex: TimeIndex
}

/** The most pairs of mapped indexes that are kept. */
const maxMapped = 4096

/** What an entry of an index has room for. */
const maxRelativeOffset = 2 ** 31 - 1

/** Indexes of sealed segments, the latest used ones, up to a number of bytes; shared by all logs of a directory. */
export class IndexCache {
  readonly #maxBytes: number
  readonly #entries = new Map<Segment, SegmentIndexes>()
  readonly #mapped = new Map<Segment, MappedIndexes>()
  #usedBytes = 0

  /** `maxBytes` is 64 MiB by default. */
  constructor(maxBytes: number = 64 << 20) {
    this.#maxBytes = maxBytes
  }

  /** Bytes of memory that the cached indexes take. */
  get usedBytes(): number {
    return this.#usedBytes
  }

  get(segment: Segment): SegmentIndexes | null {
    const found = this.#entries.get(segment)
    if (found === undefined) return null
    // Insertion order is the order of use.
    this.#entries.delete(segment)
    this.#entries.set(segment, found)
    return found
  }

  /** What lookups can ask without reading a file. */
  lookups(segment: Segment): IndexLookups | null {
    return this.get(segment) ?? this.#mapped.get(segment) ?? null
  }

  putMapped(segment: Segment, indexes: MappedIndexes): void {
    this.#mapped.get(segment)?.close()
    this.#mapped.set(segment, indexes)
    for (const oldest of this.#mapped.keys()) {
      if (this.#mapped.size <= maxMapped) break
      this.#unmap(oldest)
    }
  }

  put(segment: Segment, indexes: SegmentIndexes): void {
    this.remove(segment)
    this.#entries.set(segment, indexes)
    this.#usedBytes += memoryBytes(indexes)
    for (const oldest of this.#entries.keys()) {
      if (this.#usedBytes <= this.#maxBytes || oldest === segment) break
      this.remove(oldest)
    }
  }

  remove(segment: Segment): void {
    this.#unmap(segment)
    const found = this.#entries.get(segment)
    if (found === undefined) return
    this.#entries.delete(segment)
    this.#usedBytes -= memoryBytes(found)
  }

  #unmap(segment: Segment): void {
    this.#mapped.get(segment)?.close()
    this.#mapped.delete(segment)
  }
}

function memoryBytes(indexes: SegmentIndexes): number {
  return indexes.offsetIndex.memoryBytes + indexes.timeIndex.memoryBytes
}

/** Reads the part of an unsealed segment's indexes that is still only on disk, making it again if it is bad. */
export async function completeIndexes(
  disk: Disk,
  segment: Segment,
  indexIntervalBytes: number,
  logger: Logger,
): Promise<void> {
  const found = await loadIndexes(disk, segment)
  const { offsetIndex, timeIndex } = segment
  if (offsetIndex === null || timeIndex === null) return
  if (found !== null && offsetIndex.complete(found.offsetIndex) && timeIndex.complete(found.timeIndex)) return
  const made = await buildIndexes(segment, segment.resumedBytes, indexIntervalBytes)
  if (segment.hasIndexFiles) reportRebuilt(logger, segment)
  if (!offsetIndex.isComplete) offsetIndex.replaceUnread(made.offsetIndex)
  if (!timeIndex.isComplete) timeIndex.replaceUnread(made.timeIndex)
}

/** Path of the index file that stands beside a segment's `.log`. */
export function indexPath(segment: Segment, kind: 'index' | 'timeindex'): string {
  return segment.file.path.replace(/\.log$/, `.${kind}`)
}

/** The index files of a segment as they are on disk; null when one is missing or is not an index of this file. */
export async function loadIndexes(disk: Disk, segment: Segment): Promise<SegmentIndexes | null> {
  const [offsets, times] = await Promise.all([
    readIfThere(disk, indexPath(segment, 'index')),
    readIfThere(disk, indexPath(segment, 'timeindex')),
  ])
  if (offsets === null || times === null) return null
  const offsetIndex = OffsetIndex.decode(offsets, segment.sizeBytes)
  const timeIndex = TimeIndex.decode(times)
  if (planted('trustDamagedIndex'))
    return { offsetIndex: offsetIndex ?? new OffsetIndex(), timeIndex: timeIndex ?? new TimeIndex() }
  if (offsetIndex === null || timeIndex === null) return null
  // A power cut may leave a file of no bytes. Only without any timestamp is a time index rightly empty.
  if (timeIndex.count === 0 && segment.sizeBytes > 0) return null
  return { offsetIndex, timeIndex }
}

async function readIfThere(disk: Disk, path: string): Promise<Uint8Array | null> {
  try {
    return await disk.readFile(path)
  } catch (error) {
    if (error instanceof EngineError && error.code === 'notFound') return null
    throw error
  }
}

/** Whether an entry of a segment's time index says what the batch says that it stands for. */
export async function isTrue(
  segment: Segment,
  { offsetIndex }: Pick<SegmentIndexes, 'offsetIndex'>,
  { timestampMs, relativeOffset }: TimeEntry,
): Promise<boolean> {
  const offset = segment.baseOffset + relativeOffset
  let found: number | null = null
  await untilDamage(segment, offsetIndex.positionFor(relativeOffset), (header) => {
    if (header.lastOffset < offset) return true
    found = header.maxTimestampMs
    return false
  })
  return found === timestampMs
}

/** The greatest times of finished segments of which a time index has been found to be whole. */
const greatestTimes = new WeakMap<Segment, number>()

/**
 * Whether the last entry of a segment's time index has the greatest time: it says what its batch says, and no later batch has
 * a newer one. Nothing in a file that was cut between two entries tells that. The batches are asked once.
 */
export async function hasGreatestTime(segment: Segment, indexes: SegmentIndexes): Promise<boolean> {
  const { last } = indexes.timeIndex
  if (last === null) return true
  const known = greatestTimes.get(segment)
  if (known !== undefined && known !== last.timestampMs) return false
  if (!(await isTrue(segment, indexes, last))) return false
  if (known !== undefined) return true
  let isGreatest = true
  await untilDamage(segment, indexes.offsetIndex.positionFor(last.relativeOffset), (header) => {
    const isLater = header.lastOffset > segment.baseOffset + last.relativeOffset
    isGreatest = !isLater || header.maxTimestampMs <= last.timestampMs
    return isGreatest
  })
  if (isGreatest && segment.offsetIndex === null) greatestTimes.set(segment, last.timestampMs)
  return isGreatest
}

async function untilDamage(
  segment: Segment,
  position: number,
  visit: (header: BatchHeader) => boolean,
): Promise<void> {
  try {
    await walkHeaders(segment.file, position, segment.sizeBytes, visit)
  } catch (error) {
    if (!(error instanceof CorruptionError)) throw error
  }
}

/**
 * The indexes of the first `endBytes` of a segment, made again from its batch headers. Throws `CorruptionError`
 * where no batch can be.
 */
export async function buildIndexes(
  segment: Segment,
  endBytes: number,
  indexIntervalBytes: number,
): Promise<SegmentIndexes> {
  const { baseOffset, file, createdMs } = segment
  const shadow = new Segment(baseOffset, file, createdMs, 0, false)
  await walkHeaders(file, 0, endBytes, (header, position) => {
    const { lastOffset } = header
    if (header.baseOffset < baseOffset || lastOffset - baseOffset > maxRelativeOffset) {
      const expected = `offsets of the segment from ${baseOffset} on`
      throw new CorruptionError({ file: file.path, position, expected, found: `offset ${lastOffset}` })
    }
    const { maxTimestampMs } = header
    // No producer can have written it, and no index can hold it.
    if (!Number.isSafeInteger(maxTimestampMs)) {
      throw new CorruptionError({ file: file.path, position, expected: 'a time', found: `${maxTimestampMs}` })
    }
    shadow.add(lastOffset, maxTimestampMs, header.sizeBytes, indexIntervalBytes)
    return true
  })
  shadow.completeTimeIndex()
  return { offsetIndex: shadow.offsetIndex!, timeIndex: shadow.timeIndex! }
}

/** Writes both index files whole, or leaves neither. */
export async function writeIndexes(
  disk: Disk,
  segment: Segment,
  indexes: SegmentIndexes,
  sync: DiskSync,
): Promise<void> {
  const paths = [indexPath(segment, 'index'), indexPath(segment, 'timeindex')] as const
  try {
    await writeWholeFile(disk, paths[0], indexes.offsetIndex.encode(), sync)
    await writeWholeFile(disk, paths[1], indexes.timeIndex.encode(), sync)
  } catch (error) {
    // An older index, or half of the new one, is an index too: it would hide the records that it does not know.
    for (const path of paths) await disk.remove(path).catch(() => {})
    throw error
  }
}

/** Writes a derivable file in place: `bytes` and nothing after them. A crash may leave any mixture. */
export async function writeWholeFile(
  disk: Disk,
  path: string,
  bytes: Uint8Array,
  sync: DiskSync,
): Promise<void> {
  const file = disk.file(path)
  await disk.submit([{ file, position: 0, parts: [bytes], sync }])
  await file.truncate(bytes.length)
  await file.close()
}

/** A logger's line for an index that had to be made again. */
export function reportRebuilt(logger: Logger, segment: Segment): void {
  logger.warn('an index was missing or damaged and has been made again from the segment', {
    file: segment.file.path,
  })
}

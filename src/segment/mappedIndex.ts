import { EngineError } from '../model/errors.ts'
import type { Disk, MappedFile } from '../runtime/disk.ts'
import { readInt32, readInt64 } from './integers.ts'
import { offsetIndexEntryBytes } from './offsetIndex.ts'
import type { Segment } from './segment.ts'
import { indexPath } from './segmentIndexes.ts'
import { timeIndexEntryBytes } from './timeIndex.ts'

/** What lookups ask of an offset index; `OffsetIndex` answers the same. */
export interface OffsetLookup {
  positionFor(relativeOffset: number): number
  boundaryFor(position: number): number
}

/** What lookups ask of a time index; `TimeIndex` answers the same. */
export interface TimeLookup {
  readonly lastTimestampMs: number
  relativeOffsetFor(timestampMs: number): number
}

/** Both indexes of a segment, as far as lookups need them. */
export interface IndexLookups {
  readonly offsetIndex: OffsetLookup
  readonly timeIndex: TimeLookup
}

/** A mapped index cannot be asked without waiting for the disk, or not at all any more: read its file. */
export class UnmappedError extends Error {
  override readonly name = 'UnmappedError'
}

/** Entries that are read at once where a search ends. */
const blockEntries = 256
/** All indexes read through this, one after the other. */
const block = new Uint8Array(blockEntries * Math.max(offsetIndexEntryBytes, timeIndexEntryBytes))

/**
 * Both index files of a sealed segment, asked where they lie: nothing is decoded, and a mapping takes no descriptor.
 * Every method throws `UnmappedError` when the file has to be read instead. Only the last entries are checked: one in
 * the middle that was damaged leads to where no batch begins, which every search sees.
 */
export class MappedIndexes implements IndexLookups {
  readonly offsetIndex: OffsetLookup
  readonly timeIndex: TimeLookup
  readonly #maps: readonly [MappedFile, MappedFile]

  private constructor(offsets: MappedFile, times: MappedFile) {
    this.#maps = [offsets, times]
    const positions = new Entries(offsets, offsetIndexEntryBytes)
    this.offsetIndex = {
      positionFor: (relativeOffset) => positions.find(relativeOffset, offsetAt, positionAt),
      boundaryFor: (position) => positions.find(position, positionAt, positionAt),
    }
    const timestamps = new Entries(times, timeIndexEntryBytes)
    this.timeIndex = {
      get lastTimestampMs() {
        return timestamps.count === 0 ? -1 : timestamps.last(readInt64)
      },
      relativeOffsetFor: (timestampMs) => timestamps.find(timestampMs, readInt64, timedOffsetAt),
    }
  }

  /** Maps the files of `segment`; null when they are not there, not its indexes, or nothing can be mapped. */
  static async open(disk: Disk, segment: Segment): Promise<MappedIndexes | null> {
    if (disk.map === undefined) return null
    const maps: MappedFile[] = []
    try {
      maps.push(await disk.map(indexPath(segment, 'index')), await disk.map(indexPath(segment, 'timeindex')))
      const [offsets, times] = maps as [MappedFile, MappedFile]
      if (isOffsetIndex(offsets, segment.sizeBytes) && isTimeIndex(times, segment.sizeBytes)) {
        return new MappedIndexes(offsets, times)
      }
    } catch (error) {
      if (!(error instanceof EngineError || error instanceof UnmappedError)) throw error
    }
    for (const mapped of maps) mapped.close()
    return null
  }

  close(): void {
    for (const mapped of this.#maps) mapped.close()
  }
}

const offsetAt = readInt32
const positionAt = (bytes: Uint8Array, at: number): number => readInt32(bytes, at + 4)
const timedOffsetAt = (bytes: Uint8Array, at: number): number => readInt32(bytes, at + 8)

function isOffsetIndex(mapped: MappedFile, logBytes: number): boolean {
  if (mapped.sizeBytes % offsetIndexEntryBytes !== 0) return false
  const entries = new Entries(mapped, offsetIndexEntryBytes)
  if (entries.count === 0) return true
  const position = entries.last(positionAt)
  return position > 0 && position < logBytes && entries.last(offsetAt) >= 0
}

function isTimeIndex(mapped: MappedFile, logBytes: number): boolean {
  if (mapped.sizeBytes % timeIndexEntryBytes !== 0) return false
  // Only without any timestamp is a time index rightly empty; a power cut may leave a file of no bytes.
  const entries = new Entries(mapped, timeIndexEntryBytes)
  if (entries.count === 0) return logBytes === 0
  return Number.isSafeInteger(entries.last(readInt64)) && entries.last(timedOffsetAt) >= 0
}

type ReadNumber = (bytes: Uint8Array, at: number) => number

/** Entries of equal length in ascending order. */
class Entries {
  readonly count: number
  readonly #mapped: MappedFile
  readonly #entryBytes: number

  constructor(mapped: MappedFile, entryBytes: number) {
    this.#mapped = mapped
    this.#entryBytes = entryBytes
    this.count = Math.floor(mapped.sizeBytes / entryBytes)
  }

  /** `value` of the last entry whose `key` is at most `target`; 0 when there is none. */
  find(target: number, key: ReadNumber, value: ReadNumber): number {
    let low = 0
    let high = this.count
    while (high - low > blockEntries) {
      const middle = (low + high) >>> 1
      if (key(this.#read(middle, 1), 0) <= target) low = middle
      else high = middle
    }
    const bytes = this.#read(low, high - low)
    let found = 0
    for (let at = 0; at < bytes.length && key(bytes, at) <= target; at += this.#entryBytes) {
      found = value(bytes, at)
    }
    return found
  }

  /** `value` of the last entry. */
  last(value: ReadNumber): number {
    return value(this.#read(this.count - 1, 1), 0)
  }

  #read(first: number, count: number): Uint8Array {
    const target = block.subarray(0, count * this.#entryBytes)
    let read: number | null
    try {
      read = count === 0 ? 0 : this.#mapped.read(target, first * this.#entryBytes)
    } catch (cause) {
      throw new UnmappedError('an index cannot be read where it is mapped', { cause })
    }
    if (read !== target.length) throw new UnmappedError('an index has left memory')
    return target
  }
}

import { assert } from '../model/assert.ts'
import { readInt32, readInt64, writeInt32, writeInt64 } from './integers.ts'

/** Bytes of one entry: timestamp int64, relative offset int32. */
export const timeIndexEntryBytes = 12

/** One entry. */
export interface TimeEntry {
  readonly timestampMs: number
  readonly relativeOffset: number
}

/** The entries of an index that are still only in its file: how many, and the last of them. */
export interface UnreadTimes {
  readonly count: number
  readonly lastTimestampMs: number
  readonly lastRelativeOffset: number
}

/** One for all: most logs of a node with many have an empty active segment. */
const noTimestamps = new Float64Array(0)
const noOffsets = new Int32Array(0)

/**
 * The sparse index from timestamps to offsets of one segment. An entry (timestamp, relativeOffset) says that
 * no record up to `baseOffset + relativeOffset` is newer than `timestamp`, and that the batch which ends there
 * holds it. Both columns grow. Source: KIP-33.
 */
export class TimeIndex {
  #timestamps: Float64Array
  #offsets: Int32Array
  #count: number
  #unread: UnreadTimes | null

  /** `unread` entries precede the others; until `complete` the index takes entries but cannot be asked. */
  constructor(
    timestamps: Float64Array = noTimestamps,
    offsets: Int32Array = noOffsets,
    unread: UnreadTimes | null = null,
  ) {
    this.#timestamps = timestamps
    this.#offsets = offsets
    this.#count = timestamps.length
    this.#unread = unread !== null && unread.count > 0 ? unread : null
  }

  /** Decodes a whole index file; null when it is not one: odd length, or not ascending. */
  static decode(bytes: Uint8Array): TimeIndex | null {
    if (bytes.length % timeIndexEntryBytes !== 0) return null
    const count = bytes.length / timeIndexEntryBytes
    const timestamps = new Float64Array(count)
    const offsets = new Int32Array(count)
    for (let index = 0; index < count; index++) {
      const timestamp = readInt64(bytes, index * timeIndexEntryBytes)
      const offset = readInt32(bytes, index * timeIndexEntryBytes + 8)
      if (offset < 0 || !Number.isSafeInteger(timestamp)) return null
      if (index > 0 && (timestamp <= timestamps[index - 1]! || offset <= offsets[index - 1]!)) return null
      timestamps[index] = timestamp
      offsets[index] = offset
    }
    return new TimeIndex(timestamps, offsets)
  }

  get count(): number {
    return this.#count + (this.#unread?.count ?? 0)
  }

  /** Whether every entry is in memory. */
  get isComplete(): boolean {
    return this.#unread === null
  }

  /** What `new TimeIndex` needs to go on without reading the file. */
  get summary(): UnreadTimes {
    const { count, lastTimestampMs, lastRelativeOffset } = this
    return { count, lastTimestampMs, lastRelativeOffset }
  }

  /** `summary` of the entries below `relativeEndOffset`; every unread one is. */
  summaryBefore(relativeEndOffset: number): UnreadTimes {
    let count = this.#count
    while (count > 0 && this.#offsets[count - 1]! >= relativeEndOffset) count--
    if (count === 0) return this.#unread ?? { count: 0, lastTimestampMs: -1, lastRelativeOffset: -1 }
    return {
      count: count + (this.#unread?.count ?? 0),
      lastTimestampMs: this.#timestamps[count - 1]!,
      lastRelativeOffset: this.#offsets[count - 1]!,
    }
  }

  /** The entries in memory: those behind the unread ones. */
  get inMemory(): { readonly timestamps: Float64Array; readonly offsets: Int32Array } {
    return {
      timestamps: this.#timestamps.slice(0, this.#count),
      offsets: this.#offsets.slice(0, this.#count),
    }
  }

  /** Puts the unread entries in front; false, with nothing changed, when `file` does not hold them. */
  complete(file: TimeIndex): boolean {
    const unread = this.#unread
    if (unread === null) return true
    if (file.#count < unread.count) return false
    if (file.#timestamps[unread.count - 1] !== unread.lastTimestampMs) return false
    if (file.#offsets[unread.count - 1] !== unread.lastRelativeOffset) return false
    this.#prepend(file, unread.count)
    return true
  }

  /** Puts entries that were made again from the batches in front, in place of the unread ones. */
  replaceUnread(made: TimeIndex): void {
    this.#prepend(made, made.#count)
  }

  #prepend(from: TimeIndex, count: number): void {
    const timestamps = new Float64Array(count + this.#count)
    const offsets = new Int32Array(count + this.#count)
    timestamps.set(from.#timestamps.subarray(0, count))
    timestamps.set(this.#timestamps.subarray(0, this.#count), count)
    offsets.set(from.#offsets.subarray(0, count))
    offsets.set(this.#offsets.subarray(0, this.#count), count)
    this.#timestamps = timestamps
    this.#offsets = offsets
    this.#count = timestamps.length
    this.#unread = null
  }

  /** Bytes of memory that the entries take. */
  get memoryBytes(): number {
    return this.#timestamps.byteLength + this.#offsets.byteLength
  }

  /** Greatest timestamp in the index, -1 for none. */
  get lastTimestampMs(): number {
    return this.#count === 0 ? (this.#unread?.lastTimestampMs ?? -1) : this.#timestamps[this.#count - 1]!
  }

  /** Relative offset that goes with `lastTimestampMs`; 0 for none. */
  get lastRelativeOffset(): number {
    return this.#count === 0 ? (this.#unread?.lastRelativeOffset ?? 0) : this.#offsets[this.#count - 1]!
  }

  /** Adds an entry if its timestamp is newer than the last one's. */
  maybeAppend(timestampMs: number, relativeOffset: number): void {
    if (timestampMs <= this.lastTimestampMs) return
    if (this.#count === this.#offsets.length) this.#grow()
    this.#timestamps[this.#count] = timestampMs
    this.#offsets[this.#count] = relativeOffset
    this.#count++
  }

  /** The last entry that is not newer than `timestampMs`: the first newer record comes later. Null for the start. */
  entryFor(timestampMs: number): TimeEntry | null {
    assert(this.#unread === null, 'an index was asked before it was read')
    let low = 0
    let high = this.#count
    while (low < high) {
      const middle = (low + high) >>> 1
      if (this.#timestamps[middle]! <= timestampMs) low = middle + 1
      else high = middle
    }
    if (low === 0) return null
    return { timestampMs: this.#timestamps[low - 1]!, relativeOffset: this.#offsets[low - 1]! }
  }

  /** Relative offset from which to look for the first record at least as new as `timestampMs`; 0 for the start. */
  relativeOffsetFor(timestampMs: number): number {
    return this.entryFor(timestampMs)?.relativeOffset ?? 0
  }

  /** The last entry; null for none. */
  get last(): TimeEntry | null {
    if (this.count === 0) return null
    return { timestampMs: this.lastTimestampMs, relativeOffset: this.lastRelativeOffset }
  }

  /** Drops the entries at or above a relative offset. */
  truncate(relativeOffset: number): void {
    while (this.#count > 0 && this.#offsets[this.#count - 1]! >= relativeOffset) this.#count--
  }

  /** The bytes of the file. */
  encode(): Uint8Array {
    assert(this.#unread === null, 'an index was written before it was read')
    const bytes = new Uint8Array(this.#count * timeIndexEntryBytes)
    for (let index = 0; index < this.#count; index++) {
      writeInt64(bytes, index * timeIndexEntryBytes, this.#timestamps[index]!)
      writeInt32(bytes, index * timeIndexEntryBytes + 8, this.#offsets[index]!)
    }
    return bytes
  }

  #grow(): void {
    const capacity = Math.max(8, this.#count * 2)
    const timestamps = new Float64Array(capacity)
    const offsets = new Int32Array(capacity)
    timestamps.set(this.#timestamps)
    offsets.set(this.#offsets)
    this.#timestamps = timestamps
    this.#offsets = offsets
  }
}

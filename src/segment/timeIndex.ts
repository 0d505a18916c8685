import { readInt32, readInt64, writeInt32, writeInt64 } from './integers.ts'

/** Bytes of one entry: timestamp int64, relative offset int32. */
export const timeIndexEntryBytes = 12

/**
 * The sparse index from timestamps to offsets of one segment. An entry (timestamp, relativeOffset) says that
 * no record up to `baseOffset + relativeOffset` is newer than `timestamp`, and that the batch which ends there
 * holds it. Both columns grow. Source: KIP-33.
 */
export class TimeIndex {
  #timestamps: Float64Array
  #offsets: Int32Array
  #count: number

  constructor(timestamps: Float64Array = new Float64Array(0), offsets: Int32Array = new Int32Array(0)) {
    this.#timestamps = timestamps
    this.#offsets = offsets
    this.#count = timestamps.length
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
    return this.#count
  }

  /** Bytes of memory that the entries take. */
  get memoryBytes(): number {
    return this.#timestamps.byteLength + this.#offsets.byteLength
  }

  /** Greatest timestamp in the index, -1 for none. */
  get lastTimestampMs(): number {
    return this.#count === 0 ? -1 : this.#timestamps[this.#count - 1]!
  }

  /** Relative offset that goes with `lastTimestampMs`; 0 for none. */
  get lastRelativeOffset(): number {
    return this.#count === 0 ? 0 : this.#offsets[this.#count - 1]!
  }

  /** Adds an entry if its timestamp is newer than the last one's. */
  maybeAppend(timestampMs: number, relativeOffset: number): void {
    if (timestampMs <= this.lastTimestampMs) return
    if (this.#count === this.#offsets.length) this.#grow()
    this.#timestamps[this.#count] = timestampMs
    this.#offsets[this.#count] = relativeOffset
    this.#count++
  }

  /** Relative offset from which to look for the first record at least as new as `timestampMs`; 0 for the start. */
  relativeOffsetFor(timestampMs: number): number {
    let low = 0
    let high = this.#count
    while (low < high) {
      const middle = (low + high) >>> 1
      if (this.#timestamps[middle]! <= timestampMs) low = middle + 1
      else high = middle
    }
    return low === 0 ? 0 : this.#offsets[low - 1]!
  }

  /** Drops the entries at or above a relative offset. */
  truncate(relativeOffset: number): void {
    while (this.#count > 0 && this.#offsets[this.#count - 1]! >= relativeOffset) this.#count--
  }

  /** The bytes of the file. */
  encode(): Uint8Array {
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

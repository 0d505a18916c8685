import { assert } from '../model/assert.ts'
import { readInt32, writeInt32 } from './integers.ts'

/** Bytes of one entry: relative offset and position, int32 each. */
export const offsetIndexEntryBytes = 8

/** The entries of an index that are still only in its file: how many, and the last of them. */
export interface UnreadOffsets {
  readonly count: number
  readonly lastRelativeOffset: number
  readonly lastPosition: number
}

/** One for all: most logs of a node with many have an empty active segment. */
const nothing = new Int32Array(0)

/**
 * The sparse index from offsets to positions of one segment. An entry (relativeOffset, position) names the
 * batch whose last record has `baseOffset + relativeOffset` and that begins at byte `position`. Both grow
 * strictly. Source: Kafka documentation, "Log".
 */
export class OffsetIndex {
  #entries: Int32Array
  #count: number
  #unread: UnreadOffsets | null

  /** `unread` entries precede `entries`; until `complete` the index takes entries but cannot be asked. */
  constructor(entries: Int32Array = nothing, unread: UnreadOffsets | null = null) {
    this.#entries = entries
    this.#count = entries.length >> 1
    this.#unread = unread !== null && unread.count > 0 ? unread : null
  }

  /** Decodes a whole index file; null when it is not one: odd length, not ascending, or beyond `logBytes`. */
  static decode(bytes: Uint8Array, logBytes: number): OffsetIndex | null {
    if (bytes.length % offsetIndexEntryBytes !== 0) return null
    const entries = new Int32Array(bytes.length >> 2)
    let lastOffset = -1
    let lastPosition = 0 // No index has an entry for its first batch; a file of zeros is no index.
    for (let index = 0; index < entries.length; index += 2) {
      const relativeOffset = readInt32(bytes, index * 4)
      const position = readInt32(bytes, index * 4 + 4)
      if (relativeOffset <= lastOffset || position <= lastPosition || position >= logBytes) return null
      entries[index] = lastOffset = relativeOffset
      entries[index + 1] = lastPosition = position
    }
    return new OffsetIndex(entries)
  }

  get count(): number {
    return this.#count + (this.#unread?.count ?? 0)
  }

  /** Whether every entry is in memory. */
  get isComplete(): boolean {
    return this.#unread === null
  }

  /** What `new OffsetIndex` needs to go on without reading the file. */
  get summary(): UnreadOffsets {
    if (this.#count === 0) return this.#unread ?? { count: 0, lastRelativeOffset: -1, lastPosition: 0 }
    const at = this.#count * 2
    return {
      count: this.count,
      lastRelativeOffset: this.#entries[at - 2]!,
      lastPosition: this.#entries[at - 1]!,
    }
  }

  /** `summary` of the entries whose batches begin before `position`; every unread one does. */
  summaryBefore(position: number): UnreadOffsets {
    let count = this.#count
    while (count > 0 && this.#entries[count * 2 - 1]! >= position) count--
    if (count === 0) return this.#unread ?? { count: 0, lastRelativeOffset: -1, lastPosition: 0 }
    return {
      count: count + (this.#unread?.count ?? 0),
      lastRelativeOffset: this.#entries[count * 2 - 2]!,
      lastPosition: this.#entries[count * 2 - 1]!,
    }
  }

  /** The entries in memory, offsets and positions by turns: those behind the unread ones. */
  get inMemory(): Int32Array {
    return this.#entries.slice(0, this.#count * 2)
  }

  /** Puts the unread entries in front; false, with nothing changed, when `file` does not hold them. */
  complete(file: OffsetIndex): boolean {
    const unread = this.#unread
    if (unread === null) return true
    const at = unread.count * 2
    if (file.#count < unread.count) return false
    if (file.#entries[at - 2] !== unread.lastRelativeOffset) return false
    if (file.#entries[at - 1] !== unread.lastPosition) return false
    this.#prepend(file.#entries.subarray(0, at))
    return true
  }

  /** Puts entries that were made again from the batches in front, in place of the unread ones. */
  replaceUnread(made: OffsetIndex): void {
    this.#prepend(made.#entries.subarray(0, made.#count * 2))
  }

  #prepend(entries: Int32Array): void {
    const all = new Int32Array(entries.length + this.#count * 2)
    all.set(entries)
    all.set(this.#entries.subarray(0, this.#count * 2), entries.length)
    this.#entries = all
    this.#count = all.length >> 1
    this.#unread = null
  }

  /** Bytes of memory that the entries take. */
  get memoryBytes(): number {
    return this.#entries.byteLength
  }

  append(relativeOffset: number, position: number): void {
    const at = this.#count * 2
    if (at > 0) assert(relativeOffset > this.#entries[at - 2]! && position > this.#entries[at - 1]!)
    if (at === this.#entries.length) {
      const grown = new Int32Array(Math.max(16, at * 2))
      grown.set(this.#entries)
      this.#entries = grown
    }
    this.#entries[at] = relativeOffset
    this.#entries[at + 1] = position
    this.#count++
  }

  /** Position of a batch at or before the one that holds `relativeOffset`: 0 when no entry is that low. */
  positionFor(relativeOffset: number): number {
    const entry = this.#floor(0, relativeOffset)
    return entry < 0 ? 0 : this.#entries[entry * 2 + 1]!
  }

  /** The greatest indexed position that is at most `position`; 0 when there is none. A batch begins there. */
  boundaryFor(position: number): number {
    const entry = this.#floor(1, position)
    return entry < 0 ? 0 : this.#entries[entry * 2 + 1]!
  }

  /** Drops the entries whose batch begins at or after `position`. */
  truncate(position: number): void {
    while (this.#count > 0 && this.#entries[this.#count * 2 - 1]! >= position) this.#count--
  }

  /** The bytes of the file. */
  encode(): Uint8Array {
    assert(this.#unread === null, 'an index was written before it was read')
    const bytes = new Uint8Array(this.#count * offsetIndexEntryBytes)
    for (let index = 0; index < this.#count * 2; index++) writeInt32(bytes, index * 4, this.#entries[index]!)
    return bytes
  }

  /** Number of the last entry whose column (0 offset, 1 position) is at most `target`; -1 for none. */
  #floor(column: 0 | 1, target: number): number {
    assert(this.#unread === null, 'an index was asked before it was read')
    let low = 0
    let high = this.#count
    while (low < high) {
      const middle = (low + high) >>> 1
      if (this.#entries[middle * 2 + column]! <= target) low = middle + 1
      else high = middle
    }
    return low - 1
  }
}

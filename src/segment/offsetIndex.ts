import { assert } from '../model/assert.ts'
import { readInt32, writeInt32 } from './integers.ts'

/** Bytes of one entry: relative offset and position, int32 each. */
export const offsetIndexEntryBytes = 8

/**
 * The sparse index from offsets to positions of one segment. An entry (relativeOffset, position) names the
 * batch whose last record has `baseOffset + relativeOffset` and that begins at byte `position`. Both grow
 * strictly. Source: Kafka documentation, "Log".
 */
export class OffsetIndex {
  #entries: Int32Array
  #count: number

  constructor(entries: Int32Array = new Int32Array(0), count: number = entries.length >> 1) {
    this.#entries = entries
    this.#count = count
  }

  /** Decodes a whole index file; null when it is not one: odd length, not ascending, or beyond `logBytes`. */
  static decode(bytes: Uint8Array, logBytes: number): OffsetIndex | null {
    if (bytes.length % offsetIndexEntryBytes !== 0) return null
    const entries = new Int32Array(bytes.length >> 2)
    let lastOffset = -1
    let lastPosition = -1
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
    return this.#count
  }

  /** Bytes of memory that the entries take. */
  get memoryBytes(): number {
    return this.#entries.byteLength
  }

  append(relativeOffset: number, position: number): void {
    const at = this.#count * 2
    assert(at === 0 || (relativeOffset > this.#entries[at - 2]! && position > this.#entries[at - 1]!))
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
    if (this.#count > 0) this.#count = this.#floor(1, position - 1) + 1
  }

  /** The bytes of the file. */
  encode(): Uint8Array {
    const bytes = new Uint8Array(this.#count * offsetIndexEntryBytes)
    for (let index = 0; index < this.#count * 2; index++) writeInt32(bytes, index * 4, this.#entries[index]!)
    return bytes
  }

  /** Number of the last entry whose column (0 offset, 1 position) is at most `target`; -1 for none. */
  #floor(column: 0 | 1, target: number): number {
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

/** A `KeyMap` between threads: its memory is shared, not copied. Nobody changes it any more. */
export interface KeyMapState {
  readonly keys: SharedArrayBuffer
  readonly entries: SharedArrayBuffer
  readonly offsets: SharedArrayBuffer
  readonly slots: SharedArrayBuffer
  readonly count: number
  readonly seed: number
}

/** Memory that an entry takes besides its key: where the key begins and its hash, its offset, two slots. */
const entryBytes = 8 + 8 + 8

/**
 * The latest offset of each key, within a budget of bytes. Holds the keys themselves: two that share a hash are
 * never taken for one, which would lose a record.
 */
export class KeyMap {
  readonly #seed: number
  readonly #maxBytes: number
  #keys: Uint8Array<SharedArrayBuffer>
  #keyBytes = 0
  /** Two numbers an entry: where its key begins (it ends where the next begins), and the hash. */
  #entries: Uint32Array<SharedArrayBuffer>
  #offsets: Float64Array<SharedArrayBuffer>
  /** Number of an entry plus one, or 0; a power of two of them, at most half taken. */
  #slots: Uint32Array<SharedArrayBuffer>
  #count = 0

  /** `seed` keeps whoever chooses keys from choosing ones that all share a hash. */
  constructor(maxBytes: number, seed: number) {
    this.#maxBytes = maxBytes
    this.#seed = seed
    this.#keys = new Uint8Array(new SharedArrayBuffer(4096))
    this.#entries = new Uint32Array(new SharedArrayBuffer(8 * 128))
    this.#offsets = new Float64Array(new SharedArrayBuffer(8 * 128))
    this.#slots = new Uint32Array(new SharedArrayBuffer(4 * 256))
  }

  /** The map of another thread, to be asked only. */
  static from(state: KeyMapState): KeyMap {
    const map = new KeyMap(0, state.seed)
    map.#keys = new Uint8Array(state.keys)
    map.#entries = new Uint32Array(state.entries)
    map.#offsets = new Float64Array(state.offsets)
    map.#slots = new Uint32Array(state.slots)
    map.#count = state.count
    return map
  }

  get count(): number {
    return this.#count
  }

  state(): KeyMapState {
    return {
      keys: this.#keys.buffer,
      entries: this.#entries.buffer,
      offsets: this.#offsets.buffer,
      slots: this.#slots.buffer,
      count: this.#count,
      seed: this.#seed,
    }
  }

  /**
   * Notes that the key in `bytes` from `start` to `end` has a record at `offset`, greater than all before. False, with
   * nothing noted, when there is no room for one more key; `force` makes room.
   */
  put(bytes: Uint8Array, start: number, end: number, offset: number, force: boolean): boolean {
    const hash = hashOf(bytes, start, end, this.#seed)
    const slot = this.#find(bytes, start, end, hash)
    const known = this.#slots[slot]!
    if (known > 0) {
      this.#offsets[known - 1] = offset
      return true
    }
    const length = end - start
    if (!force && this.#keyBytes + length + (this.#count + 1) * entryBytes > this.#maxBytes) return false
    this.#reserve(length)
    this.#keys.set(bytes.subarray(start, end), this.#keyBytes)
    const entry = this.#count++
    this.#entries[entry * 2] = this.#keyBytes
    this.#entries[entry * 2 + 1] = hash
    this.#keyBytes += length
    this.#entries[entry * 2 + 2] = this.#keyBytes
    this.#offsets[entry] = offset
    this.#slots[slot] = entry + 1
    if (this.#count * 2 > this.#slots.length) this.#rehash()
    return true
  }

  /** The greatest offset of the key in `bytes` from `start` to `end`, -1 when it is not known. */
  get(bytes: Uint8Array, start: number, end: number): number {
    const slot = this.#find(bytes, start, end, hashOf(bytes, start, end, this.#seed))
    const known = this.#slots[slot]!
    return known === 0 ? -1 : this.#offsets[known - 1]!
  }

  /** The slot of the key, or the free one that it would get. */
  #find(bytes: Uint8Array, start: number, end: number, hash: number): number {
    const mask = this.#slots.length - 1
    for (let slot = hash & mask; ; slot = (slot + 1) & mask) {
      const known = this.#slots[slot]!
      if (known === 0) return slot
      const entry = (known - 1) * 2
      if (this.#entries[entry + 1] !== hash) continue
      const from = this.#entries[entry]!
      if (this.#entries[entry + 2]! - from !== end - start) continue
      let at = 0
      while (start + at < end && this.#keys[from + at] === bytes[start + at]) at++
      if (start + at === end) return slot
    }
  }

  #reserve(keyBytes: number): void {
    const wanted = this.#keyBytes + keyBytes
    if (wanted > this.#keys.length) {
      const grown = new Uint8Array(new SharedArrayBuffer(Math.max(wanted, this.#keys.length * 2)))
      grown.set(this.#keys)
      this.#keys = grown
    }
    // One more than there are entries: the end of the last key.
    if ((this.#count + 2) * 2 <= this.#entries.length) return
    const entries = new Uint32Array(new SharedArrayBuffer(this.#entries.byteLength * 2))
    entries.set(this.#entries)
    this.#entries = entries
    const offsets = new Float64Array(new SharedArrayBuffer(this.#offsets.byteLength * 2))
    offsets.set(this.#offsets)
    this.#offsets = offsets
  }

  #rehash(): void {
    const slots = new Uint32Array(new SharedArrayBuffer(this.#slots.byteLength * 2))
    const mask = slots.length - 1
    for (let entry = 0; entry < this.#count; entry++) {
      let slot = this.#entries[entry * 2 + 1]! & mask
      while (slots[slot] !== 0) slot = (slot + 1) & mask
      slots[slot] = entry + 1
    }
    this.#slots = slots
  }
}

/** MurmurHash3, 32 bits. */
function hashOf(bytes: Uint8Array, start: number, end: number, seed: number): number {
  let hash = seed | 0
  let at = start
  for (; at + 4 <= end; at += 4) {
    const word = bytes[at]! | (bytes[at + 1]! << 8) | (bytes[at + 2]! << 16) | (bytes[at + 3]! << 24)
    hash ^= scrambled(word)
    hash = (hash << 13) | (hash >>> 19)
    hash = (Math.imul(hash, 5) + 0xe6546b64) | 0
  }
  let tail = 0
  for (let shift = 0; at < end; at++, shift += 8) tail |= bytes[at]! << shift
  hash ^= scrambled(tail) ^ (end - start)
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b)
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35)
  return (hash ^ (hash >>> 16)) >>> 0
}

function scrambled(word: number): number {
  const mixed = Math.imul(word, 0xcc9e2d51)
  return Math.imul((mixed << 15) | (mixed >>> 17), 0x1b873593)
}

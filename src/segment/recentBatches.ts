const largest = 1024
/** One for all that have none. */
const nothing = new Float64Array(0)

/**
 * Where the latest batches of the active segment begin, so that readers at the tail need no disk. A ring that
 * grows from nothing to 1,024 batches. The batches in it follow each other without a gap.
 */
export class RecentBatches {
  /** Base offset and position of each batch, one after the other: what is added to many logs in turn touches one place. */
  #ring = nothing
  #capacity = 0
  /** Ring index of the oldest batch. */
  #first = 0
  #count = 0

  add(baseOffset: number, position: number): void {
    if (this.#count === this.#capacity) {
      if (this.#count === largest) {
        this.#first = (this.#first + 1) % largest
        this.#count--
      } else {
        this.#grow()
      }
    }
    const at = ((this.#first + this.#count) % this.#capacity) * 2
    this.#ring[at] = baseOffset
    this.#ring[at + 1] = position
    this.#count++
  }

  clear(): void {
    this.#first = 0
    this.#count = 0
  }

  /** Forgets the batches that begin at or after `position`. */
  truncate(position: number): void {
    while (this.#count > 0 && this.#position(this.#count - 1) >= position) this.#count--
  }

  /** Number (0 the oldest) of the batch that holds `offset`, -1 if that batch is not here. */
  indexOf(offset: number): number {
    let low = 0
    let high = this.#count
    while (low < high) {
      const middle = (low + high) >>> 1
      if (this.baseOffset(middle) <= offset) low = middle + 1
      else high = middle
    }
    return low - 1
  }

  baseOffset(index: number): number {
    return this.#ring[((this.#first + index) % this.#capacity) * 2]!
  }

  /** Where batch `index` begins; `end` for the index after the last. */
  position(index: number, end: number): number {
    return index >= this.#count ? end : this.#position(index)
  }

  /** The greatest start of a batch that is at most `position`, given that one at or before it is here. */
  boundaryFor(position: number): number {
    let low = 0
    let high = this.#count
    while (low < high) {
      const middle = (low + high) >>> 1
      if (this.#position(middle) <= position) low = middle + 1
      else high = middle
    }
    return this.#position(low - 1)
  }

  #position(index: number): number {
    return this.#ring[((this.#first + index) % this.#capacity) * 2 + 1]!
  }

  #grow(): void {
    const capacity = Math.min(largest, Math.max(8, this.#count * 2))
    const ring = new Float64Array(capacity * 2)
    for (let index = 0; index < this.#count; index++) {
      ring[index * 2] = this.baseOffset(index)
      ring[index * 2 + 1] = this.#position(index)
    }
    this.#ring = ring
    this.#capacity = capacity
    this.#first = 0
  }
}

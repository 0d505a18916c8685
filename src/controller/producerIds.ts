import type { ProducerIdBlock } from './commands.ts'

/**
 * Hands out producer ids one by one from blocks that the controller allocates. An id is handed out at most once,
 * however the process ends: a block is durable before any of its ids is used, and what is left of it at the end
 * is never used.
 */
export class ProducerIds {
  readonly #allocate: () => Promise<ProducerIdBlock>
  #next = 0
  /** Exclusive end of the current block. */
  #end = 0
  #allocating: Promise<void> | null = null

  /** `allocate` gives a new block, durable when it resolves. */
  constructor(allocate: () => Promise<ProducerIdBlock>) {
    this.#allocate = allocate
  }

  /** An id that nobody has. Rejects as `allocate` does; the next call tries again. */
  async next(): Promise<number> {
    // Many callers share one allocation, and there may be more of them than the block has ids.
    while (this.#next === this.#end) {
      this.#allocating ??= this.#refill()
      await this.#allocating
    }
    return this.#next++
  }

  async #refill(): Promise<void> {
    try {
      const { first, count } = await this.#allocate()
      this.#next = first
      this.#end = first + count
    } finally {
      this.#allocating = null
    }
  }
}

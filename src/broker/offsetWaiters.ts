interface OffsetWaiter {
  /** Exclusive. */
  readonly endOffset: number
  readonly settle: () => void
}

/** Who waits for offsets to be passed, lowest first. Most come in the order of their offsets. */
export class OffsetWaiters {
  #waiters: OffsetWaiter[] = []
  #first = 0

  get isEmpty(): boolean {
    return this.#first === this.#waiters.length
  }

  /** The lowest offset that somebody waits for, infinite for none. */
  get lowest(): number {
    return this.#waiters[this.#first]?.endOffset ?? Number.POSITIVE_INFINITY
  }

  /** Calls `settle` once everything below `endOffset` has been passed, or `settleAll` is called. */
  add(endOffset: number, settle: () => void): void {
    const waiters = this.#waiters
    let at = waiters.length
    while (at > this.#first && waiters[at - 1]!.endOffset > endOffset) at--
    if (at === waiters.length) waiters.push({ endOffset, settle })
    else waiters.splice(at, 0, { endOffset, settle })
  }

  /** Everything below `offset` is what they wait for. */
  passed(offset: number): void {
    const waiters = this.#waiters
    while (this.#first < waiters.length && waiters[this.#first]!.endOffset <= offset) {
      waiters[this.#first++]!.settle()
    }
    if (this.#first === waiters.length) {
      this.#waiters = []
      this.#first = 0
    } else if (this.#first > 1024) {
      this.#waiters = waiters.slice(this.#first)
      this.#first = 0
    }
  }

  /** Nobody waits any longer, whatever has been passed. */
  settleAll(): void {
    const waiters = this.#waiters.slice(this.#first)
    this.#waiters = []
    this.#first = 0
    for (const { settle } of waiters) settle()
  }
}

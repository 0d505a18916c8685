import type { AppendWaiter } from './tokens.ts'

/** Appends that wait for an offset to be passed, in the order of their offsets. */
export class AckQueue {
  #waiters: AppendWaiter[] = []
  #first = 0

  get isEmpty(): boolean {
    return this.#first === this.#waiters.length
  }

  /** `waiter.ack` is set, and lies behind those of all before. */
  add(waiter: AppendWaiter): void {
    this.#waiters.push(waiter)
  }

  /** Everything below `offset` is what its appends wait for. */
  passed(offset: number): void {
    const waiters = this.#waiters
    while (this.#first < waiters.length && waiters[this.#first]!.ack!.lastOffset < offset) {
      const waiter = waiters[this.#first++]!
      waiter.resolve(waiter.ack!)
    }
    if (this.#first === waiters.length) {
      this.#waiters = []
      this.#first = 0
    } else if (this.#first > 1024) {
      this.#waiters = waiters.slice(this.#first)
      this.#first = 0
    }
  }

  /** Nobody can say what becomes of them. */
  fail(error: Error): void {
    const waiters = this.#waiters.slice(this.#first)
    this.#waiters = []
    this.#first = 0
    for (const waiter of waiters) waiter.reject(error)
  }
}

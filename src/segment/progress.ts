import type { Logger } from '../model/logger.ts'
import type { Clock } from '../runtime/clock.ts'

/** How often it is said how far something has come. */
const everyMs = 1000

/** Says once a second how far a start has come, so that nobody takes a long one for a hanging one. */
export class Progress {
  readonly #clock: Clock
  readonly #logger: Logger
  readonly #what: string
  readonly #total: number
  #done = 0
  #saidMs: number

  constructor(clock: Clock, logger: Logger, what: string, total: number) {
    this.#clock = clock
    this.#logger = logger
    this.#what = what
    this.#total = total
    this.#saidMs = clock.monotonicMs()
  }

  /** One more of `total` has begun. */
  step(): void {
    this.#done++
    const nowMs = this.#clock.monotonicMs()
    if (nowMs - this.#saidMs < everyMs) return
    this.#saidMs = nowMs
    this.#logger.info(this.#what, { done: this.#done, total: this.#total })
  }
}

/**
 * Notices that a turn is over: calls `run` once `patience` rounds of microtasks have gone by in which nothing was added. Whoever
 * awaits an append through a few functions of its own appends again some microtasks after it was told; that still takes part.
 */
export class TurnEnd {
  readonly #patience: number
  readonly #run: () => void
  #isScheduled = false
  #left = 0
  /** What was added so far, and at the last look. */
  #added = 0
  #seen = 0

  constructor(patience: number, run: () => void) {
    this.#patience = patience
    this.#run = run
  }

  /** Something was added: a turn that is scheduled goes on a little longer. */
  added(): void {
    this.#added++
  }

  /** Has `run` called at the end of this turn. */
  schedule(): void {
    if (this.#isScheduled) return
    this.#isScheduled = true
    this.#left = this.#patience
    this.#seen = this.#added
    queueMicrotask(this.#look)
  }

  readonly #look = (): void => {
    if (this.#added !== this.#seen) {
      this.#seen = this.#added
      this.#left = this.#patience
    } else {
      this.#left--
    }
    if (this.#left > 0) {
      queueMicrotask(this.#look)
      return
    }
    this.#isScheduled = false
    this.#run()
  }
}

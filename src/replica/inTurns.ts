import type { Due, TimerWheel } from './timerWheel.ts'

/** So many things are done before others have their turn. */
const mostAtOnce = 256
/** How long until the next turn, in milliseconds. */
const pauseMs = 4

/**
 * Does what comes at once, for thousands of groups when a node is lost, in turns: what has arrived for others is read in between.
 * In the order in which it came; a few things are done at once.
 */
export class InTurns implements Due {
  dueMs = Number.POSITIVE_INFINITY
  slotMs = Number.POSITIVE_INFINITY
  readonly #wheel: TimerWheel
  readonly #nowMs: () => number
  #waiting: (() => void)[] = []
  /** What was done of `#waiting`. */
  #next = 0
  /** What was done in this turn. */
  #done = 0

  /** `nowMs` is the clock of the wheel. */
  constructor(wheel: TimerWheel, nowMs: () => number) {
    this.#wheel = wheel
    this.#nowMs = nowMs
  }

  /** Does it now, or when it is its turn. */
  add(run: () => void): void {
    if (this.#done === mostAtOnce || this.#next < this.#waiting.length) {
      this.#waiting.push(run)
      return
    }
    this.#done++
    if (this.dueMs === Number.POSITIVE_INFINITY) {
      this.dueMs = this.#nowMs() + pauseMs
      this.#wheel.arm(this)
    }
    run()
  }

  fire(nowMs: number): void {
    for (this.#done = 0; this.#done < mostAtOnce && this.#next < this.#waiting.length; this.#done++) {
      this.#waiting[this.#next++]!()
    }
    if (this.#next === this.#waiting.length) {
      this.#waiting = []
      this.#next = 0
    }
    this.dueMs = this.#done === 0 ? Number.POSITIVE_INFINITY : nowMs + pauseMs
  }
}

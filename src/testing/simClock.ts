import type { Clock, Timer } from '../runtime/clock.ts'

interface PendingTimer {
  readonly dueMs: number
  readonly order: number
  readonly fire: () => void
}

/** Time that stands still until somebody moves it. Timers fire in the order of their times, then of their making. */
export class SimClock implements Clock {
  #monotonicMs = 0
  #wallOffsetMs: number
  #timers: PendingTimer[] = []
  #made = 0

  /** Begins at `wallMs`, milliseconds since 1970. */
  constructor(wallMs = 1_700_000_000_000) {
    this.#wallOffsetMs = wallMs
  }

  wallMs(): number {
    return Math.trunc(this.#wallOffsetMs + this.#monotonicMs)
  }

  monotonicMs(): number {
    return this.#monotonicMs
  }

  setTimer(delayMs: number, fire: () => void): Timer {
    const dueMs = this.#monotonicMs + Math.max(0, delayMs)
    const timer: PendingTimer = { dueMs, order: this.#made++, fire }
    this.#timers.push(timer)
    return {
      cancel: () => {
        const at = this.#timers.indexOf(timer)
        if (at >= 0) this.#timers.splice(at, 1)
      },
    }
  }

  /** When the next timer is due, by the monotonic clock; null when there is none. */
  get nextDueMs(): number | null {
    return this.#next()?.dueMs ?? null
  }

  /** Moves on by `byMs` and fires what is due on the way. */
  advance(byMs: number): void {
    const endMs = this.#monotonicMs + byMs
    for (let next = this.#next(); next !== null && next.dueMs <= endMs; next = this.#next()) this.#fire(next)
    this.#monotonicMs = endMs
  }

  /** Moves on to the next timer and fires it; false when there is none. */
  advanceToNext(): boolean {
    const next = this.#next()
    if (next !== null) this.#fire(next)
    return next !== null
  }

  /** The wall clock jumps; the monotonic one and timers do not notice. */
  jumpWall(byMs: number): void {
    this.#wallOffsetMs += byMs
  }

  /** No timer fires any more: the process that set them is dead. */
  forgetTimers(): void {
    this.#timers = []
  }

  #next(): PendingTimer | null {
    let next: PendingTimer | null = null
    for (const timer of this.#timers) {
      if (
        next === null ||
        timer.dueMs < next.dueMs ||
        (timer.dueMs === next.dueMs && timer.order < next.order)
      )
        next = timer
    }
    return next
  }

  #fire(timer: PendingTimer): void {
    this.#timers.splice(this.#timers.indexOf(timer), 1)
    this.#monotonicMs = Math.max(this.#monotonicMs, timer.dueMs)
    timer.fire()
  }
}

import type { Clock, Timer } from '../../../src/runtime/clock.ts'

interface Armed {
  readonly atMs: number
  readonly order: number
  readonly fire: () => void
}

/** Lets everything that promises have set off happen. */
export async function settle(): Promise<void> {
  for (let turn = 0; turn < 30; turn++) await Promise.resolve()
}

/** A clock that moves only when it is told. */
export class FakeClock implements Clock {
  #nowMs = 1_000
  #wallOffsetMs = 1_700_000_000_000
  #timers = new Set<Armed>()
  #order = 0

  wallMs(): number {
    return this.#nowMs + this.#wallOffsetMs
  }

  monotonicMs(): number {
    return this.#nowMs
  }

  setTimer(delayMs: number, fire: () => void): Timer {
    const armed = { atMs: this.#nowMs + delayMs, order: this.#order++, fire }
    this.#timers.add(armed)
    return { cancel: () => this.#timers.delete(armed) }
  }

  /** Timers that have not fired. */
  get armed(): number {
    return this.#timers.size
  }

  /** Moves on, firing timers in order, and lets what they set off happen in between. */
  async advance(ms: number): Promise<void> {
    const end = this.#nowMs + ms
    for (;;) {
      await settle()
      const due = [...this.#timers].filter((timer) => timer.atMs <= end)
      const next = due.sort((a, b) => a.atMs - b.atMs || a.order - b.order)[0]
      if (next === undefined) break
      this.#timers.delete(next)
      this.#nowMs = Math.max(this.#nowMs, next.atMs)
      next.fire()
    }
    this.#nowMs = end
    await settle()
  }

  /** The wall clock jumps; the monotonic one does not. */
  jumpWall(ms: number): void {
    this.#wallOffsetMs += ms
  }
}

import { EngineError } from '../../model/errors.ts'
import type { Clock } from '../../runtime/clock.ts'

/** Between two attempts, at first and at most. Milliseconds. */
const firstPauseMs = 1
const longestPauseMs = 100
/** How long is waited for a disk that cannot read, all in all: more than most that passes takes, and one bad sector may cost. */
const patienceMs = 10_000

/**
 * Has a disk that cannot read asked again for a while: what is given up for lost is forgotten for good, and most errors pass. What
 * one block has used up is gone for all others, so that a start ends in time however much cannot be read.
 */
export class ReadPatience {
  readonly #clock: Clock
  #leftMs = patienceMs

  constructor(clock: Clock) {
    this.#clock = clock
  }

  /** What `read` gives. Rejects with what the disk says: of a failed read once there is no patience left, and after two attempts. */
  async read<T>(read: () => Promise<T>): Promise<T> {
    for (let attempts = 1, pauseMs = firstPauseMs; ; attempts++) {
      try {
        return await read()
      } catch (error) {
        if (!isReadError(error) || (this.#leftMs <= 0 && attempts > 1)) throw error
      }
      if (this.#leftMs <= 0) continue
      await this.#pause(pauseMs)
      pauseMs = Math.min(pauseMs * 2, longestPauseMs)
    }
  }

  async #pause(pauseMs: number): Promise<void> {
    this.#leftMs -= pauseMs
    await new Promise<void>((resolve) => void this.#clock.setTimer(pauseMs, resolve))
  }
}

/** Whether an error says that the disk could not read. */
export function isReadError(error: unknown): boolean {
  return error instanceof EngineError && error.code === 'diskFailed'
}

import { messageOf } from '../model/errors.ts'
import type { Logger } from '../model/logger.ts'
import type { Clock, Timer } from '../runtime/clock.ts'

/** Work that comes round again and again. An error is logged and the next round comes all the same. */
export class Background {
  readonly #clock: Clock
  readonly #logger: Logger
  readonly #timers = new Map<string, Timer>()
  readonly #running = new Set<Promise<void>>()
  #isClosed = false

  constructor(clock: Clock, logger: Logger) {
    this.#clock = clock
    this.#logger = logger
  }

  /** Runs `work` `everyMs` after its last end. `name` says what failed. */
  every(name: string, everyMs: number, work: () => Promise<unknown>): void {
    if (this.#isClosed) return
    this.#timers.set(
      name,
      this.#clock.setTimer(everyMs, () => {
        const round = this.#round(name, work).finally(() => {
          this.#running.delete(round)
          this.every(name, everyMs, work)
        })
        this.#running.add(round)
      }),
    )
  }

  /** No further rounds; resolves once those under way have ended. */
  async close(): Promise<void> {
    this.#isClosed = true
    for (const timer of this.#timers.values()) timer.cancel()
    await Promise.all(this.#running)
  }

  async #round(name: string, work: () => Promise<unknown>): Promise<void> {
    try {
      await work()
    } catch (error) {
      this.#logger.error(`${name} failed`, { error: messageOf(error) })
    }
  }
}

import type { LogFields, Logger } from '../model/logger.ts'
import type { Clock } from '../runtime/clock.ts'

/** A trouble that did not come up for so long is over. */
const calmMs = 60_000

/**
 * Warns of troubles that come up again and again while they last, such as a disk that is full: once for as long as each goes
 * on, however many logs it befalls, and however often somebody tries again.
 */
export class TroubleLog {
  readonly #clock: Clock
  readonly #logger: Logger
  /** When each came up last. */
  readonly #lastMs = new Map<string, number>()

  constructor(clock: Clock, logger: Logger) {
    this.#clock = clock
    this.#logger = logger
  }

  /** Of troubles with one `kind`, which are few, the first one is told. */
  warn(message: string, fields: LogFields, kind = message): void {
    const nowMs = this.#clock.monotonicMs()
    const lastMs = this.#lastMs.get(kind)
    this.#lastMs.set(kind, nowMs)
    if (lastMs === undefined || nowMs - lastMs >= calmMs) this.#logger.warn(message, fields)
  }
}

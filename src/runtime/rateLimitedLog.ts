import type { LogFields, Logger } from '../model/logger.ts'
import type { Clock } from './clock.ts'

const windowMs = 10_000
const maxKinds = 200

/**
 * Log lines that a stranger can cause, at most one of each kind every 10 seconds; the next one says how many
 * were left out. So nobody fills the disk by sending rubbish.
 */
export class RateLimitedLog {
  readonly #clock: Clock
  readonly #logger: Logger
  readonly #kinds = new Map<string, { sinceMs: number; suppressed: number }>()

  constructor(clock: Clock, logger: Logger) {
    this.#clock = clock
    this.#logger = logger
  }

  /** Warns, unless a line of this `kind` was written less than 10 seconds ago. */
  warn(kind: string, message: string, fields?: LogFields): void {
    this.#write('warn', kind, message, fields)
  }

  /** Like `warn`, for a bug that a stranger may have found. */
  error(kind: string, message: string, fields?: LogFields): void {
    this.#write('error', kind, message, fields)
  }

  #write(level: 'warn' | 'error', kind: string, message: string, fields?: LogFields): void {
    const nowMs = this.#clock.monotonicMs()
    const seen = this.#kinds.get(kind)
    if (seen && nowMs - seen.sinceMs < windowMs) {
      seen.suppressed += 1
      return
    }
    if (!seen && this.#kinds.size >= maxKinds) this.#kinds.clear()
    this.#kinds.set(kind, { sinceMs: nowMs, suppressed: 0 })
    const suppressed = seen?.suppressed ?? 0
    this.#logger[level](message, suppressed > 0 ? { ...fields, suppressed } : fields)
  }
}

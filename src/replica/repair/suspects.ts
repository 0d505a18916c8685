import { toEngineError } from '../../model/errors.ts'
import type { Logger } from '../../model/logger.ts'
import type { Clock, Timer } from '../../runtime/clock.ts'
import type { Log } from '../../segment/log.ts'

/** How long the disk is given for one file, by default: more than most of what passes takes. */
const defaultPatienceMs = 30_000
/** Pauses of one search. */
const pauses = 10
/** How long until what nobody could tell is looked at again, at first and at most. */
const firstRetryMs = 60_000
const lastRetryMs = 3_600_000

/** What a look at files needs of its host. */
export interface SuspectWorld {
  readonly clock: Clock
  readonly logger: Logger
  /** How long a read has to fail before it is taken for damage; 30 s by default. */
  readonly patienceMs?: number | undefined
  /** The log that a file belongs to, if others have copies of it; null otherwise. */
  logOf(file: string): Log | null
}

/**
 * Looks, one by one, at files of which a read has failed: whether that is for good. Then it is damage like any other, which somebody
 * else can mend. While the disk as a whole cannot read, nothing is.
 */
export class Suspects {
  readonly #world: SuspectWorld
  readonly #patienceMs: number
  readonly #files = new Map<string, { attempts: number; dueMs: number }>()
  /** Files that could be read when they were looked at, and until when that is believed. */
  readonly #cleared = new Map<string, number>()
  #running: Promise<void> | null = null
  #timer: Timer | null = null
  #wake: (() => void) | null = null
  #isClosed = false

  constructor(world: SuspectWorld) {
    this.#world = world
    this.#patienceMs = world.patienceMs ?? defaultPatienceMs
  }

  /** A read of `file` has failed. */
  note(file: string): void {
    const nowMs = this.#world.clock.monotonicMs()
    if (this.#isClosed || this.#files.has(file) || (this.#cleared.get(file) ?? nowMs) > nowMs) return
    if (this.#world.logOf(file) === null) return
    this.#files.set(file, { attempts: 0, dueMs: nowMs })
    this.#begin()
  }

  /** Ends; resolves once nothing is being read. */
  async close(): Promise<void> {
    this.#isClosed = true
    this.#timer?.cancel()
    this.#wake?.()
    await this.#running
  }

  #begin(): void {
    this.#timer?.cancel()
    this.#timer = null
    if (this.#isClosed || this.#running !== null) return
    const [next] = [...this.#files].sort(([, left], [, right]) => left.dueMs - right.dueMs)
    if (next === undefined) return
    const { clock } = this.#world
    const delayMs = next[1].dueMs - clock.monotonicMs()
    if (delayMs > 0) {
      this.#timer = clock.setTimer(Math.ceil(delayMs), () => this.#begin())
      this.#timer.detach?.()
      return
    }
    this.#running = this.#look(...next).then(() => {
      this.#running = null
      this.#begin()
    })
  }

  async #look(file: string, suspect: { attempts: number; dueMs: number }): Promise<void> {
    const { clock, logger } = this.#world
    const log = this.#world.logOf(file)
    let finding: Awaited<ReturnType<Log['findUnreadable']>> = 'readable'
    try {
      if (log !== null) finding = await log.findUnreadable(file, () => this.#pause())
    } catch (cause) {
      finding = 'unclear'
      const { message: error } = toEngineError(cause, 'diskFailed', 'reading a segment')
      logger.warn('whether a segment can be read could not be found out', { file, error })
    }
    const nowMs = clock.monotonicMs()
    if (finding === 'unclear') {
      suspect.dueMs = nowMs + Math.min(lastRetryMs, firstRetryMs * 2 ** suspect.attempts++)
      return
    }
    this.#files.delete(file)
    for (const [other, untilMs] of this.#cleared) if (untilMs <= nowMs) this.#cleared.delete(other)
    if (finding === 'readable') this.#cleared.set(file, nowMs + firstRetryMs)
    else logger.error('a part of a segment cannot be read for good: it counts as damaged', { file })
  }

  /** False when it was the last one. */
  async #pause(): Promise<boolean> {
    if (!this.#isClosed) {
      await new Promise<void>((resolve) => {
        const timer = this.#world.clock.setTimer(this.#patienceMs / pauses, resolve)
        timer.detach?.()
        this.#wake = () => {
          timer.cancel()
          resolve()
        }
      })
    }
    return !this.#isClosed
  }
}

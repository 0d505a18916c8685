import { getSystemErrorName } from 'node:util'
import type { Engine } from '../../native/index.js'
import type { DiskUrgency } from '../runtime/disk.ts'
import { type Addon, Stage } from './addon.ts'

/** How many files are synced at once. */
const syncThreads = 8

/** Told when an operation has ended: `errno` 0 is success. */
export type Done = (errno: number, file: number, stage: number) => void

/** One engine of the addon with what JavaScript remembers of it: who waits for which completion. */
export class EngineLink {
  readonly addon: Addon
  readonly engine: Engine
  readonly #tickets = new Map<number, Done>()
  readonly #connections = new Map<number, Done>()
  readonly #keepAlive: NodeJS.Timeout
  #idleWaiters: (() => void)[] = []
  #lastTicket = 0
  /** Used again for all completions. */
  readonly #events = new Float64Array(4 * 256)
  #wakes = false
  /** All that was queued in this turn is beside something urgent. */
  #isBeside = true
  readonly #wake = (): void => {
    this.#wakes = false
    this.engine.wakeWriter(this.#isBeside)
    this.#isBeside = true
  }

  /** `maxOpenFiles` null leaves the choice to the addon. */
  constructor(addon: Addon, maxOpenFiles: number | null) {
    this.addon = addon
    this.engine = new addon.Engine(() => this.#complete(), syncThreads, maxOpenFiles)
    // The addon never keeps the process alive; this does while somebody waits for the disk.
    this.#keepAlive = setInterval(() => {}, 2 ** 31 - 1)
    this.#keepAlive.unref()
  }

  /**
   * A ticket for an operation whose end `done` is told. The writer's thread is woken once the running JavaScript
   * has come to its end, for all operations that it has queued.
   */
  ticket(done: Done, urgency?: DiskUrgency): number {
    const ticket = this.number()
    // What is urgent has begun at once.
    if (urgency === undefined) this.#isBeside = false
    if (!this.#wakes && urgency !== 'urgent') {
      this.#wakes = true
      queueMicrotask(this.#wake)
    }
    this.expect(ticket, done)
    return ticket
  }

  /** A ticket for an operation that the writer's thread has no part in, and that may have no end to tell of. */
  number(): number {
    return ++this.#lastTicket
  }

  /** The end of an operation with a ticket of `number` is told to `done`. To be called in the turn that began it. */
  expect(ticket: number, done: Done): void {
    if (this.#tickets.size === 0) this.#keepAlive.ref()
    this.#tickets.set(ticket, done)
  }

  /** Takes a ticket back that was never used. */
  cancel(ticket: number): void {
    this.#tickets.delete(ticket)
    this.#checkIdle()
  }

  /** What happens on `connection` is told to `done` until `unwatch`. */
  watch(connection: number, done: Done): void {
    this.#connections.set(connection, done)
  }

  /** Ends `watch`. */
  unwatch(connection: number): void {
    this.#connections.delete(connection)
  }

  /** Resolves when no operation is under way. */
  async idle(): Promise<void> {
    while (this.#tickets.size > 0) await new Promise<void>((wake) => this.#idleWaiters.push(wake))
  }

  /** Ends the addon's engine, once no operation is under way; connections that are left go on until they are closed. */
  close(): void {
    clearInterval(this.#keepAlive)
    this.engine.closeFiles()
  }

  #complete(): void {
    const events = this.#events
    let length = events.length
    while (length === events.length) {
      length = this.engine.takeCompletions(events)
      this.#tell(events, length)
    }
    this.#checkIdle()
  }

  #tell(events: Float64Array, length: number): void {
    for (let at = 0; at < length; at += 4) {
      const ticket = events[at]!
      const stage = events[at + 3]!
      if (stage >= Stage.drained) {
        this.#connections.get(ticket)?.(events[at + 1]!, events[at + 2]!, stage)
      } else {
        const done = this.#tickets.get(ticket)
        this.#tickets.delete(ticket)
        done?.(events[at + 1]!, events[at + 2]!, stage)
      }
    }
  }

  #checkIdle(): void {
    if (this.#tickets.size > 0) return
    this.#keepAlive.unref()
    for (const wake of this.#idleWaiters.splice(0)) wake()
  }
}

/** The system's error with this number, as Node would throw it. */
export function systemError(errno: number): Error {
  const code = getSystemErrorName(-errno)
  return Object.assign(new Error(code), { code, errno: -errno })
}

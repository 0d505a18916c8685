import type { EngineError } from '../model/errors.ts'
import type { DiskSync } from '../runtime/disk.ts'
import type { SystemCalls } from './systemCalls.ts'

/** Something to do with one file, in its turn; `done` is called once, with null or the error. */
export interface FileOperation {
  readonly kind: 'write' | 'truncate'
  /** Where the bytes go; the new length for `truncate`. */
  readonly position: number
  /** Null for a plain sync. */
  readonly bytes: Uint8Array | null
  readonly sync: DiskSync
  readonly done: (error: EngineError | null) => void
}

/**
 * The queue of one file: operations run one after the other, a sync runs beside the writes that follow it and serves all
 * that were carried out before it began. A failed write fails what is queued behind it; a failed sync all later ones.
 */
export class SimFileQueue {
  readonly path: string
  readonly #calls: SystemCalls
  #queue: FileOperation[] = []
  #working = false
  #awaitingSync: FileOperation[] = []
  #syncing = false
  #nameSynced = false
  #syncFailure: EngineError | null = null
  #idleWaiters: (() => void)[] = []

  constructor(path: string, calls: SystemCalls) {
    this.path = path
    this.#calls = calls
  }

  get idle(): boolean {
    return !this.#working && !this.#syncing
  }

  /** Resolves when nothing is queued or running. */
  async settled(): Promise<void> {
    while (!this.idle) await new Promise<void>((wake) => this.#idleWaiters.push(wake))
  }

  push(operation: FileOperation): void {
    this.#queue.push(operation)
    if (!this.#working) void this.#work()
  }

  async #work(): Promise<void> {
    this.#working = true
    for (let next = this.#queue.shift(); next !== undefined; next = this.#queue.shift()) {
      try {
        await this.#carryOut(next)
      } catch (cause) {
        const error = this.#calls.error(cause, `cannot write ${this.path}`)
        const failed = [next, ...this.#queue.splice(0)]
        for (const operation of failed) operation.done(error)
        continue
      }
      if (next.sync === 'none') next.done(null)
      else this.#awaitSync(next)
    }
    this.#working = false
    this.#wakeIfIdle()
  }

  #carryOut(operation: FileOperation): Promise<void> {
    if (operation.kind === 'truncate') return this.#calls.truncate(this.path, operation.position)
    if (operation.bytes !== null) return this.#calls.write(this.path, operation.position, operation.bytes)
    return this.#calls.checkThere(this.path)
  }

  #awaitSync(operation: FileOperation): void {
    this.#awaitingSync.push(operation)
    if (!this.#syncing) void this.#sync()
  }

  async #sync(): Promise<void> {
    this.#syncing = true
    while (this.#awaitingSync.length > 0) {
      const served = this.#awaitingSync
      this.#awaitingSync = []
      let error = this.#syncFailure
      try {
        if (error === null) {
          await this.#calls.sync(this.path)
          if (!this.#nameSynced && served.some(({ sync }) => sync === 'dataAndName')) {
            await this.#calls.syncDirectory(this.path.slice(0, this.path.lastIndexOf('/')))
            this.#nameSynced = true
          }
        }
      } catch (cause) {
        error = this.#calls.syncError(cause, `cannot sync ${this.path}`)
        this.#syncFailure = error
      }
      for (const operation of served) operation.done(error)
    }
    this.#syncing = false
    this.#wakeIfIdle()
  }

  #wakeIfIdle(): void {
    if (this.idle) for (const wake of this.#idleWaiters.splice(0)) wake()
  }
}

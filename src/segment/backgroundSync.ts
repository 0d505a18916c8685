import { type EngineError, toEngineError } from '../model/errors.ts'
import type { DiskFile } from '../runtime/disk.ts'
import type { Runtime } from '../runtime/runtime.ts'
import { inParallel } from './inParallel.ts'

/** Files that are synced at the same time, one by one. */
const parallel = 4
/** From so many files on one sync of the whole file system is cheaper. */
const manyFiles = 64

/** What a log has written that no sync covers yet. */
export interface UnsyncedFiles {
  readonly files: readonly DiskFile[]
  /** Directories in which names are not durable yet. */
  readonly directories: readonly string[]
  /** Resolves, whatever becomes of them, when the writes that are on their way have ended. */
  readonly written: Promise<unknown>
  /** Everything has been synced. */
  synced(): void
  /**
   * A sync of one of the files has failed with `error`; resolves when what can be done about it is done, with what there is to sync
   * after all: null for nothing.
   */
  failed(error: EngineError): Promise<UnsyncedFiles | null>
}

/** A log that can be synced behind its acknowledgements. */
export interface SyncTarget {
  /** What there is to sync now; null for nothing. From now on it is the caller's to sync it. */
  takeUnsynced(): UnsyncedFiles | null
}

/**
 * Syncs logs behind their acknowledgements, one round at a time: whoever asks during a round is in the next one.
 * Nothing runs while nobody asks.
 */
export class BackgroundSync {
  readonly #runtime: Runtime
  /** Any path on the file system of the logs. */
  readonly #path: string
  #waiting = new Set<SyncTarget>()
  #round: Promise<void> | null = null

  constructor(runtime: Runtime, path: string) {
    this.#runtime = runtime
    this.#path = path
  }

  /** Has `target` synced soon; what goes wrong is told to it. */
  request(target: SyncTarget): void {
    this.#waiting.add(target)
    this.#round ??= this.#rounds()
  }

  /** Resolves when no round is running or asked for. */
  async idle(): Promise<void> {
    while (this.#round !== null) await this.#round
  }

  /** Syncs `targets` now and resolves when each of them has been told how it ended. */
  async sync(targets: Iterable<SyncTarget>): Promise<void> {
    const taken: UnsyncedFiles[] = []
    let count = 0
    for (const target of targets) {
      const unsynced = target.takeUnsynced()
      if (unsynced === null) continue
      taken.push(unsynced)
      count += unsynced.files.length
    }
    const { disk } = this.#runtime
    if (count >= manyFiles && disk.syncFileSystem !== undefined) await this.#syncAll(taken)
    else await inParallel(taken, parallel, (unsynced) => this.#syncOne(unsynced))
  }

  async #rounds(): Promise<void> {
    await Promise.resolve() // Whoever else asks in this turn takes part.
    try {
      while (this.#waiting.size > 0) {
        const targets = this.#waiting
        this.#waiting = new Set()
        await this.sync(targets)
      }
    } finally {
      this.#round = null
    }
  }

  async #syncAll(taken: readonly UnsyncedFiles[]): Promise<void> {
    await Promise.all(taken.map(({ written }) => written))
    try {
      await this.#runtime.disk.syncFileSystem!(this.#path)
    } catch {
      // Nobody can tell which file it was: the sync of each one does.
      await inParallel(taken, parallel, (unsynced) => this.#syncOne(unsynced))
      return
    }
    for (const unsynced of taken) unsynced.synced()
  }

  async #syncOne(taken: UnsyncedFiles): Promise<void> {
    for (let unsynced: UnsyncedFiles | null = taken; unsynced !== null; ) {
      try {
        for (const file of unsynced.files) await file.sync()
        for (const directory of unsynced.directories) await this.#runtime.disk.syncDirectory(directory)
      } catch (cause) {
        unsynced = await unsynced.failed(toEngineError(cause, 'diskFailed', 'a sync failed'))
        continue
      }
      unsynced.synced()
      return
    }
  }
}

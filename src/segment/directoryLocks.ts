import type { DiskLock } from '../runtime/disk.ts'
import type { Runtime } from '../runtime/runtime.ts'
import { parentOf, withoutSlash } from './durableNames.ts'
import { checkJournalPlace } from './journalPlace.ts'
import { lockDirectory } from './lockOwner.ts'

/** The locks of a data directory, and of the directory elsewhere that has its journal: a copy of the first would write there, too. */
export class DirectoryLocks implements DiskLock {
  readonly #locks: DiskLock[] = []

  /** Locks a data directory. Throws as `lockDirectory` does. */
  static async take(runtime: Runtime, dataDirectory: string): Promise<DirectoryLocks> {
    const locks = new DirectoryLocks()
    locks.#locks.push(await lockDirectory(runtime, dataDirectory))
    return locks
  }

  /** Locks the directory of its journal, unless that is in it. Throws as `checkJournalPlace` and `lockDirectory` do. */
  async takeJournal(runtime: Runtime, dataDirectory: string, journalDirectory: string): Promise<void> {
    await checkJournalPlace(runtime, dataDirectory, journalDirectory)
    if (parentOf(journalDirectory) === withoutSlash(dataDirectory)) return
    this.#locks.push(await lockDirectory(runtime, journalDirectory))
  }

  async release(): Promise<void> {
    for (let lock = this.#locks.pop(); lock !== undefined; lock = this.#locks.pop()) await lock.release()
  }
}

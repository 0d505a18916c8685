import type { Logger } from '../model/logger.ts'
import type { Disk, DiskFile } from '../runtime/disk.ts'
import type { Log } from './log.ts'

/** From so many files on one sync of the whole file system is cheaper. */
const manyFiles = 64

/** What `ReplayedFiles` needs to know. */
export interface ReplayedFilesOptions {
  readonly disk: Disk
  readonly logger: Logger
  /** One sync for everything; false where there is none, or it has failed: then each file says what became of it. */
  readonly syncAll: () => Promise<boolean>
  /** The open log in a directory; null for none. */
  readonly logIn: (directory: string) => Log | null
  /** Has what the journal has of the log in a directory, with which nobody goes on, stored in new files. */
  readonly rescue: (directory: string) => Promise<void>
}

/** The files that a replay has written: they are synced before the journal lets go of what it has of them. */
export class ReplayedFiles {
  readonly #options: ReplayedFilesOptions
  #files: ReadonlySet<DiskFile> = new Set()
  #directories: ReadonlySet<string> = new Set()
  /** Of files that could not be synced: how far their logs must have come by themselves. */
  readonly #goals = new Map<DiskFile, number>()

  constructor(options: ReplayedFilesOptions) {
    this.#options = options
  }

  /** Takes what a replay has written, and the directories that it is in. */
  take(files: ReadonlySet<DiskFile>, directories: ReadonlySet<string>): void {
    this.#files = files
    this.#directories = directories
  }

  /** Whether some of it may not be durable. */
  get isUnsynced(): boolean {
    return this.#files.size > 0
  }

  /** Makes all of it durable; nothing is left to do once that has succeeded. What was deleted since needs nothing. */
  async sync(): Promise<void> {
    if (this.#files.size === 0) return
    const { disk, syncAll } = this.#options
    if (this.#files.size < manyFiles || !(await syncAll())) {
      for (const file of this.#files) if ((await disk.stat(file.path)) !== null) await this.#syncFile(file)
      for (const path of this.#directories)
        if ((await disk.stat(path)) !== null) await disk.syncDirectory(path)
    }
    this.#files = new Set()
  }

  async #syncFile(file: DiskFile): Promise<void> {
    try {
      await file.sync()
    } catch (error) {
      const { logIn, rescue, logger } = this.#options
      const directory = file.path.slice(0, file.path.lastIndexOf('/'))
      const log = logIn(directory)
      if (log !== null && log.offline === null) {
        // It syncs what it was taken up with itself, and writes it anew when that fails.
        const goal = this.#goals.get(file) ?? log.logEndOffset
        this.#goals.set(file, goal)
        if (log.recoveryPoint >= goal) return
        throw error
      }
      logger.warn('a sync failed: what the journal has of the log is written into new files', {
        file: file.path,
        error: String(error),
      })
      await rescue(directory)
    }
  }
}

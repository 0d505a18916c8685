import type { Disk } from '../runtime/disk.ts'

/** The syncs of one directory. Whoever asks while one is running shares the next one with all others who do. */
export class SharedSync {
  readonly #disk: Pick<Disk, 'syncDirectory'>
  readonly #path: string
  #last: Promise<void> = Promise.resolve()
  #next: Promise<void> | null = null

  constructor(disk: Pick<Disk, 'syncDirectory'>, path: string) {
    this.#disk = disk
    this.#path = path
  }

  /** Resolves once a sync that began after this call has returned; rejects with the error of that one. */
  sync(): Promise<void> {
    if (this.#next === null) {
      const next = this.#last.then(() => {
        this.#next = null
        return this.#disk.syncDirectory(this.#path)
      })
      this.#next = next
      this.#last = next.catch(() => {})
    }
    return this.#next
  }
}

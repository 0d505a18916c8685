import type { Log } from './log.ts'

/** Logs that are there and that the start could not open: for want of descriptors, or because of a disk that has got better. */
export class UnopenedLogs {
  readonly #logs = new Map<string, () => Promise<Log>>()
  readonly #opening = new Map<string, Promise<Log>>()

  /** The log `name` could not be opened; `open` tries again. */
  add(name: string, open: () => Promise<Log>): void {
    this.#logs.set(name, open)
  }

  has(name: string): boolean {
    return this.#logs.has(name)
  }

  /** Tries to open a log again, once for all who ask meanwhile; null when there is no such log. Rejects as its opening does. */
  open(name: string): Promise<Log> | null {
    const open = this.#logs.get(name)
    if (open === undefined) return null
    let opening = this.#opening.get(name)
    if (opening === undefined) {
      opening = this.#open(name, open)
      this.#opening.set(name, opening)
    }
    return opening
  }

  async #open(name: string, open: () => Promise<Log>): Promise<Log> {
    try {
      const log = await open()
      this.#logs.delete(name)
      return log
    } finally {
      this.#opening.delete(name)
    }
  }
}

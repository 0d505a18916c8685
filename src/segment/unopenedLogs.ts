import type { Uuid } from '../model/uuid.ts'
import type { Log } from './log.ts'
import type { FoundLog } from './logFinder.ts'

/** Logs that are there and that the start could not open: for want of descriptors, or because of a disk that has got better. */
export class UnopenedLogs {
  readonly #logs = new Map<string, { readonly topicId: Uuid; open(): Promise<Log> }>()
  readonly #opening = new Map<string, Promise<Log>>()

  /** A log could not be opened; `open` tries again. */
  add({ name, topicId }: Pick<FoundLog, 'name' | 'topicId'>, open: () => Promise<Log>): void {
    this.#logs.set(name, { topicId, open })
  }

  /** The topic of a log; null when there is none of this name. */
  topicIdOf(name: string): Uuid | null {
    return this.#logs.get(name)?.topicId ?? null
  }

  has(name: string): boolean {
    return this.#logs.has(name)
  }

  /** Lets go of a log that is to be deleted, once nobody is opening it any more; false when it is not here, or is open by then. */
  async take(name: string): Promise<boolean> {
    while (this.#opening.has(name)) await this.#opening.get(name)!.catch(() => {})
    return this.#logs.delete(name)
  }

  /** Tries to open a log again, once for all who ask meanwhile; null when there is no such log. Rejects as its opening does. */
  open(name: string): Promise<Log> | null {
    const open = this.#logs.get(name)?.open
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

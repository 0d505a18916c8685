import type { Uuid } from '../model/uuid.ts'
import type { Runtime } from '../runtime/runtime.ts'
import type { BadRanges } from './badRanges.ts'
import { retire } from './deadDirectories.ts'
import type { NodeJournal } from './nodeJournal.ts'
import type { SharedSync } from './sharedSync.ts'

/** What giving up names needs of the data directory. */
export interface RetiringOptions {
  readonly runtime: Runtime
  readonly directory: string
  readonly journal: NodeJournal
  readonly names: SharedSync
  readonly badRanges: BadRanges
}

/** Takes the directories of logs from their names, for those that are deleted or set aside. */
export class RetiredLogs {
  readonly #options: RetiringOptions
  /** Names whose earlier logs may still have them after a power cut. */
  readonly #names = new Set<string>()
  /** Names that deleted logs could not give up, and what the journal calls those logs. */
  readonly #left = new Map<string, Uuid | null>()

  constructor(options: RetiringOptions) {
    this.#options = options
  }

  /** Whether a deleted log could not give up its name, so that nobody else can have it. */
  keeps(name: string): boolean {
    return this.#left.has(name)
  }

  /**
   * Gives the directory of a log whose deletion the journal has, and which that knows as `id`, another name; returns its path,
   * null where there is none. Where it fails the same may be asked for again, without the id.
   */
  async delete(name: string, id: Uuid | null = this.#left.get(name) ?? null): Promise<string | null> {
    this.#left.set(name, id)
    const deleted = await this.#rename(name, 'delete', null)
    this.#left.delete(name)
    if (id !== null) this.#options.journal.renamed(id)
    return deleted
  }

  /** Keeps the directory of a log under a name that says which one it was; returns its path. Durable when it resolves. */
  async setAside(name: string, id: Uuid): Promise<string | null> {
    const stray = await this.#rename(name, 'stray', id)
    await this.#options.names.sync()
    return stray
  }

  /** Resolves once another log may have the name: the journal's replay could not tell the old directory from the new one. */
  async settle(name: string): Promise<void> {
    if (!this.#names.has(name)) return
    await this.#options.names.sync()
    this.#names.delete(name)
  }

  async #rename(name: string, why: 'delete' | 'stray', id: Uuid | null): Promise<string | null> {
    const { runtime, directory, journal, badRanges } = this.#options
    const path = `${directory}/${name}`
    // What is known of its files is not known of those that the next log of the name has.
    badRanges.forgetIn(path)
    // The directory of a damaged log may be gone.
    if ((await runtime.disk.stat(path)) === null) return null
    const retired = await retire(runtime, path, why, id)
    this.#names.add(name)
    journal.namesChanged(null)
    return retired
  }
}

import { type EngineError, toEngineError, WriteError, type WriteFailure } from '../model/errors.ts'
import type { Disk, DiskFile, DiskSync, DiskWrite } from '../runtime/disk.ts'
import type { JournalEntry } from './journal/entries.ts'
import type { JournalWriter } from './logJournal.ts'
import type { SoloWrites } from './soloWrites.ts'

/** Told once how the group that it took part in ended. */
export interface WriteListener {
  /** Everything of the group is written, and synced as far as it asked for. */
  written(): void
  /** Some of the group may be missing; `failureIn` tells what. */
  failed(error: EngineError): void
}

/** A `DiskWrite` that still grows: contiguous bytes of one file become one write. */
interface GrowingWrite extends DiskWrite {
  readonly parts: Uint8Array[]
  sync: DiskSync
  endPosition: number
}

const syncStrength = { none: 0, data: 1, dataAndName: 2 } as const

interface SoloWrite {
  readonly queue: SoloWrites
  readonly write: DiskWrite
}

/**
 * The writes of one request, however many partitions it touches: one `Disk.submit` and one commit to the journal, but
 * for the policy `append`.
 */
export class WriteGroup {
  readonly #disk: Disk
  readonly #submitNow: (() => void) | null
  readonly #writes: GrowingWrite[] = []
  readonly #listeners: WriteListener[] = []
  #solo: SoloWrite[] | null = null
  #journal: JournalWriter | null = null
  readonly #entries: JournalEntry[] = []
  #submitted = false
  #written: Promise<unknown> = Promise.resolve()
  #isWritten = false

  /** A group that is not submitted in the function that makes it needs `submitNow`, which has its owner submit it. */
  constructor(disk: Disk, submitNow: (() => void) | null = null) {
    this.#disk = disk
    this.#submitNow = submitNow
  }

  /** Whether there is nothing to write: no partition took part, or all of them had seen their batches before. */
  get isEmpty(): boolean {
    return this.#writes.length === 0 && this.#solo === null
  }

  /** Whether `submit` was called: nothing more can be added. */
  get isSubmitted(): boolean {
    return this.#submitted
  }

  /** Has it submitted, if it is not: somebody is about to sync the files that it writes to. */
  submitNow(): void {
    if (!this.#submitted) this.#submitNow?.()
  }

  /** Resolves when the files have been written or that has failed, whatever the journal does. */
  get written(): Promise<unknown> {
    return this.#written.catch(() => {})
  }

  /** Whether the files have been written, and synced as far as was asked for. */
  get isWritten(): boolean {
    return this.#isWritten
  }

  /**
   * Adds bytes of one file. They must stay as they are until `submit` is called, and may change after it, in memory of
   * `Disk.lend` once `written` has resolved.
   */
  add(file: DiskFile, position: number, bytes: Uint8Array, sync: DiskSync): void {
    const last = this.#writes[this.#writes.length - 1]
    if (last !== undefined && last.file === file && last.endPosition === position) {
      last.parts.push(bytes)
      last.endPosition += bytes.length
      if (syncStrength[sync] > syncStrength[last.sync]) last.sync = sync
      return
    }
    this.#writes.push({ file, position, parts: [bytes], sync, endPosition: position + bytes.length })
  }

  /** Adds an entry for the journal, whose bytes must stay as they are until `submit` is called. */
  addEntry(journal: JournalWriter, entry: JournalEntry): void {
    this.#journal = journal
    this.#entries.push(entry)
  }

  /** Adds bytes that are written and synced by themselves, in the order of `queue`. */
  addAlone(queue: SoloWrites, file: DiskFile, position: number, bytes: Uint8Array, sync: DiskSync): void {
    this.#solo ??= []
    this.#solo.push({ queue, write: { file, position, parts: [bytes], sync } })
  }

  /** Whether the journal has a part in it. */
  get isJournaled(): boolean {
    return this.#journal !== null
  }

  /** Has `file`, of `sizeBytes` with what the group adds to it, synced with the group. */
  addSync(file: DiskFile, sizeBytes: number, sync: 'data' | 'dataAndName'): void {
    const known = this.#writes.findLast((write) => write.file === file)
    if (known === undefined) {
      this.#writes.push({ file, position: sizeBytes, parts: [], sync, endPosition: sizeBytes })
    } else if (syncStrength[sync] > syncStrength[known.sync]) {
      known.sync = sync
    }
  }

  /** Adds somebody to be told; each listener once per group. */
  listen(listener: WriteListener): void {
    this.#listeners.push(listener)
  }

  /**
   * Hands everything to the disk in one call, tells the listeners, then resolves; rejects with an `EngineError`, of which
   * `failureIn` says whom it concerns. What is not in lent memory is copied before this returns. Called at most once, in the same turn as `add`.
   */
  async submit(): Promise<void> {
    this.#submitted = true
    if (this.isEmpty) return
    try {
      await this.#write()
    } catch (cause) {
      const error = toEngineError(cause, 'diskFailed', 'a write failed')
      for (const listener of this.#listeners) listener.failed(error)
      throw error
    }
    for (const listener of this.#listeners) listener.written()
  }

  #write(): Promise<unknown> {
    if (this.#solo === null) {
      this.#written = this.#disk.submit(this.#writes, this.#journal === null ? undefined : 'beside')
    } else {
      const written = this.#solo.map(({ queue, write }) => queue.write(write))
      if (this.#writes.length > 0) written.push(this.#disk.submit(this.#writes))
      const solo = this.#solo
      this.#written = settleAll(written, (index) => {
        const alone = solo[index]
        return alone === undefined ? this.#writes.map(({ file }) => file.path) : [alone.write.file.path]
      })
    }
    if (this.#journal === null) return this.#written
    const written = this.#written.then(() => {
      this.#isWritten = true
    })
    const committed = this.#journal.commit(this.#entries)
    if (this.#submitNow !== null) this.#journal.start()
    // Without the journal nothing of the group counts.
    return settleAll([written, committed], (index) =>
      index === 0 ? this.#writes.map(({ file }) => file.path) : null,
    )
  }
}

/**
 * Resolves when all of `promises` have; rejects with what all of them say once all have ended. `concerned` gives the paths
 * that a rejection of the promise with this index means unless it names some itself; null for every file.
 */
function settleAll(
  promises: readonly Promise<unknown>[],
  concerned: (index: number) => readonly string[] | null,
): Promise<void> {
  return new Promise((resolve, reject) => {
    let missing = promises.length
    let failures: WriteFailure[] | null = null
    let rest: EngineError | null = null
    const end = (): void => {
      if (--missing > 0) return
      if (failures === null) resolve()
      else reject(new WriteError(failures, rest))
    }
    const fail = (cause: unknown, index: number): void => {
      const error = toEngineError(cause, 'diskFailed', 'a write failed')
      const paths = concerned(index)
      failures ??= []
      if (paths === null || paths.length === 0) rest ??= error
      else if (!(error instanceof WriteError)) failures.push(...paths.map((path) => ({ path, error })))
      else {
        failures.push(...error.failures)
        rest ??= error.rest
        // A failure that names nobody here is one of everybody here.
        if (!error.failures.some(({ path }) => paths.includes(path))) {
          failures.push(...paths.map((path) => ({ path, error })))
        }
      }
      end()
    }
    for (const [index, promise] of promises.entries()) {
      promise.then(end, (cause: unknown) => fail(cause, index))
    }
  })
}

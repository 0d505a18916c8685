import { type EngineError, toEngineError } from '../model/errors.ts'
import type { Disk, DiskFile, DiskSync, DiskWrite } from '../runtime/disk.ts'

/** Told once how the group that it took part in ended. */
export interface WriteListener {
  /** Everything of the group is written, and synced as far as it asked for. */
  written(): void
  /** Any part of the group may be missing. */
  failed(error: EngineError): void
}

/** A `DiskWrite` that still grows: contiguous bytes of one file become one write. */
interface GrowingWrite extends DiskWrite {
  readonly parts: Uint8Array[]
  sync: DiskSync
  endPosition: number
}

const syncStrength = { none: 0, data: 1, dataAndName: 2 } as const

/** The writes of one request, however many partitions it touches: one `Disk.submit`. */
export class WriteGroup {
  readonly #disk: Disk
  readonly #writes: GrowingWrite[] = []
  readonly #listeners: WriteListener[] = []
  #submitted = false

  constructor(disk: Disk) {
    this.#disk = disk
  }

  /** Whether there is nothing to write: no partition took part, or all of them had seen their batches before. */
  get isEmpty(): boolean {
    return this.#writes.length === 0
  }

  /** Whether `submit` was called: nothing more can be added. */
  get isSubmitted(): boolean {
    return this.#submitted
  }

  /** Adds bytes of one file. They must stay as they are until `submit` is called, and may change after it. */
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

  /** Adds somebody to be told; each listener once per group. */
  listen(listener: WriteListener): void {
    this.#listeners.push(listener)
  }

  /**
   * Hands everything to the disk in one call, tells the listeners, then resolves; rejects with the disk's
   * `EngineError`. The bytes are copied before this returns. Called at most once, in the same turn as `add`.
   */
  async submit(): Promise<void> {
    this.#submitted = true
    if (this.#writes.length === 0) return
    try {
      await this.#disk.submit(this.#writes)
    } catch (cause) {
      const error = toEngineError(cause, 'diskFailed', 'a write failed')
      for (const listener of this.#listeners) listener.failed(error)
      throw error
    }
    for (const listener of this.#listeners) listener.written()
  }
}

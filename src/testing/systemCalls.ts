import type { EngineError } from '../model/errors.ts'
import type { DirectoryEntry, FileStat } from '../runtime/disk.ts'
import { diskError, syncError } from '../runtime/node/systemErrors.ts'
import type { DiskCallKind, DiskPace } from './diskPace.ts'
import { type SimFileSystem, type SystemCode, SystemError } from './simFileSystem.ts'
import type { SimRandom } from './simRandom.ts'

/** One call that is about to be made. */
export interface DiskCall {
  readonly kind: DiskCallKind
  readonly path: string
  /** Where a read or write begins, and how many bytes it has; 0 for all other calls. */
  readonly position: number
  readonly length: number
}

/** What goes wrong with a call. */
export interface DiskFault {
  readonly code: SystemCode
  /** How much of a write is carried out first; nothing by default. */
  readonly writtenBytes?: number
}

/** Asked before every call; null lets it pass. */
export type DiskFaults = (call: DiskCall) => DiskFault | null

/**
 * The calls that a disk makes of a simulated system: each takes its time, and may fail as it is told to. Everything it
 * throws is what the system would report.
 */
export class SystemCalls {
  readonly fs: SimFileSystem
  readonly #pace: DiskPace
  readonly #random: SimRandom
  readonly #faults: DiskFaults | null
  /** Files that have been opened, and so need no descriptor of their own any more. */
  readonly #open = new Set<string>()

  constructor(fs: SimFileSystem, pace: DiskPace, random: SimRandom, faults: DiskFaults | null) {
    this.fs = fs
    this.#pace = pace
    this.#random = random
    this.#faults = faults
  }

  /** How many calls have begun and not ended. */
  running = 0
  /** How many calls have begun. */
  made = 0
  #isDead = false

  /** What the engine calls `cause`. */
  error(cause: unknown, attempt: string): EngineError {
    return diskError(cause, attempt)
  }

  /** What the engine calls `cause`, of a sync. */
  syncError(cause: unknown, attempt: string): EngineError {
    return syncError(cause, attempt)
  }

  /** Nobody makes calls any more: those that are running never return. */
  die(): void {
    this.#isDead = true
    this.running = 0
  }

  /** The file's descriptor is closed. */
  closed(path: string): void {
    this.#open.delete(path)
  }

  async write(path: string, position: number, bytes: Uint8Array): Promise<void> {
    await this.#opened(path)
    const fault = await this.#begin('write', path, position, bytes.length)
    const file = this.fs.open(path)
    if (fault === null) {
      this.fs.write(file, position, bytes)
      return
    }
    const written = bytes.subarray(0, Math.min(bytes.length, fault.writtenBytes ?? 0))
    this.fs.write(file, position, written)
    if (fault.code !== 'EINTR') throw new SystemError(fault.code)
    // Whoever is interrupted goes on where it was.
    await this.#begin('write', path, position + written.length, bytes.length - written.length)
    this.fs.write(file, position + written.length, bytes.subarray(written.length))
  }

  async truncate(path: string, sizeBytes: number): Promise<void> {
    await this.#opened(path)
    this.#throwIf(await this.#begin('truncate', path))
    this.fs.truncate(this.fs.fileAt(path), sizeBytes)
  }

  /** Throws `ENOENT` when there is no such file. */
  async checkThere(path: string): Promise<void> {
    await this.#opened(path)
    this.fs.fileAt(path)
  }

  /** fdatasync: what was written before it began is stored when it ends. */
  async sync(path: string): Promise<void> {
    const file = this.fs.fileAt(path)
    const upTo = this.fs.beginSync()
    const fault = await this.#begin('sync', path)
    if (fault === null) {
      this.fs.syncFile(file, upTo)
      return
    }
    const probability = this.#random.pick([0, 0.5, 0.9])
    this.fs.failSync(file, upTo, () => this.#random.chance(probability))
    throw new SystemError(fault.code)
  }

  async syncDirectory(path: string): Promise<void> {
    const directory = this.fs.directoryAt(path)
    const upTo = this.fs.beginSync()
    this.#throwIf(await this.#begin('syncDirectory', path))
    this.fs.syncDirectory(directory, upTo)
  }

  async syncFileSystem(path: string): Promise<void> {
    if (this.fs.find(path) === null) throw new SystemError('ENOENT')
    const upTo = this.fs.beginSync()
    this.#throwIf(await this.#begin('syncFileSystem', path))
    this.fs.syncAll(upTo)
  }

  async read(path: string, target: Uint8Array, position: number): Promise<number> {
    await this.#opened(path)
    this.#throwIf(await this.#begin('read', path, position, target.length))
    return this.fs.read(this.fs.fileAt(path), target, position)
  }

  async size(path: string): Promise<number> {
    await this.#opened(path)
    this.#throwIf(await this.#begin('stat', path))
    return this.fs.data(this.fs.fileAt(path)).sizeBytes
  }

  async stat(path: string): Promise<FileStat | null> {
    this.#throwIf(await this.#begin('stat', path))
    return this.fs.stat(path)
  }

  async list(path: string): Promise<readonly DirectoryEntry[]> {
    this.#throwIf(await this.#begin('list', path))
    return this.fs.list(path)
  }

  async rename(from: string, to: string): Promise<void> {
    this.#throwIf(await this.#begin('rename', from))
    this.fs.rename(from, to)
  }

  async makeDirectory(path: string): Promise<void> {
    const found = this.fs.stat(path)
    if (found !== null && found.kind === 'directory') return
    const parent = path.slice(0, path.lastIndexOf('/'))
    if (parent !== '' && this.fs.stat(parent) === null) await this.makeDirectory(parent)
    this.#throwIf(await this.#begin('makeDirectory', path))
    if (this.fs.stat(path)?.kind !== 'directory') this.fs.makeDirectory(path)
  }

  /** Removes a file, or a directory with all that is in it, name by name; no error if there is none. */
  async remove(path: string): Promise<void> {
    const found = this.fs.stat(path)
    if (found === null) return
    if (found.kind === 'directory') {
      for (const { name } of this.fs.list(path)) await this.remove(`${path}/${name}`)
    }
    this.#throwIf(await this.#begin('remove', path))
    if (this.fs.stat(path) !== null) this.fs.unlink(path)
  }

  async #opened(path: string): Promise<void> {
    if (this.#open.has(path)) return
    this.#throwIf(await this.#begin('open', path))
    this.#open.add(path)
  }

  async #begin(kind: DiskCallKind, path: string, position = 0, length = 0): Promise<DiskFault | null> {
    const fault = this.#faults === null ? null : this.#faults({ kind, path, position, length })
    this.made++
    const waited = this.#pace.wait(kind)
    if (waited !== null && !this.#isDead) {
      this.running++
      await waited
      if (!this.#isDead) this.running--
    }
    return this.#isDead ? new Promise(() => {}) : fault
  }

  #throwIf(fault: DiskFault | null): void {
    if (fault !== null) throw new SystemError(fault.code)
  }
}

import { assert } from '../model/assert.ts'
import { EngineError, WriteError, type WriteFailure } from '../model/errors.ts'
import type { FileRange } from '../model/fileRange.ts'
import { checkRange } from '../runtime/checkRange.ts'
import type { DirectoryEntry, Disk, DiskFile, DiskLock, DiskWrite, FileStat } from '../runtime/disk.ts'
import { checkBatches } from '../runtime/node/batchCheck.ts'
import { nameSyncError } from '../runtime/node/systemErrors.ts'
import { WriteBudget } from '../runtime/writeBudget.ts'
import { type DiskPace, turnPace } from './diskPace.ts'
import { LentMemory } from './lentMemory.ts'
import { SimFileQueue } from './simFileQueue.ts'
import type { SimFileSystem } from './simFileSystem.ts'
import { SimRandom } from './simRandom.ts'
import { type DiskFaults, SystemCalls } from './systemCalls.ts'

/** How a `SimDisk` is to be. */
export interface SimDiskOptions {
  /** Bound of `Disk.queuedBytes`; 64 MiB by default. */
  readonly maxQueuedBytes?: number
  /** What draws the interleaving, and what a failed sync leaves. */
  readonly random?: SimRandom
  /** A few turns of the microtask queue per call by default. */
  readonly pace?: DiskPace
  readonly faults?: DiskFaults
  /** What has been lent; several disks may share it. */
  readonly lent?: LentMemory
}

/**
 * One program's view of a simulated file system. Several may share one system; the death of a program is to forget its
 * disk, after `kill`.
 */
export class SimDisk implements Disk {
  readonly lend = (sizeBytes: number): Uint8Array => this.#lent.lend(sizeBytes)
  readonly #lent: LentMemory
  readonly #fs: SimFileSystem
  readonly #calls: SystemCalls
  readonly #budget: WriteBudget
  readonly #queues = new Map<string, SimFileQueue>()
  readonly #replacing = new Map<string, Promise<void>>()
  #closed = false

  constructor(fs: SimFileSystem, options: SimDiskOptions = {}) {
    const random = options.random ?? new SimRandom(0)
    this.#fs = fs
    this.#lent = options.lent ?? new LentMemory()
    this.#calls = new SystemCalls(fs, options.pace ?? turnPace(random), random, options.faults ?? null)
    this.#budget = new WriteBudget(options.maxQueuedBytes ?? 64 << 20)
  }

  get queuedBytes(): number {
    return this.#budget.queuedBytes
  }

  get maxQueuedBytes(): number {
    return this.#budget.maxQueuedBytes
  }

  file(path: string): DiskFile {
    return new SimFile(this, path)
  }

  submit(group: readonly DiskWrite[]): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#checkOpen()
      let groupBytes = 0
      for (const { position, parts } of group) {
        assert(position >= 0 && Number.isSafeInteger(position), 'a position is a whole number')
        for (const part of parts) groupBytes += part.length
      }
      this.#budget.take(groupBytes)
      let missing = group.length
      let failures: WriteFailure[] | null = null
      const copies = group.map(({ parts }) => copyOf(parts))
      const settle = (): void => {
        for (const [index, { file, parts }] of group.entries()) {
          this.#lent.check(file.path, parts, copies[index]!)
        }
        this.#budget.give(groupBytes)
        if (failures === null) resolve()
        else reject(new WriteError(failures))
      }
      if (missing === 0) {
        settle()
        return
      }
      for (const [index, { file, position, sync }] of group.entries()) {
        const done = (error: EngineError | null): void => {
          if (error !== null) {
            failures ??= []
            failures.push({ path: file.path, error })
          }
          if (--missing === 0) settle()
        }
        this.#queue(file.path).push({ kind: 'write', position, bytes: copies[index]!, sync, done })
      }
    })
  }

  room(): Promise<void> {
    return this.#budget.room()
  }

  makeDirectory(path: string): Promise<void> {
    return this.#attempt(`cannot make the directory ${path}`, () => this.#calls.makeDirectory(path))
  }

  list(path: string): Promise<readonly DirectoryEntry[]> {
    return this.#attempt(`cannot list ${path}`, () => this.#calls.list(path))
  }

  stat(path: string): Promise<FileStat | null> {
    return this.#attempt(`cannot look at ${path}`, () => this.#calls.stat(path))
  }

  rename(from: string, to: string): Promise<void> {
    return this.#attempt(`cannot rename ${from} to ${to}`, async () => {
      await this.#forget(from)
      await this.#forget(to)
      await this.#calls.rename(from, to)
    })
  }

  moveFile(file: DiskFile, to: string): Promise<void> {
    return this.#attempt(`cannot rename ${file.path} to ${to}`, async () => {
      await this.#forget(file.path)
      await this.#forget(to)
      await this.#calls.rename(file.path, to)
      ;(file as SimFile).path = to
    })
  }

  remove(path: string): Promise<void> {
    return this.#attempt(`cannot remove ${path}`, async () => {
      await this.#forget(path)
      await this.#calls.remove(path)
    })
  }

  async syncDirectory(path: string): Promise<void> {
    this.#checkOpen()
    try {
      await this.#calls.syncDirectory(path)
    } catch (cause) {
      throw nameSyncError(cause, `cannot sync the directory ${path}`)
    }
  }

  /** Makes everything of the file system durable that was done before. */
  syncFileSystem(path: string): Promise<void> {
    return this.#attempt(`cannot sync the file system of ${path}`, () => this.#calls.syncFileSystem(path))
  }

  async mountOf(): Promise<string | null> {
    this.#checkOpen()
    return this.#fs.mount
  }

  /** Nothing is kept in memory: every range is read and checked. */
  async prepare(ranges: readonly FileRange[]): Promise<void> {
    for (const range of ranges) {
      const { path } = range.file
      await checkRange(range, (target, position) => this.readAt(path, target, position), checkBatches)
    }
  }

  readFile(path: string, maxBytes = 64 << 20): Promise<Uint8Array> {
    return this.#attempt(`cannot read ${path}`, async () => {
      const size = await this.#calls.size(path)
      if (size > maxBytes) {
        throw new EngineError(
          'unsupportedFormat',
          `${path} has ${size} bytes; at most ${maxBytes} are read at once`,
        )
      }
      const bytes = Buffer.alloc(size)
      return bytes.subarray(0, await this.#calls.read(path, bytes, 0))
    })
  }

  replaceFile(path: string, bytes: Uint8Array): Promise<void> {
    const copy = Uint8Array.from(bytes)
    const before = this.#replacing.get(path) ?? Promise.resolve()
    const replaced = before.catch(() => {}).then(() => this.#replace(path, copy))
    this.#replacing.set(path, replaced)
    return replaced
  }

  async lock(path: string, owner: string): Promise<DiskLock> {
    const held = this.#fs.locks.get(path)
    if (held !== undefined) {
      const who = held.owner.trim().replaceAll(/\s*\n\s*/g, ', ')
      const directory = path.slice(0, path.lastIndexOf('/'))
      throw new EngineError('directoryLocked', `${directory} is in use by ${who}`)
    }
    this.#fs.locks.set(path, { holder: this, owner })
    const release = async (): Promise<void> => {
      if (this.#fs.locks.get(path)?.holder === this) this.#fs.locks.delete(path)
    }
    try {
      await this.#calls.write(path, 0, Buffer.from(owner))
    } catch (cause) {
      await release()
      throw this.#calls.error(cause, `cannot lock ${path}`)
    }
    return { release }
  }

  async space(): Promise<{ readonly freeBytes: number; readonly totalBytes: number }> {
    const totalBytes = Math.min(this.#fs.capacityBytes, 2 ** 40)
    return { freeBytes: Math.max(0, totalBytes - this.#fs.usedBytes), totalBytes }
  }

  async close(): Promise<void> {
    this.#closed = true
    await Promise.all([...this.#queues.values()].map((queue) => queue.settled()))
    this.#queues.clear()
  }

  /** Whether a call of the system is running. */
  get isBusy(): boolean {
    return this.#calls.running > 0
  }

  /** How many calls of the system have been made. */
  get callCount(): number {
    return this.#calls.made
  }

  /** The program dies: its locks are free. */
  kill(): void {
    this.#closed = true
    this.#calls.die()
    for (const [path, { holder }] of this.#fs.locks) if (holder === this) this.#fs.locks.delete(path)
  }

  /** `DiskFile.read`. */
  readAt(path: string, target: Uint8Array, position: number): Promise<number> {
    return this.#attempt(`cannot read ${path}`, () => this.#calls.read(path, target, position))
  }

  /** `DiskFile.size`. */
  sizeOf(path: string): Promise<number> {
    return this.#attempt(`cannot look at ${path}`, () => this.#calls.size(path))
  }

  /** `DiskFile.truncate`, or `DiskFile.sync` when `sizeBytes` is null. */
  change(path: string, sizeBytes: number | null): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#checkOpen()
      this.#queue(path).push({
        kind: sizeBytes === null ? 'write' : 'truncate',
        position: sizeBytes ?? 0,
        bytes: null,
        sync: sizeBytes === null ? 'data' : 'none',
        done: (error) => (error === null ? resolve() : reject(error)),
      })
    })
  }

  /** `DiskFile.dropCached`. */
  async dropCached(path: string): Promise<void> {
    this.#checkOpen()
    await this.#queues.get(path)?.settled()
    if (this.#fs.stat(path)?.kind === 'file') this.#fs.dropCached(this.#fs.fileAt(path))
  }

  /** `DiskFile.close`. */
  async closeFile(path: string): Promise<void> {
    const queue = this.#queues.get(path)
    if (queue !== undefined) {
      await queue.settled()
      if (this.#queues.get(path) === queue && queue.idle) this.#queues.delete(path)
    }
    this.#calls.closed(path)
  }

  async #replace(path: string, bytes: Uint8Array): Promise<void> {
    const temporary = `${path}.tmp`
    await this.#attempt(`cannot replace ${path}`, async () => {
      try {
        if (this.#fs.stat(temporary) !== null) await this.#calls.truncate(temporary, 0)
        await this.#calls.write(temporary, 0, bytes)
        await this.#calls.sync(temporary)
        await this.#calls.rename(temporary, path)
        await this.#calls.syncDirectory(path.slice(0, path.lastIndexOf('/')))
      } catch (cause) {
        await this.#calls.remove(temporary).catch(() => {})
        throw cause
      } finally {
        this.#calls.closed(temporary)
      }
    })
    await this.#forget(path)
  }

  #queue(path: string): SimFileQueue {
    let queue = this.#queues.get(path)
    if (queue === undefined) {
      queue = new SimFileQueue(path, this.#calls)
      this.#queues.set(path, queue)
    }
    return queue
  }

  /** Closes everything at or below `path`. */
  async #forget(path: string): Promise<void> {
    const prefix = `${path}/`
    for (const known of [...this.#queues.keys()]) {
      if (known === path || known.startsWith(prefix)) await this.closeFile(known)
    }
  }

  async #attempt<T>(what: string, body: () => Promise<T>): Promise<T> {
    this.#checkOpen()
    try {
      return await body()
    } catch (cause) {
      throw this.#calls.error(cause, what)
    }
  }

  #checkOpen(): void {
    if (this.#closed) throw new EngineError('closed', 'the disk has been closed')
  }
}

class SimFile implements DiskFile {
  path: string
  readonly #disk: SimDisk

  constructor(disk: SimDisk, path: string) {
    this.#disk = disk
    this.path = path
  }

  async read(target: Uint8Array, position: number): Promise<number> {
    for (;;) {
      const { path } = this
      try {
        const count = await this.#disk.readAt(path, target, position)
        if (path === this.path) return count
      } catch (error) {
        if (path === this.path) throw error
      }
      // It was moved meanwhile: the old path may be another file's.
    }
  }

  size(): Promise<number> {
    return this.#disk.sizeOf(this.path)
  }

  truncate(sizeBytes: number): Promise<void> {
    return this.#disk.change(this.path, sizeBytes)
  }

  sync(): Promise<void> {
    return this.#disk.change(this.path, null)
  }

  dropCached(): Promise<void> {
    return this.#disk.dropCached(this.path)
  }

  close(): Promise<void> {
    return this.#disk.closeFile(this.path)
  }
}

/** The bytes of `parts` one after the other, in memory of their own. */
function copyOf(parts: readonly Uint8Array[]): Uint8Array {
  if (parts.length === 1) return Uint8Array.from(parts[0]!)
  let length = 0
  for (const part of parts) length += part.length
  const copy = new Uint8Array(length)
  let at = 0
  for (const part of parts) {
    copy.set(part, at)
    at += part.length
  }
  return copy
}

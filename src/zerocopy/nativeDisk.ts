import { describeFault } from '../model/batchFault.ts'
import { CorruptionError, EngineError, WriteError, type WriteFailure } from '../model/errors.ts'
import type { FileHandle, FileRange } from '../model/fileRange.ts'
import type {
  Disk,
  DiskFile,
  DiskLock,
  DiskSync,
  DiskUrgency,
  DiskWrite,
  MappedFile,
} from '../runtime/disk.ts'
import { DescriptorTable, descriptorsForFiles } from '../runtime/node/descriptors.ts'
import { assertPosition, DiskBase } from '../runtime/node/diskBase.ts'
import type { NodeDiskOptions } from '../runtime/node/nodeDisk.ts'
import { diskError, syncError } from '../runtime/node/systemErrors.ts'
import { GroupOrder, Stage, WriteFlag } from './addon.ts'
import { type EngineLink, systemError } from './engineLink.ts'
import { GroupBytes, noBytes } from './groupBytes.ts'
import { faultKinds } from './nativeChecksum.ts'
import { lockForEngine } from './nativeLock.ts'
import { NativeMap } from './nativeMap.ts'
import { putRange, rangeNumbers } from './rangePlan.ts'

/** Less than this is ordinary memory, which costs less to have and little to copy. */
const leastLentBytes = 16 << 10
/** Reads up to this length are tried in the calling thread first, which only gets what is in memory. */
const inlineReadBytes = 64 << 10

const syncFlags: Readonly<Record<DiskSync, number>> = {
  none: 0,
  data: WriteFlag.sync,
  dataAndName: WriteFlag.sync | WriteFlag.syncName,
}

/**
 * `Disk` over the addon: writes, truncations and syncs go to its threads, in order. Reads and operations on
 * names go through Node, which does them on threads of its own.
 */
export class NativeDisk extends DiskBase implements Disk {
  /** Where the runtime wants to have all memory itself it is ordinary memory, which is copied. */
  readonly lend = (sizeBytes: number): Uint8Array => {
    const lent = sizeBytes < leastLentBytes ? null : this.#link.addon.lend(sizeBytes)
    return lent === null ? Buffer.allocUnsafeSlow(sizeBytes) : new Uint8Array(lent)
  }

  readonly #link: EngineLink
  /** The files that the addon has a number of. */
  readonly #byPath = new Map<string, NativeFile>()
  readonly #byId = new Map<number, NativeFile>()
  /** Used again for every group: four numbers a write, two numbers a part. */
  #writes = new Float64Array(4 * 64)
  #pieces = new Float64Array(2 * 64)
  /** Woken when an operation on some file has ended; they look by themselves which. */
  #idleWaiters: (() => void)[] = []
  /** Used again for every `prepare`. */
  #ranges = new Float64Array(rangeNumbers * 64)

  constructor(link: EngineLink, options: NodeDiskOptions = {}) {
    // By default the addon takes a quarter of what the process may have, half of what is for files.
    const own = Math.min(256, descriptorsForFiles() >> 1)
    super(new DescriptorTable(options.maxOpenFiles ?? own), options.maxQueuedBytes)
    this.#link = link
  }

  file(path: string): DiskFile {
    return new NativeFile(this, path)
  }

  submit(group: readonly DiskWrite[], urgency?: DiskUrgency): Promise<void> {
    return new Promise((resolve, reject) => {
      this.checkOpen()
      const files: NativeFile[] = []
      if (group.length * 4 > this.#writes.length) this.#writes = new Float64Array(group.length * 8)
      const writes = this.#writes
      const bytes = new GroupBytes(this.#pieces)
      let at = 0
      for (const write of group) {
        const file = this.#own(write.file)
        files.push(file)
        for (const part of write.parts) bytes.add(part)
        assertPosition(write.position)
        writes[at++] = file.id
        writes[at++] = write.position
        writes[at++] = write.parts.length
        writes[at++] = syncFlags[write.sync]
      }
      this.#pieces = bytes.pieces
      const { total, memory, apart } = bytes
      this.budget.take(total)
      for (const file of files) file.pending++
      const finish = (): void => {
        this.budget.give(total)
        for (const file of files) file.pending--
        this.#wakeIdle()
      }
      const ticket = this.#link.ticket((errno, file, stage) => {
        finish()
        if (errno === 0) resolve()
        else reject(this.#groupFailure(ticket, errno, file, stage))
      }, urgency)
      try {
        const order = GroupOrder[urgency ?? 'common']
        this.#link.engine.submit(ticket, writes, group.length, memory, bytes.pieces, apart, order)
      } catch (error) {
        this.#link.cancel(ticket)
        finish()
        throw error
      }
    })
  }

  syncFileSystem(path: string): Promise<void> {
    return new Promise((resolve, reject) => {
      this.checkOpen()
      const ticket = this.#link.ticket((errno) => {
        if (errno === 0) resolve()
        else reject(syncError(systemError(errno), `cannot sync the file system of ${path}`))
      })
      this.#link.engine.syncFileSystem(ticket, path)
    })
  }

  /** Mount numbers that are never used again are of Linux 6.8 and later. */
  async mountOf(path: string): Promise<string | null> {
    this.checkOpen()
    const mount = this.#link.addon.mountOf(path)
    if (mount === null) return null
    const boot = Buffer.from(await this.readFile('/proc/sys/kernel/random/boot_id')).toString()
    return `${boot.trim()}/${mount}`
  }

  prepare(ranges: readonly FileRange[]): Promise<void> | null {
    this.checkOpen()
    const numbers = ranges.length * rangeNumbers
    if (numbers > this.#ranges.length) this.#ranges = new Float64Array(2 * numbers)
    for (const [index, range] of ranges.entries()) {
      putRange(this.#ranges, index * rangeNumbers, this.#own(range.file).id, range)
    }
    const ticket = this.#link.number()
    if (this.#link.engine.prepare(ticket, this.#ranges, ranges.length)) return null
    return new Promise((resolve, reject) => {
      this.#link.expect(ticket, (errno, file, stage) => {
        if (stage === Stage.damaged) reject(this.#damage(ticket, file))
        else if (errno !== 0) reject(this.rangeFailure(errno, file, 'read'))
        else resolve()
      })
    })
  }

  map(path: string): Promise<MappedFile> {
    return new Promise((resolve, reject) => {
      this.checkOpen()
      const ticket = this.#link.ticket((errno, id) => {
        if (errno === 0) resolve(new NativeMap(this.#link, path, id))
        else reject(diskError(systemError(errno), `cannot map ${path}`))
      })
      this.#link.engine.mapFile(ticket, path)
    })
  }

  override lock(path: string, owner: string): Promise<DiskLock> {
    return lockForEngine(this.#link, path, owner)
  }

  async close(): Promise<void> {
    if (this.closed) return
    this.closed = true
    await this.#link.idle()
    this.#link.close()
    for (const file of [...this.#byPath.values()]) this.#forget(file)
    await this.descriptors.closeAll()
  }

  /** The addon's number of a file of this disk. No I/O. Throws `closed`: a closed disk opens nothing. */
  fileId(file: NativeFile): number {
    this.checkOpen()
    return this.#own(file).id
  }

  /** `DiskFile.read`. */
  async readAt(file: NativeFile, target: Uint8Array, position: number): Promise<number> {
    this.checkOpen()
    assertPosition(position)
    const { id } = this.#own(file)
    const { engine } = this.#link
    if (target.length > inlineReadBytes) engine.forgetLost(id, position, target.length)
    else if (target.length > 0 && engine.readResident(id, target, position)) return target.length
    return this.reader.read(file.path, target, position)
  }

  /** `DiskFile.truncate`, or `DiskFile.sync` when `sizeBytes` is null. */
  change(file: NativeFile, sizeBytes: number | null): Promise<void> {
    return new Promise((resolve, reject) => {
      this.checkOpen()
      if (sizeBytes !== null) assertPosition(sizeBytes)
      const known = this.#own(file)
      const { id } = known
      const { engine } = this.#link
      const finish = (): void => {
        known.pending--
        this.#wakeIdle()
      }
      const ticket = this.#link.ticket((errno, failed, stage) => {
        finish()
        if (errno === 0) resolve()
        else reject(this.#failure(ticket, errno, failed, stage))
      })
      known.pending++
      try {
        if (sizeBytes !== null) {
          engine.truncate(ticket, id, sizeBytes)
        } else {
          this.#writes.set([id, 0, 0, WriteFlag.sync | WriteFlag.mustExist])
          engine.submit(ticket, this.#writes, 1, noBytes, this.#pieces, [], GroupOrder.common)
        }
      } catch (error) {
        this.#link.cancel(ticket)
        finish()
        throw error
      }
    })
  }

  /** `DiskFile.dropCached`. */
  async dropCached(path: string): Promise<void> {
    this.checkOpen()
    this.#link.addon.dropCached(path)
  }

  async closeFile(path: string): Promise<void> {
    const file = this.#byPath.get(path)
    if (file !== undefined) {
      while (file.pending > 0) await new Promise<void>((wake) => this.#idleWaiters.push(wake))
      if (this.#byId.get(file.id) === file) this.#forget(file)
    }
    await this.descriptors.close(path)
  }

  /** The file that the addon knows by a number: `file`, or whoever was used for its path before. */
  #own(file: FileHandle): NativeFile {
    if (!(file instanceof NativeFile) || file.disk !== this) {
      throw new EngineError('notFound', `${file.path} belongs to another disk`)
    }
    return file.id === 0 ? this.#registered(file) : file
  }

  #registered(file: NativeFile): NativeFile {
    const other = this.#byPath.get(file.path)
    if (other !== undefined) return other
    file.id = this.#link.engine.registerFile(file.path)
    this.#byPath.set(file.path, file)
    this.#byId.set(file.id, file)
    return file
  }

  #forget(file: NativeFile): void {
    this.#byPath.delete(file.path)
    this.#byId.delete(file.id)
    this.#link.engine.forgetFile(file.id)
    file.id = 0
  }

  #wakeIdle(): void {
    if (this.#idleWaiters.length === 0) return
    for (const wake of this.#idleWaiters.splice(0)) wake()
  }

  /**
   * The addon names one file that failed, and gives the others if there are any. One that has been closed meanwhile has no name
   * any more: then nobody can tell whose it was, and the whole group has failed.
   */
  #groupFailure(ticket: number, errno: number, file: number, stage: number): EngineError {
    const more = this.#link.engine.takeFailures(ticket)
    const numbers = more.length > 0 ? more : [errno, file, stage]
    const failures: WriteFailure[] = []
    let rest: EngineError | null = null
    for (let at = 0; at < numbers.length; at += 3) {
      const error = this.#failure(ticket, numbers[at]!, numbers[at + 1]!, numbers[at + 2]!)
      const path = this.#byId.get(numbers[at + 1]!)?.path
      if (path === undefined) rest ??= error
      else failures.push({ path, error })
    }
    return new WriteError(failures, rest)
  }

  #failure(ticket: number, errno: number, file: number, stage: number): EngineError {
    if (stage === Stage.synced) return syncError(systemError(errno), `cannot sync ${this.#pathOf(file)}`)
    this.#link.engine.forgive(file, ticket)
    return this.rangeFailure(errno, file, 'write')
  }

  /** The error for a system error on the file with this number. */
  rangeFailure(errno: number, file: number, verb: string): EngineError {
    return diskError(systemError(errno), `cannot ${verb} ${this.#pathOf(file)}`)
  }

  #pathOf(file: number): string {
    return this.#byId.get(file)?.path ?? 'a file that has been closed'
  }

  /** What the addon found in place of a good batch. */
  #damage(ticket: number, file: number): CorruptionError {
    const [position = 0, kind = 0, expected = 0, found = 0] = this.#link.engine.takeDamage(ticket)
    const fault = describeFault({ kind: faultKinds[kind] ?? 'cut', expected, found })
    return new CorruptionError({ file: this.#pathOf(file), position, ...fault })
  }

  protected moved(file: NativeFile, to: string): void {
    const known = this.#own(file)
    this.#byPath.delete(known.path)
    known.path = to
    this.#byPath.set(to, known)
    file.path = to
    this.#link.engine.renameFile(known.id, to)
  }

  protected writtenPaths(): Iterable<string> {
    return this.#byPath.keys()
  }
}

/** A file of a `NativeDisk`. */
export class NativeFile implements DiskFile {
  path: string
  readonly disk: NativeDisk
  /** The addon's number of it; 0 when it has none, or another handle of this path has it. */
  id = 0
  /** Operations of the addon that have not ended. */
  pending = 0

  constructor(disk: NativeDisk, path: string) {
    this.disk = disk
    this.path = path
  }

  read(target: Uint8Array, position: number): Promise<number> {
    return this.disk.readAt(this, target, position)
  }

  size(): Promise<number> {
    return this.disk.sizeOf(this.path)
  }

  truncate(sizeBytes: number): Promise<void> {
    return this.disk.change(this, sizeBytes)
  }

  sync(): Promise<void> {
    return this.disk.change(this, null)
  }

  dropCached(): Promise<void> {
    return this.disk.dropCached(this.path)
  }

  close(): Promise<void> {
    return this.disk.closeFile(this.path)
  }
}

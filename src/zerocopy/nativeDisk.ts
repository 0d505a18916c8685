import { assert } from '../model/assert.ts'
import { describeFault } from '../model/batchFault.ts'
import { CorruptionError, EngineError } from '../model/errors.ts'
import type { FileHandle, FileRange } from '../model/fileRange.ts'
import type { Disk, DiskFile, DiskSync, DiskUrgency, DiskWrite, MappedFile } from '../runtime/disk.ts'
import { DescriptorTable, descriptorsForFiles } from '../runtime/node/descriptors.ts'
import { DiskBase } from '../runtime/node/diskBase.ts'
import type { NodeDiskOptions } from '../runtime/node/nodeDisk.ts'
import { diskError, syncError } from '../runtime/node/systemErrors.ts'
import { GroupOrder, Stage, WriteFlag } from './addon.ts'
import { type EngineLink, systemError } from './engineLink.ts'
import { faultKinds } from './nativeChecksum.ts'
import { NativeMap } from './nativeMap.ts'

/** Reads up to this length are tried in the calling thread first, which only gets what is in memory. */
const inlineReadBytes = 64 << 10

const syncFlags: Readonly<Record<DiskSync, number>> = {
  none: 0,
  data: WriteFlag.sync,
  dataAndName: WriteFlag.sync | WriteFlag.syncName,
}

/** What is known of a file that the addon knows by number. */
interface KnownFile {
  path: string
  readonly id: number
  /** Operations of the addon that have not ended. */
  pending: number
  idleWaiters: (() => void)[] | null
  /** The number is not valid any more. */
  forgotten: boolean
}

/**
 * `Disk` over the addon: writes, truncations and syncs go to its threads, in order. Reads and operations on
 * names go through Node, which does them on threads of its own.
 */
export class NativeDisk extends DiskBase implements Disk {
  readonly #link: EngineLink
  readonly #byPath = new Map<string, KnownFile>()
  readonly #byId = new Map<number, KnownFile>()
  /** Used again for every group: four numbers a write. */
  #writes = new Float64Array(4 * 64)
  /** Used again for every `prepare`: three numbers a range. */
  #ranges = new Float64Array(3 * 64)

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
      const parts: Uint8Array[] = []
      const files: KnownFile[] = []
      if (group.length * 4 > this.#writes.length) this.#writes = new Float64Array(group.length * 8)
      const writes = this.#writes
      let groupBytes = 0
      let at = 0
      for (const write of group) {
        const file = this.#known(write.file)
        files.push(file)
        for (const part of write.parts) {
          groupBytes += part.length
          parts.push(part)
        }
        assert(write.position >= 0 && Number.isSafeInteger(write.position), 'a position is a whole number')
        writes[at++] = file.id
        writes[at++] = write.position
        writes[at++] = write.parts.length
        writes[at++] = syncFlags[write.sync]
      }
      this.budget.take(groupBytes)
      for (const known of files) known.pending++
      const finish = (): void => {
        this.budget.give(groupBytes)
        for (const known of files) this.#release(known)
      }
      const ticket = this.#link.ticket((errno, file, stage) => {
        finish()
        if (errno === 0) resolve()
        else reject(this.#failure(errno, file, stage, files))
      }, urgency)
      try {
        this.#link.engine.submit(ticket, writes, group.length, parts, GroupOrder[urgency ?? 'common'])
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

  prepare(ranges: readonly FileRange[]): Promise<void> | null {
    this.checkOpen()
    if (ranges.length * 3 > this.#ranges.length) this.#ranges = new Float64Array(ranges.length * 6)
    let at = 0
    for (const { file, position, lengthBytes } of ranges) {
      this.#ranges[at++] = this.#known(file).id
      this.#ranges[at++] = position
      this.#ranges[at++] = lengthBytes
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

  async close(): Promise<void> {
    if (this.closed) return
    this.closed = true
    await this.#link.idle()
    this.#link.engine.closeFiles()
    for (const known of this.#byPath.values()) {
      known.forgotten = true
      this.#link.engine.forgetFile(known.id)
    }
    this.#byPath.clear()
    this.#byId.clear()
    await this.descriptors.closeAll()
  }

  /** The addon's number of a file of this disk. No I/O. */
  fileId(file: NativeFile): number {
    return this.#known(file).id
  }

  /** `DiskFile.read`. */
  async readAt(file: NativeFile, target: Uint8Array, position: number): Promise<number> {
    this.checkOpen()
    const { id } = this.#known(file)
    const { engine } = this.#link
    if (target.length > inlineReadBytes) engine.forgetLost(id, position, target.length)
    else if (target.length > 0 && engine.readResident(id, target, position)) return target.length
    return this.reader.read(file.path, target, position)
  }

  /** `DiskFile.truncate`, or `DiskFile.sync` when `sizeBytes` is null. */
  change(file: NativeFile, sizeBytes: number | null): Promise<void> {
    return new Promise((resolve, reject) => {
      this.checkOpen()
      const known = this.#known(file)
      const { engine } = this.#link
      const ticket = this.#link.ticket((errno, id, stage) => {
        this.#release(known)
        if (errno === 0) resolve()
        else reject(this.#failure(errno, id, stage, [known]))
      })
      known.pending++
      if (sizeBytes !== null) {
        engine.truncate(ticket, known.id, sizeBytes)
      } else {
        this.#writes.set([known.id, 0, 0, WriteFlag.sync | WriteFlag.mustExist])
        engine.submit(ticket, this.#writes, 1, [], GroupOrder.common)
      }
    })
  }

  /** `DiskFile.dropCached`. */
  async dropCached(path: string): Promise<void> {
    this.checkOpen()
    this.#link.addon.dropCached(path)
  }

  async closeFile(path: string): Promise<void> {
    const known = this.#byPath.get(path)
    if (known !== undefined) {
      while (known.pending > 0) {
        await new Promise<void>((wake) => {
          known.idleWaiters ??= []
          known.idleWaiters.push(wake)
        })
      }
      if (!known.forgotten) {
        known.forgotten = true
        this.#byPath.delete(path)
        this.#byId.delete(known.id)
        this.#link.engine.forgetFile(known.id)
      }
    }
    await this.descriptors.close(path)
  }

  #known(file: FileHandle): KnownFile {
    if (!(file instanceof NativeFile) || file.disk !== this) {
      throw new EngineError('notFound', `${file.path} belongs to another disk`)
    }
    let known = file.known
    if (known !== null && !known.forgotten) return known
    known = this.#byPath.get(file.path) ?? null
    if (known === null) {
      const id = this.#link.engine.registerFile(file.path)
      known = { path: file.path, id, pending: 0, idleWaiters: null, forgotten: false }
      this.#byPath.set(file.path, known)
      this.#byId.set(id, known)
    }
    file.known = known
    return known
  }

  #release(known: KnownFile): void {
    known.pending--
    if (known.pending > 0 || known.idleWaiters === null) return
    const waiters = known.idleWaiters
    known.idleWaiters = null
    for (const wake of waiters) wake()
  }

  /** The addon names one file that failed; another file of the group may have failed as well. */
  #failure(errno: number, file: number, stage: number, files: readonly KnownFile[]): EngineError {
    if (stage === Stage.synced) return syncError(systemError(errno), `cannot sync ${this.#pathOf(file)}`)
    for (const { id } of files) this.#link.engine.forgive(id)
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
    const known = this.#known(file)
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
  /** What the disk knows of this file; looked up when it is first used. */
  known: KnownFile | null = null

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

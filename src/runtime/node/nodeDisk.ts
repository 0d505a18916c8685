import { assert } from '../../model/assert.ts'
import { EngineError } from '../../model/errors.ts'
import type { Disk, DiskFile, DiskLock, DiskSync, DiskWrite } from '../disk.ts'
import { DescriptorTable } from './descriptors.ts'
import { directories } from './directories.ts'
import { FileReader } from './fileReader.ts'
import { FileWriter } from './fileWriter.ts'
import { lockDirectory } from './lock.ts'
import { WriteBudget } from '../writeBudget.ts'

/** Options of `NodeDisk`. */
export interface NodeDiskOptions {
  /** Bound of `Disk.queuedBytes`; 64 MiB by default. */
  readonly maxQueuedBytes?: number
  /** How many files are open at once while idle; half of what the process may have by default. */
  readonly maxOpenFiles?: number
}

/** `Disk` over `node:fs`: works wherever Node does. */
export class NodeDisk implements Disk {
  readonly #descriptors: DescriptorTable
  readonly #reader: FileReader
  readonly #writers = new Map<string, FileWriter>()
  readonly #budget: WriteBudget
  #closed = false

  readonly makeDirectory = directories.makeDirectory
  readonly list = directories.list
  readonly stat = directories.stat
  readonly syncDirectory = directories.syncDirectory
  readonly readFile = directories.readFile
  readonly space = directories.space

  constructor(options: NodeDiskOptions = {}) {
    this.#budget = new WriteBudget(options.maxQueuedBytes ?? 64 << 20)
    this.#descriptors = new DescriptorTable(options.maxOpenFiles)
    this.#reader = new FileReader(this.#descriptors)
  }

  get queuedBytes(): number {
    return this.#budget.queuedBytes
  }

  get maxQueuedBytes(): number {
    return this.#budget.maxQueuedBytes
  }

  file(path: string): DiskFile {
    return new NodeFile(this, path)
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
      let failure: Error | null = null
      const settle = (): void => {
        this.#budget.give(groupBytes)
        if (failure === null) resolve()
        else reject(failure)
      }
      if (missing === 0) {
        settle()
        return
      }
      const done = (error: Error | null): void => {
        failure ??= error
        if (--missing === 0) settle()
      }
      for (const { file, position, parts, sync } of group) {
        this.#writer(file.path).push({ kind: 'write', position, bytes: copyOf(parts), sync, done })
      }
    })
  }

  room(): Promise<void> {
    return this.#budget.room()
  }

  async rename(from: string, to: string): Promise<void> {
    await this.#forget(from)
    await this.#forget(to)
    await directories.rename(from, to)
  }

  async remove(path: string): Promise<void> {
    await this.#forget(path)
    await directories.remove(path)
  }

  async replaceFile(path: string, bytes: Uint8Array): Promise<void> {
    // The caller may change the bytes as soon as this has returned its promise.
    await directories.replaceFile(path, Uint8Array.from(bytes))
    await this.#forget(path)
  }

  lock(path: string, owner: string): Promise<DiskLock> {
    return lockDirectory(path, owner)
  }

  async close(): Promise<void> {
    this.#closed = true
    await Promise.all([...this.#writers.values()].map((writer) => writer.settled()))
    this.#writers.clear()
    await this.#descriptors.closeAll()
  }

  /** `DiskFile.read`. */
  async readAt(path: string, target: Uint8Array, position: number): Promise<number> {
    this.#checkOpen()
    return this.#reader.read(path, target, position)
  }

  /** `DiskFile.size`. */
  async sizeOf(path: string): Promise<number> {
    this.#checkOpen()
    return this.#reader.size(path)
  }

  /** `DiskFile.truncate`, or `DiskFile.sync` when `sizeBytes` is null. */
  async change(path: string, sizeBytes: number | null, sync: DiskSync): Promise<void> {
    this.#checkOpen()
    await new Promise<void>((resolve, reject) => {
      this.#writer(path).push({
        kind: sizeBytes === null ? 'write' : 'truncate',
        position: sizeBytes ?? 0,
        bytes: null,
        sync,
        done: (error) => (error === null ? resolve() : reject(error)),
      })
    })
  }

  /** `DiskFile.close`. */
  async closeFile(path: string): Promise<void> {
    const writer = this.#writers.get(path)
    if (writer !== undefined) {
      await writer.settled()
      if (this.#writers.get(path) === writer && writer.idle) this.#writers.delete(path)
    }
    await this.#descriptors.close(path)
  }

  #writer(path: string): FileWriter {
    let writer = this.#writers.get(path)
    if (writer === undefined) {
      writer = new FileWriter(path, this.#descriptors)
      this.#writers.set(path, writer)
    }
    return writer
  }

  /** Closes everything at or below `path`. */
  async #forget(path: string): Promise<void> {
    const prefix = `${path}/`
    const written = [...this.#writers.keys()].filter((known) => known === path || known.startsWith(prefix))
    const open = this.#descriptors.pathsUnder(path)
    await Promise.all([...new Set([...written, ...open])].map((known) => this.closeFile(known)))
  }

  #checkOpen(): void {
    if (this.#closed) throw new EngineError('closed', 'the disk has been closed')
  }
}

class NodeFile implements DiskFile {
  readonly path: string
  readonly #disk: NodeDisk

  constructor(disk: NodeDisk, path: string) {
    this.#disk = disk
    this.path = path
  }

  read(target: Uint8Array, position: number): Promise<number> {
    return this.#disk.readAt(this.path, target, position)
  }

  size(): Promise<number> {
    return this.#disk.sizeOf(this.path)
  }

  truncate(sizeBytes: number): Promise<void> {
    return this.#disk.change(this.path, sizeBytes, 'none')
  }

  sync(): Promise<void> {
    return this.#disk.change(this.path, null, 'data')
  }

  close(): Promise<void> {
    return this.#disk.closeFile(this.path)
  }
}

/** The bytes of `parts` one after the other, in memory of their own. */
function copyOf(parts: readonly Uint8Array[]): Uint8Array {
  let length = 0
  for (const part of parts) length += part.length
  const copy = Buffer.allocUnsafe(length)
  let at = 0
  for (const part of parts) {
    copy.set(part, at)
    at += part.length
  }
  return copy
}

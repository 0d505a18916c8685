import { assert } from '../../model/assert.ts'
import { EngineError } from '../../model/errors.ts'
import type { DiskFile, DiskLock } from '../disk.ts'
import { WriteBudget } from '../writeBudget.ts'
import type { DescriptorTable } from './descriptors.ts'
import { directories } from './directories.ts'
import { FileReader } from './fileReader.ts'
import { lockDirectory } from './lock.ts'

/** Throws `InvariantError` for what is no place in a file, and no length of one. The system would round it, or take it for another. */
export function assertPosition(position: number): void {
  assert(position >= 0 && Number.isSafeInteger(position), 'a position is a whole number')
}

/** What both implementations of `Disk` on a real machine share: everything but how files are written. */
export abstract class DiskBase {
  protected readonly descriptors: DescriptorTable
  protected readonly reader: FileReader
  protected readonly budget: WriteBudget
  protected closed = false

  readonly makeDirectory = directories.makeDirectory
  readonly list = directories.list
  readonly stat = directories.stat
  readonly syncDirectory = directories.syncDirectory
  readonly readFile = directories.readFile
  readonly space = directories.space

  constructor(descriptors: DescriptorTable, maxQueuedBytes: number | undefined) {
    this.descriptors = descriptors
    this.reader = new FileReader(descriptors)
    this.budget = new WriteBudget(maxQueuedBytes ?? 64 << 20)
  }

  get queuedBytes(): number {
    return this.budget.queuedBytes
  }

  get maxQueuedBytes(): number {
    return this.budget.maxQueuedBytes
  }

  room(): Promise<void> {
    return this.budget.room()
  }

  async rename(from: string, to: string): Promise<void> {
    await this.forget(from)
    await this.forget(to)
    await directories.rename(from, to)
  }

  async moveFile(file: DiskFile, to: string): Promise<void> {
    this.checkOpen()
    const from = file.path
    await this.remove(to)
    // Two names for a moment: there is no time at which the file cannot be opened.
    const linked = await directories.linkOrRename(from, to)
    this.moved(file, to)
    await this.descriptors.move(from, to)
    if (linked) await directories.remove(from)
  }

  async remove(path: string): Promise<void> {
    await this.forget(path)
    await directories.remove(path)
  }

  async replaceFile(path: string, bytes: Uint8Array): Promise<void> {
    // The caller may change the bytes as soon as this has returned its promise.
    await directories.replaceFile(path, Uint8Array.from(bytes))
    await this.forget(path)
  }

  lock(path: string, owner: string): Promise<DiskLock> {
    return lockDirectory(path, owner)
  }

  /** `DiskFile.size`. */
  async sizeOf(path: string): Promise<number> {
    this.checkOpen()
    return this.reader.size(path)
  }

  /** `DiskFile.close`. */
  abstract closeFile(path: string): Promise<void>

  /** `file` has the path `to` now as well: it is found there from now on, and nothing is known of what gets its old path. */
  protected abstract moved(file: DiskFile, to: string): void

  /** Paths of files that are written at the moment, or were. */
  protected abstract writtenPaths(): Iterable<string>

  /** Closes everything at or below `path`. */
  protected async forget(path: string): Promise<void> {
    const prefix = `${path}/`
    const written = [...this.writtenPaths()].filter((known) => known === path || known.startsWith(prefix))
    const open = this.descriptors.pathsUnder(path)
    await Promise.all([...new Set([...written, ...open])].map((known) => this.closeFile(known)))
  }

  protected checkOpen(): void {
    if (this.closed) throw new EngineError('closed', 'the disk has been closed')
  }
}

import { type EngineError, WriteError, type WriteFailure } from '../../model/errors.ts'
import type { FileRange } from '../../model/fileRange.ts'
import { checkRange } from '../checkRange.ts'
import type { Disk, DiskFile, DiskSync, DiskWrite } from '../disk.ts'
import { checkBatches } from './batchCheck.ts'
import { CheckedRanges } from './checkedRanges.ts'
import { DescriptorTable } from './descriptors.ts'
import { assertPosition, DiskBase } from './diskBase.ts'
import { FileWriter } from './fileWriter.ts'

/** Options of `NodeDisk`. */
export interface NodeDiskOptions {
  /** Bound of `Disk.queuedBytes`; 64 MiB by default. */
  readonly maxQueuedBytes?: number
  /** How many files are open at once while idle; half of what the process may have by default. */
  readonly maxOpenFiles?: number
}

/** `Disk` over `node:fs`: works wherever Node does. */
export class NodeDisk extends DiskBase implements Disk {
  readonly #writers = new Map<string, FileWriter>()
  readonly #checked = new CheckedRanges()

  constructor(options: NodeDiskOptions = {}) {
    super(new DescriptorTable(options.maxOpenFiles), options.maxQueuedBytes)
  }

  file(path: string): DiskFile {
    return new NodeFile(this, path)
  }

  submit(group: readonly DiskWrite[]): Promise<void> {
    return new Promise((resolve, reject) => {
      this.checkOpen()
      let groupBytes = 0
      for (const { position, parts } of group) {
        assertPosition(position)
        for (const part of parts) groupBytes += part.length
      }
      this.budget.take(groupBytes)
      let missing = group.length
      let failures: WriteFailure[] | null = null
      const settle = (): void => {
        this.budget.give(groupBytes)
        if (failures === null) resolve()
        else reject(new WriteError(failures))
      }
      if (missing === 0) {
        settle()
        return
      }
      for (const { file, position, parts, sync } of group) {
        const bytes = copyOf(parts)
        const written = (error: EngineError | null): void => {
          // What was written here needs no check for as long as it is likely to stay in memory.
          if (error === null) this.#checked.add(file.path, position, position + bytes.length)
          else {
            this.#checked.forget(file.path)
            failures ??= []
            failures.push({ path: file.path, error })
          }
          if (--missing === 0) settle()
        }
        this.#writer(file.path).push({ kind: 'write', position, bytes, sync, done: written })
      }
    })
  }

  prepare(ranges: readonly FileRange[]): Promise<void> | null {
    this.checkOpen()
    const cold = ranges.filter(
      ({ file, position, lengthBytes }) => !this.#checked.covers(file.path, position, position + lengthBytes),
    )
    return cold.length === 0 ? null : this.#check(cold)
  }

  async close(): Promise<void> {
    this.closed = true
    await Promise.all([...this.#writers.values()].map((writer) => writer.settled()))
    this.#writers.clear()
    await this.descriptors.closeAll()
  }

  /** `DiskFile.read`. */
  async readAt(path: string, target: Uint8Array, position: number): Promise<number> {
    this.checkOpen()
    assertPosition(position)
    return this.reader.read(path, target, position)
  }

  /** `DiskFile.truncate`, or `DiskFile.sync` when `sizeBytes` is null. */
  async change(path: string, sizeBytes: number | null, sync: DiskSync): Promise<void> {
    this.checkOpen()
    if (sizeBytes !== null) {
      assertPosition(sizeBytes)
      this.#checked.cut(path, sizeBytes)
    }
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

  async closeFile(path: string): Promise<void> {
    this.#checked.forget(path)
    const writer = this.#writers.get(path)
    if (writer !== undefined) {
      await writer.settled()
      if (this.#writers.get(path) === writer && writer.idle) this.#writers.delete(path)
    }
    await this.descriptors.close(path)
  }

  #writer(path: string): FileWriter {
    let writer = this.#writers.get(path)
    if (writer === undefined) {
      writer = new FileWriter(path, this.descriptors)
      this.#writers.set(path, writer)
    }
    return writer
  }

  async #check(ranges: readonly FileRange[]): Promise<void> {
    for (const range of ranges) {
      const { path } = range.file
      await checkRange(range, (target, position) => this.readAt(path, target, position), checkBatches)
      this.#checked.add(path, range.position, range.position + range.lengthBytes)
    }
  }

  protected moved(file: DiskFile, to: string): void {
    this.#checked.forget(file.path)
    this.#writers.delete(file.path)
    ;(file as NodeFile).path = to
  }

  protected writtenPaths(): Iterable<string> {
    return this.#writers.keys()
  }
}

class NodeFile implements DiskFile {
  path: string
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

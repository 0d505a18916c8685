import { close, fdatasync, fsync, ftruncate, open, writev } from 'node:fs'
import { dirname } from 'node:path'
import { EngineError } from '../../model/errors.ts'
import type { DiskSync } from '../disk.ts'
import type { Descriptor, DescriptorTable } from './descriptors.ts'
import { diskError, isOutOfDescriptors, syncError } from './systemErrors.ts'

/** The most buffers that one call to the system takes. */
const maxVectors = 1024

/** Something to do with one file; `done` is called once, with null or the error. */
interface FileOperation {
  readonly kind: 'write' | 'truncate'
  /** Where the bytes go; the new length for `truncate`. */
  readonly position: number
  /** Empty for a plain sync. */
  readonly bytes: Uint8Array | null
  readonly sync: DiskSync
  readonly done: (error: EngineError | null) => void
}

/**
 * The queue of one file: writes and truncates run one after the other in the order of calls, neighbouring
 * writes as one. A sync runs beside the writes that follow it and serves every operation that was carried out
 * before it began. After a failed write everything that was queued behind it fails too, so that no later bytes
 * are acknowledged beyond a hole; what is queued after the failure was reported runs again.
 */
export class FileWriter {
  readonly path: string
  readonly #descriptors: DescriptorTable
  #queue: FileOperation[] = []
  #working = false
  #awaitingSync: FileOperation[] = []
  #syncing = false
  #nameSynced = false
  #idleWaiters: (() => void)[] = []

  constructor(path: string, descriptors: DescriptorTable) {
    this.path = path
    this.#descriptors = descriptors
  }

  /** Whether nothing is queued or running. */
  get idle(): boolean {
    return !this.#working && !this.#syncing
  }

  /** Resolves when nothing is queued or running. */
  async settled(): Promise<void> {
    while (!this.idle) await new Promise<void>((wake) => this.#idleWaiters.push(wake))
  }

  /** Queues an operation. `bytes` belong to the queue from now on. */
  push(operation: FileOperation): void {
    this.#queue.push(operation)
    if (!this.#working) void this.#work()
  }

  async #work(): Promise<void> {
    this.#working = true
    while (this.#queue.length > 0) {
      const batch = this.#queue
      this.#queue = []
      await this.#run(batch)
    }
    this.#working = false
    this.#wakeIfIdle()
  }

  async #run(batch: readonly FileOperation[]): Promise<void> {
    let file: Descriptor | null = null
    let at = 0
    try {
      file = await this.#descriptors.acquire(
        this.path,
        batch.some((operation) => operation.bytes !== null),
      )
      while (at < batch.length) {
        const end = await this.#runSome(file, batch, at)
        for (; at < end; at++) this.#carriedOut(file, batch[at]!)
      }
    } catch (cause) {
      const error = diskError(cause, `cannot write ${this.path}`)
      for (const operation of batch.slice(at)) operation.done(error)
      for (const operation of this.#queue.splice(0)) operation.done(error)
    } finally {
      if (file !== null) this.#descriptors.release(file)
    }
  }

  /** Carries out the operation at `at` and the writes that continue it; returns the index after the last one. */
  async #runSome(file: Descriptor, batch: readonly FileOperation[], at: number): Promise<number> {
    const first = batch[at]!
    if (first.kind === 'truncate') {
      checkWritable(file)
      file.dirty = true
      await truncateFile(file.fd, first.position)
      return at + 1
    }
    const buffers: Uint8Array[] = []
    let position = first.position
    let end = at
    for (; end < batch.length && buffers.length < maxVectors; end++) {
      const next = batch[end]!
      if (next.kind !== 'write') break
      if (next.bytes === null) continue
      if (buffers.length > 0 && next.position !== position) break
      if (buffers.length === 0) position = next.position
      buffers.push(next.bytes)
      position += next.bytes.length
    }
    if (buffers.length > 0) {
      checkWritable(file)
      file.dirty = true
      const start = position - buffers.reduce((sum, bytes) => sum + bytes.length, 0)
      await writeFully(file.fd, buffers, start)
    }
    return end
  }

  #carriedOut(file: Descriptor, operation: FileOperation): void {
    if (operation.sync === 'none') {
      operation.done(null)
      return
    }
    this.#awaitingSync.push(operation)
    if (!this.#syncing) void this.#sync(file)
  }

  async #sync(file: Descriptor): Promise<void> {
    this.#syncing = true
    file.uses++
    while (this.#awaitingSync.length > 0) {
      const served = this.#awaitingSync
      this.#awaitingSync = []
      let error: EngineError | null = file.syncFailure
      try {
        if (error === null) {
          file.dirty = false
          await syncData(file.fd)
          if (!this.#nameSynced && served.some((operation) => operation.sync === 'dataAndName')) {
            await syncDirectory(dirname(this.path))
            this.#nameSynced = true
          }
        }
      } catch (cause) {
        const attempt = `cannot sync ${this.path}`
        // Without a descriptor for its directory the name was not synced; that it was not tried loses nothing.
        const isUntried = isOutOfDescriptors(cause)
        error = isUntried ? diskError(cause, attempt) : syncError(cause, attempt)
        if (!isUntried) file.syncFailure = error
      }
      for (const operation of served) operation.done(error)
    }
    this.#descriptors.release(file)
    this.#syncing = false
    this.#wakeIfIdle()
  }

  #wakeIfIdle(): void {
    if (this.idle) for (const wake of this.#idleWaiters.splice(0)) wake()
  }
}

function checkWritable(file: Descriptor): void {
  if (!file.writable) throw new EngineError('permissionDenied', `${file.path} may only be read`)
}

/** Writes all of `buffers` from `position` on, however many calls that takes. */
async function writeFully(fd: number, buffers: Uint8Array[], position: number): Promise<void> {
  let rest = buffers
  let at = position
  for (;;) {
    const written = await writeOnce(fd, rest, at)
    at += written
    let skip = written
    let first = 0
    while (first < rest.length && skip >= rest[first]!.length) skip -= rest[first++]!.length
    if (first === rest.length) return
    rest = rest.slice(first)
    rest[0] = rest[0]!.subarray(skip)
  }
}

function writeOnce(fd: number, buffers: Uint8Array[], position: number): Promise<number> {
  return new Promise((resolve, reject) => {
    writev(fd, buffers, position, (error, written) => (error ? reject(error) : resolve(written)))
  })
}

function truncateFile(fd: number, sizeBytes: number): Promise<void> {
  return new Promise((resolve, reject) => {
    ftruncate(fd, sizeBytes, (error) => (error ? reject(error) : resolve()))
  })
}

function syncData(fd: number): Promise<void> {
  return new Promise((resolve, reject) => {
    fdatasync(fd, (error) => (error ? reject(error) : resolve()))
  })
}

/** Makes the names inside a directory durable. Rejects with the system's error. */
export function syncDirectory(path: string): Promise<void> {
  return new Promise((resolve, reject) => {
    open(path, 'r', (openError, fd) => {
      if (openError) {
        reject(openError)
        return
      }
      fsync(fd, (syncError) => {
        close(fd, () => (syncError ? reject(syncError) : resolve()))
      })
    })
  })
}

import { close, constants, fdatasync, open, readFileSync } from 'node:fs'
import type { EngineError } from '../../model/errors.ts'
import { syncError, systemCode } from './systemErrors.ts'

/** A file as it is known to the table: open, or closed for the moment. */
export interface Descriptor {
  path: string
  /** The system's number while `uses` is above zero; -1 when closed. */
  fd: number
  writable: boolean
  uses: number
  /** Written since the last sync that covered it. */
  dirty: boolean
  /** The first sync that failed. Every later one fails with it, until the file is closed: a retry proves nothing. */
  syncFailure: EngineError | null
  opening: Promise<void> | null
  idleWaiters: (() => void)[] | null
}

/** How many descriptors this process may have, at most 2^20; null when the system does not tell. */
export function descriptorLimit(): number | null {
  try {
    const row = /^Max open files\s+(\d+)/m.exec(readFileSync('/proc/self/limits', 'latin1'))
    if (row) return Math.min(Number(row[1]), 1 << 20)
  } catch {
    // Not Linux.
  }
  return null
}

/** How many descriptors files may take while they are idle: half of them, of the usual 1024 if they are not known. */
export function descriptorsForFiles(): number {
  return Math.max(16, (descriptorLimit() ?? 1024) >> 1)
}

/** How many idle files every table may have. */
const leastFiles = 8

/** Descriptors that are neither files of logs nor connections: standard streams, event loops, directories, libraries. */
const reserved = 64

/** How many connections of `each` descriptors there are descriptors for, beside files; null when nobody can tell. */
export function descriptorsForConnections(each: number): number | null {
  const limit = descriptorLimit()
  if (limit === null) return null
  return Math.max(1, Math.floor((limit - descriptorsForFiles() - reserved) / each))
}

/** The tables that have no limit of their own: together they keep to that of the process. */
const sharing = new Set<DescriptorTable>()

/**
 * Open files by path, at most `limit` of them as long as no more are in use: the least recently used idle one
 * is closed first, clean ones before those with unsynced writes, which are synced before they are let go.
 */
export class DescriptorTable {
  readonly #byPath = new Map<string, Descriptor>()
  #limit: number
  #open = 0

  /** Without a `limit` the table shares `descriptorsForFiles` with all others that have none, until it is closed. */
  constructor(limit?: number) {
    this.#limit = limit ?? leastFiles
    if (limit !== undefined) return
    sharing.add(this)
    shareOut()
  }

  /** Keeps to another limit from now on. */
  limitTo(limit: number): void {
    this.#limit = limit
    for (let surplus = this.#open - limit; surplus > 0; surplus--) this.#evict()
  }

  /** How many files are open. */
  get openCount(): number {
    return this.#open
  }

  /** The file at `path`, open and in use until `release`. `create` makes a missing one. Rejects with the system's error. */
  async acquire(path: string, create: boolean): Promise<Descriptor> {
    let entry = this.#byPath.get(path)
    if (entry === undefined) {
      entry = {
        path,
        fd: -1,
        writable: false,
        uses: 0,
        dirty: false,
        syncFailure: null,
        opening: null,
        idleWaiters: null,
      }
    } else {
      this.#byPath.delete(path)
    }
    this.#byPath.set(path, entry)
    entry.uses++
    try {
      while (entry.fd < 0) {
        if (entry.opening !== null) {
          await entry.opening.catch(() => {})
        } else {
          entry.opening = this.#openFile(entry, create)
          try {
            await entry.opening
          } finally {
            entry.opening = null
          }
        }
      }
      return entry
    } catch (error) {
      this.release(entry)
      if (entry.uses === 0 && entry.fd < 0) this.#byPath.delete(path)
      throw error
    }
  }

  /** Ends one use. */
  release(entry: Descriptor): void {
    entry.uses--
    if (entry.uses > 0) return
    const waiters = entry.idleWaiters
    if (waiters !== null) {
      entry.idleWaiters = null
      for (const wake of waiters) wake()
    }
    if (this.#open > this.#limit) this.#evict()
  }

  /** Closes `path` once nobody uses it, and forgets what is known of it. */
  async close(path: string): Promise<void> {
    const entry = this.#byPath.get(path)
    if (entry === undefined) return
    while (entry.uses > 0) {
      await new Promise<void>((wake) => {
        entry.idleWaiters ??= []
        entry.idleWaiters.push(wake)
      })
    }
    if (this.#byPath.get(path) !== entry) return
    this.#byPath.delete(path)
    const { fd } = entry
    if (fd < 0) return
    entry.fd = -1
    await this.#closeFd(fd)
  }

  /** The file at `from` is at `to` now: it stays open, and is opened there. Resolves when nobody opens it by its old name. */
  async move(from: string, to: string): Promise<void> {
    const entry = this.#byPath.get(from)
    if (entry === undefined) return
    this.#byPath.delete(from)
    entry.path = to
    this.#byPath.set(to, entry)
    await entry.opening?.catch(() => {})
  }

  /** The paths that the table knows at or below `path`. */
  pathsUnder(path: string): string[] {
    const prefix = `${path}/`
    return [...this.#byPath.keys()].filter((known) => known === path || known.startsWith(prefix))
  }

  /** Closes everything. */
  async closeAll(): Promise<void> {
    if (sharing.delete(this)) shareOut()
    await Promise.all([...this.#byPath.keys()].map((path) => this.close(path)))
  }

  async #openFile(entry: Descriptor, create: boolean): Promise<void> {
    if (this.#open >= this.#limit) this.#evict()
    const flags = constants.O_RDWR | (create ? constants.O_CREAT : 0)
    try {
      entry.fd = await openFd(entry.path, flags)
      entry.writable = true
    } catch (error) {
      const code = systemCode(error)
      if (create || (code !== 'EACCES' && code !== 'EROFS' && code !== 'EPERM')) throw error
      entry.fd = await openFd(entry.path, constants.O_RDONLY)
      entry.writable = false
    }
    this.#open++
  }

  #evict(): void {
    let dirty: Descriptor | null = null
    for (const entry of this.#byPath.values()) {
      if (entry.uses > 0 || entry.fd < 0) continue
      if (!entry.dirty) {
        // Nothing is kept of it: a failed sync must be, so such a file stays known.
        if (entry.syncFailure === null) this.#byPath.delete(entry.path)
        const { fd } = entry
        entry.fd = -1
        void this.#closeFd(fd)
        return
      }
      dirty ??= entry
    }
    if (dirty !== null) void this.#syncAndClose(dirty)
  }

  async #syncAndClose(entry: Descriptor): Promise<void> {
    entry.uses++
    entry.dirty = false
    await new Promise<void>((resolve) => {
      fdatasync(entry.fd, (error) => {
        if (error) entry.syncFailure ??= syncError(error, `cannot sync ${entry.path}`)
        resolve()
      })
    })
    if (entry.uses === 1 && !entry.dirty) {
      const { fd } = entry
      entry.fd = -1
      await this.#closeFd(fd)
    }
    this.release(entry)
  }

  #closeFd(fd: number): Promise<void> {
    this.#open--
    return new Promise((resolve) => close(fd, () => resolve()))
  }
}

function shareOut(): void {
  const share = Math.max(leastFiles, Math.floor(descriptorsForFiles() / sharing.size))
  for (const table of sharing) table.limitTo(share)
}

function openFd(path: string, flags: number): Promise<number> {
  return new Promise((resolve, reject) => {
    open(path, flags, 0o644, (error, fd) => (error ? reject(error) : resolve(fd)))
  })
}

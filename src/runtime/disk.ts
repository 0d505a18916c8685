import type { FileHandle, FileRange } from '../model/fileRange.ts'

/**
 * Files and directories. Every call rejects with an `EngineError` (`diskFull`, `diskFailed`, `notFound`,
 * `permissionDenied`); its `cause` is the system's error.
 */
export interface Disk {
  /** A file by path. No I/O: it is opened when it is first used and may be closed and reopened in between. */
  file(path: string): DiskFile

  /**
   * Queues a group of writes, to be carried out in the order of calls, and resolves when every write of the
   * group is in the page cache and every `sync` it asks for has returned. Bytes are copied before the call
   * returns, so the caller may reuse them at once, but for those in memory of `lend`: they have to stay as they are until
   * the promise settles. Syncs are shared: one fdatasync of a file serves all groups
   * that wrote to it before the sync began. A missing file is created. Not atomic: after a rejection any part
   * of the group may have been written; a rejected sync is never retried. A `WriteError` names every file that failed: the
   * others are written, and synced as far as was asked for.
   * Writes to a file that were queued behind a failed one fail with it, so that nothing is acknowledged beyond a
   * hole; what is submitted after the rejection was delivered is carried out again. Once a sync of a file has
   * failed all later ones fail, until the file is closed.
   * Rejects with `queueFull`, with nothing queued, when `queuedBytes` would pass `maxQueuedBytes` (a group is always
   * taken when nothing else is queued).
   * `urgency` says who waits for it.
   */
  submit(group: readonly DiskWrite[], urgency?: DiskUrgency): Promise<void>

  /**
   * Memory that `submit` may write without a copy: whoever has submitted bytes in it changes them only once the promise has
   * settled, whatever its end. What is in it at first is arbitrary. It goes as other memory does once nobody refers to it; a
   * write that is under way keeps it. Meant to be large and to be used again. Absent where everything is copied.
   */
  readonly lend?: (sizeBytes: number) => Uint8Array

  /** Bytes handed to `submit` whose promise has not settled. */
  readonly queuedBytes: number
  readonly maxQueuedBytes: number
  /** Resolves once `queuedBytes` is below half of `maxQueuedBytes`; at once if it is. */
  room(): Promise<void>

  /** Creates a directory and its parents; no error if it is there. Durable only after `syncDirectory` of the parent. */
  makeDirectory(path: string): Promise<void>
  /** The entries of a directory, sorted by name. */
  list(path: string): Promise<readonly DirectoryEntry[]>
  /** What stands at `path`, or null. */
  stat(path: string): Promise<FileStat | null>
  /** Renames a file or directory, over a file that is there. Handles of `from` become invalid. */
  rename(from: string, to: string): Promise<void>
  /**
   * Gives a file another name while it is read and sent: `file`, ranges of it and whatever is under way go on meaning the
   * same bytes, even when another file gets the old name after this has resolved. Replaces a file that is at `to`.
   */
  moveFile(file: DiskFile, to: string): Promise<void>
  /** Removes a file, or a directory with all that is in it; no error if there is none. */
  remove(path: string): Promise<void>
  /** Makes creations, renames and removals inside `path` durable. */
  syncDirectory(path: string): Promise<void>
  /**
   * Makes everything durable that was written, created, renamed or removed on the file system of `path` before the
   * call, of whatever file: cheaper than many syncs of files. After a failure nothing is known of any file until its own
   * `sync`, which then fails for those that are concerned. Absent where the system offers no way that tells of errors.
   */
  syncFileSystem?(path: string): Promise<void>
  /**
   * A word without blanks for the mount of `path` and the start of the machine. As long as it is the same, the page cache has all
   * that was written, but for what a sync failed to store. Null, or absent, where the system does not tell.
   */
  mountOf?(path: string): Promise<string | null>
  /**
   * Whether ranges of whole batches may be sent: null when all of them are in memory and have been checked since they
   * came there. Otherwise they are read and checked aside, and the promise tells when they may. Rejects with
   * `CorruptionError` at the first batch that is not what was written: nothing from there on may be sent.
   */
  prepare(ranges: readonly FileRange[]): Promise<void> | null
  /** Maps a file that does not change any more, to be read without waiting. Absent where the system offers no way. */
  map?(path: string): Promise<MappedFile>
  /** A whole small file; throws `unsupportedFormat` when it is larger than `maxBytes` (default 64 MiB). */
  readFile(path: string, maxBytes?: number): Promise<Uint8Array>
  /** Replaces a whole file durably: a temporary file, its sync, a rename, the directory's sync. */
  replaceFile(path: string, bytes: Uint8Array): Promise<void>
  /**
   * Takes an exclusive lock on `path` that ends with the process, however that ends, and writes `owner` into
   * it. Throws `directoryLocked`, with the other owner's text in the message, if somebody has it.
   */
  lock(path: string, owner: string): Promise<DiskLock>
  /** Bytes that an unprivileged process may still write on the file system of `path`, and its size. */
  space(path: string): Promise<{ readonly freeBytes: number; readonly totalBytes: number }>
  /** Waits for what is queued, then closes every file. */
  close(): Promise<void>
}

/**
 * `urgent`: somebody waits for the group's sync. It begins at once, and is carried out in an order of such groups alone:
 * nothing else may be under way on its files. `beside`: nobody waits for the group before an urgent one that is
 * submitted in the same turn has ended. A disk may do without the difference.
 */
export type DiskUrgency = 'urgent' | 'beside'

/** What a group write does after the bytes are in the page cache. `name` also makes the file's creation durable. */
export type DiskSync = 'none' | 'data' | 'dataAndName'

/** One write of a group: `parts` one after the other from `position` on (bytes from the start of the file). */
export interface DiskWrite {
  readonly file: DiskFile
  readonly position: number
  readonly parts: readonly Uint8Array[]
  readonly sync: DiskSync
}

/** A file that may be read, cut and closed; written through `Disk.submit`. */
export interface DiskFile extends FileHandle {
  /** Reads from `position` until `target` is full or the file ends; returns the number of bytes read. */
  read(target: Uint8Array, position: number): Promise<number>
  /** The file's length in bytes; throws `notFound` if there is none. */
  size(): Promise<number>
  /** Cuts or extends the file, after every group submitted before. Durable after `sync`. */
  truncate(sizeBytes: number): Promise<void>
  /** fdatasync, covering every group submitted before. */
  sync(): Promise<void>
  /**
   * Has later reads come from the disk and not from the page cache, which after a failed sync may hold what the
   * disk never got. Best effort: what is not written yet stays cached. Absent where the system offers no way: then
   * only a restart of the machine tells what is stored.
   */
  dropCached?(): Promise<void>
  /** Lets go of the descriptor once running reads, writes and sends have ended. A later call opens it again. */
  close(): Promise<void>
}

/** A file in memory. Its bytes are copied out; what changes or is cut in the file later may or may not show. */
export interface MappedFile {
  readonly sizeBytes: number
  /**
   * Reads from `position` until `target` is full or the file ends; the number of bytes. Null when that would have to
   * wait for the disk, or the mapping was let go to make room for others (`isOpen`): then read the file itself. Throws
   * `diskFailed` when a part of the file cannot be read: from then on always.
   */
  read(target: Uint8Array, position: number): number | null
  readonly isOpen: boolean
  /** Lets go of the mapping. */
  close(): void
}

/** One entry of a directory. */
export interface DirectoryEntry {
  readonly name: string
  readonly kind: 'file' | 'directory' | 'other'
}

/** What is known of a file without opening it. */
export interface FileStat {
  readonly kind: 'file' | 'directory' | 'other'
  readonly sizeBytes: number
  /** Whole milliseconds since 1970. */
  readonly modifiedMs: number
}

/** An exclusive lock that is held. */
export interface DiskLock {
  release(): Promise<void>
}

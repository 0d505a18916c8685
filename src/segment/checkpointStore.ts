import type { Disk } from '../runtime/disk.ts'
import {
  cleanedOffsetFile,
  encodeCheckpoint,
  logStartOffsetFile,
  recoveryPointFile,
} from './checkpointFile.ts'
import type { Checkpoints } from './checkpoints.ts'
import type { Log } from './log.ts'

/**
 * Kafka's checkpoint files of a data directory, for Kafka's tools and for a directory whose journal does not know its
 * logs. Written now and then, one writer at a time, and only when something has changed.
 */
export class CheckpointStore {
  readonly #disk: Disk
  readonly #directory: string
  /** What the files said of logs that were found but could not be opened. */
  readonly #kept = {
    recoveryPoints: new Map<string, number>(),
    startOffsets: new Map<string, number>(),
    cleanedOffsets: new Map<string, number>(),
  }
  readonly #keptNames = new Set<string>()
  /** What the files say now. */
  #storedPoints: ReadonlyMap<string, number> = new Map()
  #storedStarts: ReadonlyMap<string, number> = new Map()
  #storedCleaned: ReadonlyMap<string, number> = new Map()
  #writing: Promise<void> = Promise.resolve()

  constructor(disk: Disk, directory: string) {
    this.#disk = disk
    this.#directory = directory
  }

  /** Takes over what the files said at the start. */
  found(checkpoints: Checkpoints): void {
    this.#storedPoints = checkpoints.recoveryPoints
    this.#storedStarts = checkpoints.startOffsets
    this.#storedCleaned = checkpoints.cleanedOffsets
  }

  /** Keeps what was known of a log that is there but not open. */
  keep(name: string, checkpoints: Checkpoints): void {
    // Also a log of which the files do not know anything yet.
    this.#keptNames.add(name)
    for (const kind of ['recoveryPoints', 'startOffsets', 'cleanedOffsets'] as const) {
      const offset = checkpoints[kind].get(name)
      if (offset !== undefined) this.#kept[kind].set(name, offset)
    }
  }

  /** Whether every log that was there is open. */
  get keepsNothing(): boolean {
    return this.#keptNames.size === 0
  }

  /** The log is open: what was kept of it is its own from now on. */
  release(name: string): void {
    this.#keptNames.delete(name)
    for (const offsets of Object.values(this.#kept)) offsets.delete(name)
  }

  /** A log of this name is made: nothing that is known of an earlier one may be taken for its own. */
  async forget(name: string, logs: ReadonlyMap<string, Log>): Promise<void> {
    this.release(name)
    await this.#writing
    // The next log of this name was never compacted.
    if (this.#storedCleaned.has(name)) await this.storeCleaned(logs)
    if (!this.#storedPoints.has(name) && !this.#storedStarts.has(name)) return
    await this.store(logs, new Map([...logs.values()].map((log) => [log, log.recoveryPoint])))
  }

  /** Stores start offsets, and recovery points as they were `taken`. */
  store(logs: ReadonlyMap<string, Log>, taken: ReadonlyMap<Log, number>): Promise<void> {
    const written = this.#writing.then(async () => {
      await this.#storeStarts(logs)
      await this.#storePoints(logs, taken)
    })
    this.#writing = written.catch(() => {})
    return written
  }

  /** Stores up to where each log was compacted. */
  storeCleaned(logs: ReadonlyMap<string, Log>): Promise<void> {
    const written = this.#writing.then(async () => {
      const cleaned = new Map(this.#kept.cleanedOffsets)
      for (const [name, log] of logs) if (log.gapsBelow > 0) cleaned.set(name, log.gapsBelow)
      if (isSame(cleaned, this.#storedCleaned)) return
      const text = Buffer.from(encodeCheckpoint(cleaned))
      await this.#disk.replaceFile(`${this.#directory}/${cleanedOffsetFile}`, text)
      this.#storedCleaned = cleaned
    })
    this.#writing = written.catch(() => {})
    return written
  }

  async #storeStarts(logs: ReadonlyMap<string, Log>): Promise<void> {
    const starts = new Map(this.#kept.startOffsets)
    for (const [name, log] of logs) if (log.logStartOffset > 0) starts.set(name, log.logStartOffset)
    if (isSame(starts, this.#storedStarts)) return
    await this.#disk.replaceFile(
      `${this.#directory}/${logStartOffsetFile}`,
      Buffer.from(encodeCheckpoint(starts)),
    )
    this.#storedStarts = starts
  }

  /** Meanwhile a log may have been cut, or another may have its name. */
  async #storePoints(logs: ReadonlyMap<string, Log>, taken: ReadonlyMap<Log, number>): Promise<void> {
    const points = new Map(this.#kept.recoveryPoints)
    for (const [name, log] of logs) {
      const point = taken.get(log)
      if (point !== undefined) points.set(name, Math.min(point, log.recoveryPoint))
    }
    if (isSame(points, this.#storedPoints)) return
    await this.#disk.replaceFile(
      `${this.#directory}/${recoveryPointFile}`,
      Buffer.from(encodeCheckpoint(points)),
    )
    this.#storedPoints = points
  }
}

function isSame(left: ReadonlyMap<string, number>, right: ReadonlyMap<string, number>): boolean {
  if (left.size !== right.size) return false
  for (const [name, offset] of left) if (right.get(name) !== offset) return false
  return true
}

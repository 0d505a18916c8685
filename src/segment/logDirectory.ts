import { EngineError, toEngineError } from '../model/errors.ts'
import type { Logger } from '../model/logger.ts'
import type { Uuid } from '../model/uuid.ts'
import type { DiskLock } from '../runtime/disk.ts'
import type { Runtime } from '../runtime/runtime.ts'
import { BackgroundSync } from './backgroundSync.ts'
import { BadRanges } from './badRanges.ts'
import { encodeCheckpoint, logStartOffsetFile, readTextIfThere, recoveryPointFile } from './checkpointFile.ts'
import { type Checkpoints, cleanShutdownFile, readCheckpoints } from './checkpoints.ts'
import { type ClosedLog, closedLogsFile, encodeClosedLogs } from './closedLog.ts'
import {
  decodePartitionMetadata,
  directoryKind,
  encodePartitionMetadata,
  logDirectoryName,
  retiredDirectoryName,
} from './directoryNames.ts'
import { partitionMetadataFile } from './fileNames.ts'
import { inParallel } from './inParallel.ts'
import { lockDirectory } from './lockOwner.ts'
import { Log, type LogConfig } from './log.ts'
import { type MetaProperties, openMetaProperties } from './metaProperties.ts'
import { IndexCache } from './segmentIndexes.ts'
import { SharedSync } from './sharedSync.ts'

/** Logs that are opened, closed or checkpointed at the same time. */
const parallel = 16
/** Kafka's default of `producer.id.expiration.ms`: a day. */
const defaultProducerIdExpirationMs = 86_400_000

/** What `LogDirectory.open` needs to know. */
export interface LogDirectoryOptions {
  /** Made if it is not there. */
  readonly directory: string
  readonly logger: Logger
  readonly nodeId: number
  /** Taken from the directory, or made, when absent. */
  readonly clusterId?: string
  /** The configuration that a found log is opened with. */
  configFor(topicName: string): LogConfig
  readonly producerIdExpirationMs?: number
  /** For timestamps inside compressed batches. */
  readonly decompress?: (codec: number, body: Uint8Array) => Uint8Array
}

/**
 * The data directory of one node: its lock, its identity, and every log in it. While it is open nobody else has
 * it; directories in it that it does not know are kept and reported.
 */
export class LogDirectory {
  readonly directory: string
  readonly clusterId: string
  readonly directoryId: Uuid
  readonly #runtime: Runtime
  readonly #options: LogDirectoryOptions
  readonly #logger: Logger
  readonly #lock: DiskLock
  readonly #logs = new Map<string, Log>()
  readonly #cache = new IndexCache()
  readonly #background: BackgroundSync
  /** Stored bytes that are known to be damaged, and are not served. */
  readonly badRanges = new BadRanges()
  /** Recovery points and start offsets of logs that were found but could not be opened. */
  readonly #kept = { recoveryPoints: new Map<string, number>(), startOffsets: new Map<string, number>() }
  /** What the checkpoint files say now. */
  #storedPoints: ReadonlyMap<string, number> = new Map()
  #storedStarts: ReadonlyMap<string, number> = new Map()
  readonly #names: SharedSync
  #writing: Promise<void> = Promise.resolve()
  #queuedStarts: Promise<void> | null = null
  #closed = false

  private constructor(runtime: Runtime, options: LogDirectoryOptions, lock: DiskLock, meta: MetaProperties) {
    this.#runtime = runtime
    this.#options = options
    this.#logger = options.logger
    this.#lock = lock
    this.directory = options.directory
    this.#names = new SharedSync(runtime.disk, options.directory)
    this.#background = new BackgroundSync(runtime, options.directory)
    this.clusterId = meta.clusterId
    this.directoryId = meta.directoryId
  }

  /**
   * Locks the directory, checks whose it is, opens every log in it (recovering what a crash left) and removes
   * what was deleted. Throws, with one line that says what to do: `directoryLocked`, `directoryForeign`,
   * `permissionDenied`, `diskFull`.
   */
  static async open(runtime: Runtime, options: LogDirectoryOptions): Promise<LogDirectory> {
    const lock = await lockDirectory(runtime, options.directory)
    try {
      const clusterId = options.clusterId ?? null
      const meta = await openMetaProperties(runtime, options.directory, options.nodeId, clusterId)
      const opened = new LogDirectory(runtime, options, lock, meta)
      await opened.#load()
      return opened
    } catch (error) {
      await lock.release()
      throw error
    }
  }

  /** The open logs by `topic-partition`. */
  get logs(): ReadonlyMap<string, Log> {
    return this.#logs
  }

  /**
   * Makes an empty log, durably. Throws `invalidTopicException` for a name that cannot be a directory,
   * `duplicateResource` when the log is open, `corruptLog` when records of an unknown topic lie there.
   */
  async createLog(topic: string, partition: number, topicId: Uuid, config: LogConfig): Promise<Log> {
    this.#checkOpen()
    const name = logDirectoryName(topic, partition)
    if (this.#logs.has(name)) throw new EngineError('duplicateResource', `${name} is open already`)
    const { disk } = this.#runtime
    const path = `${this.directory}/${name}`
    if ((await disk.stat(path)) !== null) await this.#checkUnused(path)
    // The offsets of a deleted log of this name must not be taken for the new one's.
    this.#kept.recoveryPoints.delete(name)
    this.#kept.startOffsets.delete(name)
    await this.#writing
    if (this.#storedPoints.has(name) || this.#storedStarts.has(name)) await this.checkpoint()
    await disk.makeDirectory(path)
    const metadata = Buffer.from(encodePartitionMetadata(topicId))
    await disk.replaceFile(`${path}/${partitionMetadataFile}`, metadata)
    await this.#names.sync()
    const log = await this.#openLog(name, topicId, config, {
      recoveryPoint: 0,
      logStartOffset: 0,
      clean: true,
      closed: null,
    })
    this.#logs.set(name, log)
    return log
  }

  /** Removes a log: at once from `logs`, by name durably when this resolves, its files after `fileDeleteDelayMs`. */
  async deleteLog(topic: string, partition: number): Promise<void> {
    const log = this.#logs.get(logDirectoryName(topic, partition))
    if (log === undefined) return
    const deleted = await this.#rename(log, 'delete')
    this.#runtime.clock.setTimer(log.config.fileDeleteDelayMs, () => {
      if (!this.#closed) void this.#removeDeleted(deleted)
    })
  }

  /**
   * Gives up the name of a log that belongs to no topic, so that another can have it: at once from `logs`, durably
   * when this resolves. Its files stay, in the directory that this returns, and no later start looks at them.
   */
  async setAside(topic: string, partition: number): Promise<string | null> {
    const log = this.#logs.get(logDirectoryName(topic, partition))
    return log === undefined ? null : this.#rename(log, 'stray')
  }

  /** Closes a log and takes its name; returns its directory under the new one. */
  async #rename(log: Log, why: 'delete' | 'stray'): Promise<string> {
    this.#checkOpen()
    const name = log.directory.slice(this.directory.length + 1)
    this.#logs.delete(name)
    await log.close({ clean: false })
    const id = Buffer.alloc(16)
    this.#runtime.random.fill(id)
    const renamed = `${this.directory}/${retiredDirectoryName(name, id.toString('hex'), why)}`
    await this.#runtime.disk.rename(log.directory, renamed)
    await this.#names.sync()
    return renamed
  }

  /** Stores recovery points and start offsets, after what they depend on. */
  async checkpoint(): Promise<void> {
    const points = new Map<Log, number>()
    await inParallel([...this.#logs.values()], parallel, async (log) => {
      points.set(log, await log.prepareCheckpoint())
    })
    await this.#write(async () => {
      await this.#storeStarts()
      await this.#storePoints(points)
    })
  }

  /** Applies retention to every log; returns the number of segments removed. */
  async retention(): Promise<number> {
    let removed = 0
    await inParallel([...this.#logs], parallel, async ([name, log]) => {
      try {
        removed += await log.applyRetention()
      } catch (error) {
        this.#logger.error('retention failed', { log: name, error: String(error) })
      }
    })
    return removed
  }

  /** Closes every log cleanly, notes that, and gives up the lock. */
  async close(): Promise<void> {
    if (this.#closed) return
    this.#closed = true
    try {
      const closed = new Map<string, ClosedLog>()
      await inParallel([...this.#logs], parallel, async ([name, log]) => {
        try {
          await log.close({ clean: true })
          if (log.closedState !== null) closed.set(name, log.closedState)
        } catch (error) {
          this.#logger.error('a log was not closed cleanly', { log: name, error: String(error) })
        }
      })
      await this.checkpoint()
      const text = Buffer.from(encodeClosedLogs(closed))
      await this.#runtime.disk.replaceFile(`${this.directory}/${closedLogsFile}`, text)
      // Logs that could not be opened may still be as a crash left them.
      if (closed.size === this.#logs.size && this.#kept.recoveryPoints.size === 0) {
        const marker = Buffer.from('{"version":0,"brokerEpoch":-1}')
        await this.#runtime.disk.replaceFile(`${this.directory}/${cleanShutdownFile}`, marker)
      }
    } finally {
      await this.#lock.release()
    }
  }

  async #load(): Promise<void> {
    const { disk } = this.#runtime
    const checkpoints = await readCheckpoints(disk, this.directory, this.#logger)
    this.#storedPoints = checkpoints.recoveryPoints
    this.#storedStarts = checkpoints.startOffsets
    const names: string[] = []
    for (const { name, kind } of await disk.list(this.directory)) {
      if (kind !== 'directory') continue
      const what = directoryKind(name)
      if (what === 'log') names.push(name)
      else if (what === 'deleted') void this.#removeDeleted(`${this.directory}/${name}`)
      else this.#logger.warn('an unknown directory is kept and not used', { directory: name })
    }
    await inParallel(names, parallel, (name) => this.#loadLog(name, checkpoints))
  }

  async #loadLog(name: string, checkpoints: Checkpoints): Promise<void> {
    const path = `${this.directory}/${name}`
    const recoveryPoint = checkpoints.recoveryPoints.get(name) ?? 0
    const logStartOffset = checkpoints.startOffsets.get(name) ?? 0
    const closed = checkpoints.closedLogs.get(name) ?? null
    const topicId = closed?.topicId ?? (await this.#readTopicId(path))
    if (topicId === null) {
      this.#keep(name, checkpoints)
      this.#logger.warn('a log directory without a readable partition.metadata is kept and not used', {
        directory: path,
      })
      return
    }
    const config = this.#options.configFor(name.slice(0, name.lastIndexOf('-')))
    const clean = checkpoints.cleanShutdown || closed !== null
    try {
      this.#logs.set(
        name,
        await this.#openLog(name, topicId, config, { recoveryPoint, logStartOffset, clean, closed }),
      )
    } catch (cause) {
      const error = toEngineError(cause, 'diskFailed', 'the log could not be opened')
      this.#keep(name, checkpoints)
      this.#logger.error('a log could not be opened; it is kept and not used', {
        directory: path,
        error: error.message,
      })
    }
  }

  async #readTopicId(path: string): Promise<Uuid | null> {
    const text = await readTextIfThere(this.#runtime.disk, `${path}/${partitionMetadataFile}`)
    return text === null ? null : decodePartitionMetadata(text)
  }

  /** Keeps the checkpoints of a log that is there but not open. */
  #keep(name: string, checkpoints: Checkpoints): void {
    const recoveryPoint = checkpoints.recoveryPoints.get(name)
    const startOffset = checkpoints.startOffsets.get(name)
    if (recoveryPoint !== undefined) this.#kept.recoveryPoints.set(name, recoveryPoint)
    if (startOffset !== undefined) this.#kept.startOffsets.set(name, startOffset)
  }

  #openLog(
    name: string,
    topicId: Uuid,
    config: LogConfig,
    from: { recoveryPoint: number; logStartOffset: number; clean: boolean; closed: ClosedLog | null },
  ): Promise<Log> {
    const { decompress } = this.#options
    return Log.open(this.#runtime, {
      directory: `${this.directory}/${name}`,
      topicId,
      config,
      logger: this.#logger,
      recoveryPoint: from.recoveryPoint,
      logStartOffset: from.logStartOffset,
      cleanShutdown: from.clean,
      closedState: from.closed,
      producerIdExpirationMs: this.#options.producerIdExpirationMs ?? defaultProducerIdExpirationMs,
      indexCache: this.#cache,
      backgroundSync: this.#background,
      badRanges: this.badRanges,
      persistStartOffset: () => this.#persistStarts(),
      persistRecoveryPoint: () => this.checkpoint(),
      ...(decompress === undefined ? {} : { decompress }),
    })
  }

  /** Stores the start offsets of all logs; callers that come before it has begun share one store. */
  #persistStarts(): Promise<void> {
    this.#queuedStarts ??= this.#write(() => {
      this.#queuedStarts = null
      return this.#storeStarts()
    })
    return this.#queuedStarts
  }

  async #storeStarts(): Promise<void> {
    const starts = new Map(this.#kept.startOffsets)
    for (const [name, log] of this.#logs) if (log.logStartOffset > 0) starts.set(name, log.logStartOffset)
    if (isSame(starts, this.#storedStarts)) return
    const text = Buffer.from(encodeCheckpoint(starts))
    await this.#runtime.disk.replaceFile(`${this.directory}/${logStartOffsetFile}`, text)
    this.#storedStarts = starts
  }

  /** Stores recovery points as they were `taken`. Meanwhile a log may have been cut, or another may have its name. */
  async #storePoints(taken: ReadonlyMap<Log, number>): Promise<void> {
    const points = new Map(this.#kept.recoveryPoints)
    for (const [name, log] of this.#logs) {
      const point = taken.get(log)
      if (point !== undefined) points.set(name, Math.min(point, log.recoveryPoint))
    }
    if (isSame(points, this.#storedPoints)) return
    const text = Buffer.from(encodeCheckpoint(points))
    await this.#runtime.disk.replaceFile(`${this.directory}/${recoveryPointFile}`, text)
    this.#storedPoints = points
  }

  /** Runs one writer of checkpoint files at a time. */
  #write(body: () => Promise<void>): Promise<void> {
    const written = this.#writing.then(body)
    this.#writing = written.catch(() => {})
    return written
  }

  /** A directory may be taken over only when it holds no records: its maker died before it could say whose it is. */
  async #checkUnused(path: string): Promise<void> {
    for (const { name } of await this.#runtime.disk.list(path)) {
      if (!name.endsWith('.log')) continue
      const found = await this.#runtime.disk.stat(`${path}/${name}`)
      if (found === null || found.sizeBytes === 0) continue
      throw new EngineError(
        'corruptLog',
        `${path} holds records of an unknown topic; restore its ${partitionMetadataFile} or move it away`,
      )
    }
  }

  async #removeDeleted(path: string): Promise<void> {
    try {
      await this.#runtime.disk.remove(path)
    } catch (cause) {
      const error = toEngineError(cause, 'diskFailed', 'a deleted log could not be removed')
      this.#logger.warn('files of a deleted log are still there; the next start removes them', {
        directory: path,
        error: error.message,
      })
    }
  }

  #checkOpen(): void {
    if (this.#closed) throw new EngineError('closed', 'the data directory has been closed')
  }
}

function isSame(left: ReadonlyMap<string, number>, right: ReadonlyMap<string, number>): boolean {
  if (left.size !== right.size) return false
  for (const [name, offset] of left) if (right.get(name) !== offset) return false
  return true
}

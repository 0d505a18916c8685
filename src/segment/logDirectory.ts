import { EngineError, toEngineError } from '../model/errors.ts'
import { acksBesideJournal } from '../model/flushPolicy.ts'
import type { Logger } from '../model/logger.ts'
import { planted } from '../model/planted.ts'
import type { Uuid } from '../model/uuid.ts'
import type { DiskLock } from '../runtime/disk.ts'
import type { Runtime } from '../runtime/runtime.ts'
import { BackgroundSync } from './backgroundSync.ts'
import { BadRanges } from './badRanges.ts'
import { CheckpointStore } from './checkpointStore.ts'
import { markClean } from './checkpoints.ts'
import { checkUnused, removeDeleted, removeLater } from './deadDirectories.ts'
import { DirectoryLocks } from './directoryLocks.ts'
import { logDirectoryName } from './directoryNames.ts'
import type { Doubts } from './doubts.ts'
import { inParallel } from './inParallel.ts'
import { Log, type LogConfig } from './log.ts'
import { closeLogs } from './logClosing.ts'
import { defaultProducerIdExpirationMs, type LogDirectoryOptions } from './logDirectoryOptions.ts'
import { type FoundLog, findLogs } from './logFinder.ts'
import type { OpenInput } from './logTypes.ts'
import { openIdentity } from './newBeginning.ts'
import { NodeJournal } from './nodeJournal.ts'
import { journalOptionsOf } from './nodeJournalOptions.ts'
import { makeWithMetadata } from './partitionMetadata.ts'
import { Progress } from './progress.ts'
import { type Reopen, reopenInput } from './reopen.ts'
import { type ReplayedTail, tailsOf } from './replayedTail.ts'
import { retainAll } from './retention.ts'
import { RetiredLogs } from './retiredLogs.ts'
import { IndexCache } from './segmentIndexes.ts'
import { SegmentScanner } from './segmentScanner.ts'
import { SharedSync } from './sharedSync.ts'
import { TroubleLog } from './troubleLog.ts'
import { UnopenedLogs } from './unopenedLogs.ts'

/** Logs that are opened, closed or checkpointed at the same time. */
const parallel = 16

/** A node's data directory, its journal and every log in it. Nobody else has it meanwhile; directories that it does not know are kept. */
export class LogDirectory {
  readonly directory: string
  readonly clusterId: string
  readonly directoryId: Uuid
  readonly #runtime: Runtime
  readonly #options: LogDirectoryOptions
  readonly #logger: Logger
  readonly #lock: DiskLock
  readonly #journal: NodeJournal
  readonly #logs = new Map<string, Log>()
  readonly #ids = new Map<Log, Uuid>()
  readonly #cache = new IndexCache()
  readonly #background: BackgroundSync
  readonly #scanner: SegmentScanner
  readonly #troubles: TroubleLog
  /** Stored bytes that are known to be damaged, and are not served. */
  readonly badRanges = new BadRanges()
  /** Whether the life before closed it in order. */
  wasClosedCleanly = false
  readonly #checkpoints: CheckpointStore
  readonly #names: SharedSync
  readonly #unopened = new UnopenedLogs()
  readonly #retired: RetiredLogs
  #cleanedOffsets: ReadonlyMap<string, number> = new Map()
  /** How damaged logs are opened once they are mended. */
  readonly #reopeners = new WeakMap<Log, Reopen>()
  #closed = false

  private constructor(
    runtime: Runtime,
    options: LogDirectoryOptions,
    lock: DiskLock,
    meta: { readonly clusterId: string; readonly directoryId: Uuid },
    journal: NodeJournal,
  ) {
    this.#runtime = runtime
    this.#options = options
    this.#logger = options.logger
    this.#lock = lock
    this.#journal = journal
    this.directory = options.directory
    const { directory } = options
    const names = new SharedSync(runtime.disk, directory)
    this.#names = names
    this.#retired = new RetiredLogs({ runtime, directory, journal, names, badRanges: this.badRanges })
    this.#scanner = new SegmentScanner(runtime)
    this.#troubles = new TroubleLog(runtime.clock, options.logger)
    this.#background = new BackgroundSync(runtime, options.directory)
    this.#checkpoints = new CheckpointStore(runtime.disk, options.directory)
    this.clusterId = meta.clusterId
    this.directoryId = meta.directoryId
  }

  /**
   * Locks the directory, checks whose it is, replays its journal, opens every log in it (recovering what a crash left)
   * and removes what was deleted. Throws, with one line that says what to do: `directoryLocked`, `directoryForeign`,
   * `permissionDenied`, `diskFull`, `invalidConfig` for a journal that is elsewhere, `corruptLog` for one that is gone.
   */
  static async open(runtime: Runtime, options: LogDirectoryOptions): Promise<LogDirectory> {
    const locks = await DirectoryLocks.take(runtime, options.directory)
    try {
      const meta = await openIdentity(runtime, options)
      const ofJournal = journalOptionsOf(options, meta.directoryId)
      await locks.takeJournal(runtime, options.directory, ofJournal.directory)
      const journal = await NodeJournal.open(runtime, ofJournal)
      const opened = new LogDirectory(runtime, options, locks, meta, journal)
      await opened.#load()
      return opened
    } catch (error) {
      await locks.release()
      throw error
    }
  }

  /** What waits to be durable in the journal, and its bound. */
  get journalQueue(): NodeJournal['queue'] {
    return this.#journal.queue
  }

  /** What damage has left open about a log. */
  doubtsAbout(log: Log): Doubts {
    return this.#journal.doubtsOf(this.#ids.get(log)!)
  }

  /** What was stored for a log beside its records under a kind from 16 to 255; null for nothing. */
  stateOf(log: Log, kind: number): Uint8Array | null {
    return this.#journal.stateOf(this.#ids.get(log)!, kind)
  }

  /**
   * Stores a state of a log in place of the last one of that kind. Durable when it resolves; states and appends become so in
   * the order of the calls, and together with everything else of the turn. `bytes` must not change any more.
   */
  putState(log: Log, kind: number, bytes: Uint8Array): Promise<void> {
    return this.#journal.putState(this.#ids.get(log)!, kind, bytes)
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
    // What the journal has of it, votes among that, would be forgotten.
    if (this.#unopened.has(name)) throw new EngineError('kafkaStorageError', `${name} could not be opened`)
    const path = `${this.directory}/${name}`
    const wasThere = (await this.#runtime.disk.stat(path)) !== null
    if (wasThere) await checkUnused(this.#runtime.disk, path)
    await this.#checkpoints.forget(name, this.#logs)
    await this.#retired.settle(name)
    let id: Uuid
    try {
      await this.#makeDirectory(name, topicId)
      id = await this.#journal.create(name, topicId)
    } catch (error) {
      if (!wasThere) await this.#runtime.disk.remove(path).catch(() => {})
      throw error
    }
    // Replay makes the directory again, but cannot bring back what was synced into a lost one.
    if (acksBesideJournal(config.flush) && !planted('missingDirectorySync')) await this.#names.sync()
    return this.#openLog(name, config, {
      id,
      topicId,
      recoveryPoint: 0,
      logStartOffset: 0,
      cleanShutdown: true,
    })
  }

  /** The topic of a log, open or not; null when there is none of this name. */
  topicIdOf(name: string): Uuid | null {
    return this.#logs.get(name)?.topicId ?? this.#unopened.topicIdOf(name)
  }

  /** Opens a log that the start could not open; null when there is none of this name. Rejects when it still cannot be opened. */
  async openAgain(topic: string, partition: number): Promise<Log | null> {
    this.#checkOpen()
    return this.#unopened.open(logDirectoryName(topic, partition))
  }

  /** Removes a log, open or not: at once from `logs`, durably when this resolves, its files after `fileDeleteDelayMs`. */
  async deleteLog(topic: string, partition: number): Promise<void> {
    const name = logDirectoryName(topic, partition)
    const log = this.#logs.get(name)
    let id: Uuid | null | undefined
    if (log !== undefined) id = await this.#take(name, log)
    else if (await this.#unopened.take(name)) {
      this.#checkpoints.release(name)
      id = this.#journal.idOf(name)
    } else if (!this.#retired.keeps(name)) return
    if (id && !planted('deletionNotJournaled')) await this.#journal.delete(id)
    const deleted = await this.#retired.delete(name, id)
    if (deleted === null) return
    const delayMs = (log?.config ?? this.#configOf(name)).fileDeleteDelayMs
    removeLater(this.#runtime, deleted, delayMs, () => this.#closed, this.#logger)
  }

  /**
   * Gives up the name of a log that belongs to no topic, so that another can have it: at once from `logs`, durably
   * when this resolves. Its files stay, in the directory that this returns, and no later start looks at them.
   */
  async setAside(topic: string, partition: number): Promise<string | null> {
    const name = logDirectoryName(topic, partition)
    const log = this.#logs.get(name)
    if (log === undefined) return null
    const id = await this.#take(name, log)
    const stray = await this.#retired.setAside(name, id)
    await this.#journal.delete(id)
    this.#journal.renamed(id)
    return stray
  }

  /** Closes a log and takes it out; returns its id. */
  async #take(name: string, log: Log): Promise<Uuid> {
    this.#checkOpen()
    const id = this.#ids.get(log)!
    this.#logs.delete(name)
    this.#ids.delete(log)
    await log.close({ clean: false })
    return id
  }

  /** Stores recovery points and start offsets, after what they depend on. */
  checkpoint(): Promise<void> {
    return this.#checkpoint(false)
  }

  /** `isForced`: also when only the resume points may have changed. */
  async #checkpoint(isForced: boolean): Promise<void> {
    const points = new Map<Log, number>()
    await inParallel([...this.#logs.values()], parallel, async (log) => {
      points.set(log, await log.prepareCheckpoint())
    })
    if (isForced || this.#journal.isBehind) await this.#journal.checkpoint()
    await this.#checkpoints.store(this.#logs, points)
  }

  /** Stores up to where each log was compacted, in Kafka's `cleaner-offset-checkpoint`. */
  storeCleanedOffsets(): Promise<void> {
    return this.#checkpoints.storeCleaned(this.#logs)
  }

  /** Applies retention to every log; returns the number of segments removed. */
  retention(): Promise<number> {
    return retainAll(this.#logs, this.#logger)
  }

  /** Opens a log again that was offline at the start, once its files are mended; null where that cannot help. */
  reopening(log: Log): Reopen | null {
    return this.#reopeners.get(log) ?? null
  }

  /** Ends the journal where it takes nothing, before a `close`: who waits for it would wait for ever, and is told `closed`. */
  async giveUpJournal(): Promise<void> {
    if (this.#journal.isRefusing) await this.#journal.close({ clean: false })
  }

  /** Closes every log cleanly, notes that, and gives up the lock. */
  async close(): Promise<void> {
    if (this.#closed) return
    this.#closed = true
    try {
      // What is left to sync is synced together; what goes wrong takes logs offline and shows below.
      await this.#journal.lastCheckpoint().catch(() => {})
      await this.#background.idle()
      await this.giveUpJournal()
      const { areStored, areClean } = await closeLogs(this.#logs, this.#logger)
      const points = new Map([...this.#logs.values()].map((log) => [log, log.recoveryPoint]))
      await this.#checkpoints.store(this.#logs, points)
      // What could not be stored in a log's files is in the journal alone.
      await this.#journal.close({ clean: areStored && !this.#journal.hasUnstored })
      // Logs that could not be opened may still be as a crash left them.
      if (areClean && this.#checkpoints.keepsNothing && this.#journal.failed === null) {
        await markClean(this.#runtime.disk, this.directory)
      }
    } finally {
      await this.#lock.release()
    }
  }

  async #load(): Promise<void> {
    const startedMs = this.#runtime.clock.monotonicMs()
    const found = await findLogs(this.#runtime, this.directory, this.#journal, this.#logger)
    this.#checkpoints.found(found.checkpoints)
    this.wasClosedCleanly = found.isClean
    this.#cleanedOffsets = found.checkpoints.cleanedOffsets
    for (const path of found.deleted) void removeDeleted(this.#runtime.disk, path, this.#logger)
    for (const { name, topicId } of found.missing) await this.#makeDirectory(name, topicId)
    const intervalOf = (name: string): number => this.#configOf(name).indexIntervalBytes
    const tails = tailsOf(this.#runtime, this.directory, this.#journal.plan, found.logs, intervalOf)
    await this.#journal.replay(found.absent, tails)
    // What the page cache shows of a dead process's work may not be stored.
    if (!found.isClean || found.deleted.length > 0) await this.#names.sync()
    await this.#journal.start(this.#background)
    // Not before: a journal that is full waits for what only it can do from now on.
    for (const id of found.setAside) {
      await this.#journal.delete(id)
      this.#journal.renamed(id)
    }
    const progress = new Progress(this.#runtime.clock, this.#logger, 'opening logs', found.logs.length)
    await inParallel(found.logs, parallel, async (each) => {
      progress.step()
      const config = this.#configOf(each.name)
      try {
        await this.#openFound(each, config, tails)
      } catch (cause) {
        const error = toEngineError(cause, 'diskFailed', 'the log could not be opened')
        this.#checkpoints.keep(each.name, found.checkpoints)
        // What replay has made ready may be half used up.
        this.#unopened.add(each, () => this.#openFound(each, this.#configOf(each.name), new Map()))
        this.#logger.error('a log could not be opened; it is kept and not used', {
          directory: `${this.directory}/${each.name}`,
          error: error.message,
        })
      }
    })
    for (const name of found.unreadable) this.#checkpoints.keep(name, found.checkpoints)
    this.#logger.info('opened the data directory', {
      logs: this.#logs.size,
      clean: found.isClean,
      elapsedMs: Math.round(this.#runtime.clock.monotonicMs() - startedMs),
    })
  }

  #configOf(name: string): LogConfig {
    return this.#options.configFor(name.slice(0, name.lastIndexOf('-')))
  }

  async #openFound(found: FoundLog, config: LogConfig, tails: ReadonlyMap<Uuid, ReplayedTail>): Promise<Log> {
    const { name, topicId } = found
    const id = found.id ?? this.#journal.idOf(name) ?? (await this.#journal.create(name, topicId, found))
    const damage = this.#journal.damageOf(id) ?? found.damage
    const doubts = this.#journal.doubtsOf(id)
    const cleanedOffset = this.#cleanedOffsets.get(found.name) ?? 0
    const tail = tails.get(id) ?? null
    const open = async (from: OpenInput): Promise<Log> => {
      const log = await this.#openLog(name, config, from)
      const { offline } = log
      if (offline !== null)
        this.#reopeners.set(log, (end) =>
          this.#take(name, log).then(() => open(reopenInput(from, end, offline))),
        )
      return log
    }
    const log = await open({ cleanedOffset, tail, ...doubts.forOpening, ...found, id, damage })
    if (this.#journal.plan.hasBeyond(id, log.logEndOffset)) await log.forgetBeyondEnd()
    this.#checkpoints.release(name)
    return log
  }

  async #openLog(name: string, config: LogConfig, from: OpenInput): Promise<Log> {
    const { decompress } = this.#options
    const { id, ...rest } = from
    const log = await Log.open(this.#runtime, {
      directory: `${this.directory}/${name}`,
      config,
      logger: this.#logger,
      producerIdExpirationMs: this.#options.producerIdExpirationMs ?? defaultProducerIdExpirationMs,
      indexCache: this.#cache,
      badRanges: this.badRanges,
      scanner: this.#scanner,
      troubles: this.#troubles,
      backgroundSync: this.#background,
      journal: this.#journal.forLog(id),
      persistRecoveryPoint: () => this.#checkpoint(true),
      syncName: () => this.#names.sync(),
      persistCleanedOffset: () => this.storeCleanedOffsets(),
      persistStartOffset: async (offset) => {
        if (planted('startOffsetNotStored')) return
        await this.#journal.commit([{ type: 'startOffset', logId: id, offset }])
      },
      ...(decompress === undefined ? {} : { decompress }),
      ...rest, // Last: fields that come after a spread would give each of thousands a hidden class of its own.
    })
    this.#journal.opened(id, log)
    this.#ids.set(log, id)
    this.#logs.set(name, log)
    return log
  }

  /** Makes the directory of a log; durable with the journal's next checkpoint, which knows the log until then. */
  async #makeDirectory(name: string, topicId: Uuid): Promise<void> {
    await makeWithMetadata(this.#runtime.disk, `${this.directory}/${name}`, topicId)
    this.#journal.namesChanged(name)
  }

  #checkOpen(): void {
    if (this.#closed) throw new EngineError('closed', 'the data directory has been closed')
  }
}

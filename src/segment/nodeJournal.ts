import { type CorruptionError, EngineError } from '../model/errors.ts'
import { randomUuid, type Uuid, uuidToBytes } from '../model/uuid.ts'
import type { Runtime } from '../runtime/runtime.ts'
import type { BackgroundSync, SyncTarget } from './backgroundSync.ts'
import { Doubts, doubtsIn, tellDoubts } from './doubts.ts'
import type { JournalEntry } from './journal/entries.ts'
import { Journal } from './journal/journal.ts'
import type { JournalHost } from './journal/journalHost.ts'
import type { JournalReplay } from './journal/journalReplay.ts'
import type { LogCheckpoint, NodeCheckpoint } from './journal/nodeCheckpoint.ts'
import { checkJournalAge, noteJournalPlace } from './journalPlace.ts'
import { storeFromJournal } from './journalRescue.ts'
import type { KnownLog, Stranger } from './knownLog.ts'
import { checkpointOf, creationOf, forgetCut, knownLog, lastOf, whenResumable } from './knownLog.ts'
import type { Log } from './log.ts'
import type { LogJournal } from './logJournal.ts'
import type { NodeJournalOptions } from './nodeJournalOptions.ts'
import { doubtKind } from './ownStates.ts'
import { syncMetadata } from './partitionMetadata.ts'
import { Progress } from './progress.ts'
import { ReplayedFiles } from './replayedFiles.ts'
import type { ReplayedTail } from './replayedTail.ts'
import { ReplayPlan } from './replayPlan.ts'
import { ReplayWriter } from './replayWriter.ts'

/** From so many files or directories on one sync of the whole file system is cheaper. */
const manyNames = 64

/** The journal of a data directory: what it holds of each log, and what each log has stored elsewhere. */
export class NodeJournal implements JournalHost {
  readonly plan: ReplayPlan
  readonly #runtime: Runtime
  readonly #options: NodeJournalOptions
  readonly #journal: Journal
  readonly #replay: JournalReplay
  readonly #writer: ReplayWriter
  readonly #known = new Map<Uuid, KnownLog>()
  /** Bits of the doubts that concern every log that this start has found or makes. */
  readonly #doubts: number
  #sync: BackgroundSync | null = null
  #lagging = new Set<SyncTarget>()
  /** What replay has written, of logs that are open or not. */
  readonly #replayed: ReplayedFiles
  /** Logs that are offline and of which their files have what the journal has: those that were so from the start, and rescued ones. */
  readonly #settled = new Set<Log>()
  #isLast = false
  /** What the checkpoint that is being stored has of the logs that are open. */
  #captured: (readonly [KnownLog, LogCheckpoint])[] = []
  /** Logs whose truncation replay has finished. */
  #ended: readonly Uuid[] = []
  /** Logs whose directories and metadata files may not be durable. */
  #newNames: string[] = []
  /** Whether names in the data directory have changed. */
  #namesChanged = false

  private constructor(
    runtime: Runtime,
    options: NodeJournalOptions,
    journal: Journal,
    replay: JournalReplay,
    plan: ReplayPlan,
  ) {
    this.#runtime = runtime
    this.#options = options
    this.#journal = journal
    this.#replay = replay
    this.plan = plan
    this.#writer = new ReplayWriter(runtime, options.dataDirectory, plan)
    this.#replayed = new ReplayedFiles({
      disk: runtime.disk,
      logger: options.logger,
      syncAll: () => this.#syncAll(),
      logIn: (directory) => this.#knownIn(directory)?.log ?? null,
      rescue: async (directory) => {
        const known = this.#knownIn(directory)
        if (known !== null) await this.#rescue([known])
      },
    })
    const found = doubtsIn(replay)
    const earlier = replay.checkpoint?.doubts ?? 0
    this.#doubts = found | earlier
    for (const log of plan.logs.values()) {
      const doubts = found | (log.states.get(doubtKind)?.[0] ?? earlier)
      this.#known.set(log.id, knownLog(lastOf(log), this.#doubtsFor(log.id, doubts)))
    }
  }

  /**
   * Opens the journal and reads what it has. Throws `directoryForeign` for a journal of another data directory,
   * `corruptLog` when it is gone or both its checkpoints are damaged.
   */
  static async open(runtime: Runtime, options: NodeJournalOptions): Promise<NodeJournal> {
    const { dataDirectory, directory, directoryId, logger, journalBytes, fileBytes } = options
    const plan = new ReplayPlan()
    const { journal, replay } = await Journal.open(runtime, {
      visitor: plan,
      directory,
      directoryId: uuidToBytes(directoryId),
      logger,
      ...(journalBytes === undefined ? {} : { journalBytes }),
      ...(fileBytes === undefined ? {} : { fileBytes }),
    })
    await checkJournalAge(runtime, dataDirectory, directory, journal.checkpointNumber)
    // This life may let go of what shows it and end before anybody was told.
    const doubts = doubtsIn(replay)
    if ((doubts & ~(replay.checkpoint?.doubts ?? 0)) !== 0) await journal.noteDoubts(doubts)
    await noteJournalPlace(runtime, dataDirectory, directory, journal.checkpointNumber)
    return new NodeJournal(runtime, options, journal, replay, plan)
  }

  /** Whether the last thing that happened to the journal was a clean shutdown. */
  get isClean(): boolean {
    return this.#replay.isClean
  }

  /** Whether there was no journal before. */
  get isNew(): boolean {
    return this.#replay.checkpoint === null
  }

  /** What is not settled about a log that is known. */
  doubtsOf(id: Uuid): Doubts {
    return this.#known.get(id)!.doubts
  }

  /** Why nothing can be committed any more; null while it can. */
  get failed(): EngineError | null {
    return this.#journal.failed
  }

  /** Whether the disk takes nothing: what is committed may wait for ever. */
  get isRefusing(): boolean {
    return this.#journal.isRefusing
  }

  /** What waits to be durable in the journal, and its bound. */
  get queue(): Pick<Journal, 'queuedBytes' | 'maxQueuedBytes' | 'room' | 'stats' | 'totalBytes' | 'failed'> {
    return this.#journal
  }

  /** Writes what the journal holds of the logs into their files again, but for those `absent`, and says what it found. */
  async replay(absent: ReadonlySet<Uuid>, tails: ReadonlyMap<Uuid, ReplayedTail>): Promise<void> {
    const { logger } = this.#options
    const { frameCount } = this.#replay
    tellDoubts(this.#replay, logger)
    if (this.plan.strangers > 0) {
      logger.error('the journal has entries of logs that nobody knows', { entries: this.plan.strangers })
    }
    const cut = [...this.plan.logs.values()].filter(({ unfinishedCut }) => unfinishedCut !== null)
    if (frameCount === 0 && cut.length === 0) return
    const { clock } = this.#runtime
    const startedMs = clock.monotonicMs()
    const progress = new Progress(clock, logger, 'replaying the journal', frameCount)
    await this.#writer.run(this.#replay, absent, tails, () => progress.step())
    this.#replayed.take(this.#writer.written, this.#writer.directories)
    const isDone = (id: Uuid): boolean => !absent.has(id) && !this.#writer.failed.has(id)
    this.#ended = cut.map(({ id }) => id).filter(isDone)
    const { batches, bytes, written } = this.#writer
    const elapsedMs = Math.round(clock.monotonicMs() - startedMs)
    logger.info('replayed the journal', {
      frames: frameCount,
      batches,
      bytes,
      files: written.size,
      elapsedMs,
    })
  }

  /** The id of the log with this name; null when it has none. */
  idOf(name: string): Uuid | null {
    return this.#knownIn(name)?.id ?? null
  }

  /** What replay found wrong with a log's files; null for nothing. Throws when it could not write all of them. */
  damageOf(id: Uuid): CorruptionError | null {
    const failure = this.#writer.failed.get(id)
    if (failure !== undefined) throw failure
    return this.#writer.damaged.get(id) ?? null
  }

  /** Lets the journal use its files again, from now on. Every log must be known and its files replayed. */
  async start(sync: BackgroundSync): Promise<void> {
    this.#sync = sync
    this.#journal.host = this
    // Cuts that replay has finished must not be made again: what comes next may not be in the journal. Only now there
    // is room for that in a journal that was full.
    await this.commit(this.#ended.map((logId) => ({ type: 'truncated', logId })))
    for (const id of this.#ended) forgetCut(this.#known.get(id))
  }

  /** A log that the journal does not know yet: a new one, or what is `found` of one that is there. Resolves once it does, durably. */
  async create(name: string, topicId: Uuid, found: Stranger | null = null): Promise<Uuid> {
    const id = randomUuid(this.#runtime.random)
    const { recoveryPoint = 0, logStartOffset = 0 } = found ?? {}
    const last = { id, name, topicId, recoveryPoint, logStartOffset, states: [] }
    // What was lost may have had one of this name.
    this.#known.set(id, knownLog(last, this.#doubtsFor(id, this.#doubts)))
    try {
      await this.commit(creationOf(id, name, topicId, found))
    } catch (error) {
      // What was taken of it may become durable after all: a new one must not come back then. The directory of one that is there stays.
      if (found === null) {
        this.#known.get(id)!.deletion = 'renamed'
        this.commit([{ type: 'delete', logId: id }]).catch(() => {})
      } else this.#known.delete(id)
      throw error
    }
    return id
  }

  /** Names in the data directory have changed; `created` is a new log's. Durable before the journal lets go of it. */
  namesChanged(created: string | null): void {
    this.#namesChanged = true
    if (created !== null) this.#newNames.push(created)
  }

  /** Whether there is more to store than the last checkpoint has. */
  get isBehind(): boolean {
    if (this.#lagging.size > 0 || this.#replayed.isUnsynced || this.hasUnstored) return true
    for (const { log, last, deletion } of this.#known.values()) {
      if (log === null || log.offline !== null || deletion !== 'none') continue
      if (log.recoveryPoint !== last.recoveryPoint || log.logStartOffset !== last.logStartOffset) return true
    }
    return false
  }

  /** The log is open from now on. */
  opened(id: Uuid, log: Log): void {
    const known = this.#known.get(id)!
    known.log = log
    if (log.offline !== null) this.#settled.add(log)
    else known.doubts.recordsChecked()
  }

  /** The log is gone, durably when this resolves, whatever name its directory has. */
  async delete(id: Uuid): Promise<void> {
    const known = this.#known.get(id)
    if (known !== undefined) known.deletion = 'decided'
    await this.commit([{ type: 'delete', logId: id }])
  }

  /** The directory of a deleted log has another name, or never had this one. */
  renamed(id: Uuid): void {
    const known = this.#known.get(id)
    if (known !== undefined) known.deletion = 'renamed'
    this.#namesChanged = true
  }

  /** The journal as log `id` sees it. */
  forLog(id: Uuid): LogJournal {
    return {
      logId: id,
      logIdBytes: uuidToBytes(id),
      writer: this.#journal,
      lags: (log) => {
        this.#lagging.add(log)
      },
    }
  }

  /** The last state of a kind that was stored for a log; null for none. */
  stateOf(id: Uuid, kind: number): Uint8Array | null {
    return this.#known.get(id)?.states.get(kind) ?? null
  }

  /** Stores a state of a log, in place of the last one of that kind; durable when it resolves. */
  async putState(id: Uuid, kind: number, bytes: Uint8Array): Promise<void> {
    this.#known.get(id)?.states.set(kind, bytes)
    await this.commit([{ type: 'state', logId: id, kind, bytes }])
  }

  /** Makes entries durable. */
  commit(entries: readonly JournalEntry[]): Promise<void> {
    return this.#journal.commit(entries)
  }

  /** Has everything that the journal holds synced elsewhere. */
  checkpoint(): Promise<void> {
    return this.#journal.checkpoint()
  }

  /** As `checkpoint`, but keeps what only the journal has when a log goes, or went, offline: the next start brings it back. */
  lastCheckpoint(): Promise<void> {
    this.#isLast = true
    return this.#journal.checkpoint()
  }

  async syncBehind(): Promise<NodeCheckpoint> {
    const lagging = this.#lagging
    this.#lagging = new Set()
    try {
      await this.#syncNames()
      await this.#sync!.sync(lagging)
      await this.#replayed.sync()
      await whenResumable(this.#known.values())
      await this.#rescue([...this.#known.values()].filter((known) => this.#isUnstored(known)))
      if (this.#isLast && this.hasUnstored)
        throw new EngineError('diskFailed', 'a log is offline: what the journal has of it is kept')
    } catch (error) {
      for (const log of lagging) this.#lagging.add(log)
      throw error
    }
    const logs: LogCheckpoint[] = []
    this.#captured = []
    for (const known of this.#known.values()) {
      const checkpoint = checkpointOf(known)
      logs.push(checkpoint)
      if (known.log !== null && known.log.offline === null && known.deletion === 'none')
        this.#captured.push([known, checkpoint])
    }
    return { logs }
  }

  /** Whether the files of a log that went offline in this life do not have all that was acknowledged. */
  get hasUnstored(): boolean {
    return [...this.#known.values()].some((known) => this.#isUnstored(known))
  }

  #isUnstored({ id, log, deletion }: KnownLog): boolean {
    if (this.#writer.failed.has(id) && deletion === 'none') return true
    if (log === null || log.offline === null || deletion !== 'none' || this.#settled.has(log)) return false
    return log.durableOffset > log.recoveryPoint
  }

  /** Stores what the journal has of logs that nobody goes on with, so that it need not keep it. */
  async #rescue(lost: readonly KnownLog[]): Promise<void> {
    if (lost.length === 0) return
    const { dataDirectory, logger } = this.#options
    const ids = new Set(lost.map(({ id }) => id))
    await storeFromJournal(this.#runtime, dataDirectory, this.#journal.content, ids)
    for (const known of lost) {
      this.#writer.failed.delete(known.id)
      if (known.log === null) forgetCut(known)
      else this.#settled.add(known.log)
    }
    logger.warn('stored what the journal had of logs that are offline; the next start finds it', {
      logs: lost.map(({ name }) => name).join(),
    })
  }

  #doubtsFor(logId: Uuid, bits: number): Doubts {
    return new Doubts(bits, (bytes) => this.commit([{ type: 'state', logId, kind: doubtKind, bytes }]))
  }

  #knownIn(directory: string): KnownLog | null {
    const name = directory.slice(directory.lastIndexOf('/') + 1)
    return [...this.#known.values()].find((known) => known.name === name && known.deletion === 'none') ?? null
  }

  /** What `syncBehind` gave last is durable. */
  stored(): void {
    for (const [known, checkpoint] of this.#captured) known.last = checkpoint
    this.#captured = []
  }

  /** Closes the journal; `clean`: everything that it holds is stored elsewhere first. */
  async close(options: { readonly clean: boolean }): Promise<void> {
    await this.#journal.close(options)
    const { dataDirectory, directory } = this.#options
    const { checkpointNumber } = this.#journal
    // An earlier number does as well.
    await noteJournalPlace(this.#runtime, dataDirectory, directory, checkpointNumber).catch(() => {})
  }

  /** Makes the directories of new logs durable, and that old ones have other names. */
  async #syncNames(): Promise<void> {
    if (!this.#namesChanged) return
    const { disk } = this.#runtime
    const { dataDirectory } = this.#options
    const names = this.#newNames
    const renamed = [...this.#known.values()].filter(({ deletion }) => deletion === 'renamed')
    this.#newNames = []
    this.#namesChanged = false
    try {
      if (names.length < manyNames || !(await this.#syncAll())) {
        for (const name of names) {
          if ((await disk.stat(`${dataDirectory}/${name}`)) === null) continue
          // Not one that had the name before: its topic is another.
          const known = this.#knownIn(`${dataDirectory}/${name}`)
          await syncMetadata(disk, `${dataDirectory}/${name}`, known?.topicId ?? null)
          await disk.syncDirectory(`${dataDirectory}/${name}`)
        }
        await disk.syncDirectory(dataDirectory)
      }
      for (const { id } of renamed) this.#known.delete(id)
    } catch (error) {
      this.#newNames.push(...names)
      this.#namesChanged = true
      throw error
    }
  }

  /** One sync for everything; false where there is none, or it has failed: then each file says what became of it. */
  async #syncAll(): Promise<boolean> {
    const synced = this.#runtime.disk.syncFileSystem?.(this.#options.dataDirectory)
    const isSynced = synced?.then(() => true)
    return (await isSynced?.catch(() => false)) ?? false
  }
}

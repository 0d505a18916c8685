import { assert } from '../model/assert.ts'
import { EngineError, toEngineError } from '../model/errors.ts'
import type { Uuid } from '../model/uuid.ts'
import type { Runtime } from '../runtime/runtime.ts'
import { checkAppend } from './appendChecks.ts'
import type { ClosedLog } from './closedLog.ts'
import { type Compacted, type CompactOptions, compactLog } from './compaction/compactLog.ts'
import type { FlushEvents } from './flushTracker.ts'
import { closeClean } from './logClosing.ts'
import type { LogConfig } from './logConfig.ts'
import { LogFacts } from './logFacts.ts'
import type { RecoveredLog } from './logFiles.ts'
import { readLog, timestampView } from './logReader.ts'
import { recoverLog } from './logRecovery.ts'
import { AppendUndo, isRoomError } from './logRepair.ts'
import { LogState } from './logState.ts'
import { LogSync } from './logSync.ts'
import { cutLog } from './logTruncation.ts'
import type { AppendResult, LogOptions, ReadResult } from './logTypes.ts'
import { whenRoom } from './patiently.ts'
import { placeBatch, setPlace } from './placeBatch.ts'
import type { ProducerEntry } from './producerState.ts'
import type { BatchHeader } from './recordBatch.ts'
import type { ResumePoint } from './resumePoint.ts'
import { expiredNow } from './retention.ts'
import { rewriteUnfinished } from './segmentRewrite.ts'
import { startOver } from './startOver.ts'
import { Stillness } from './stillness.ts'
import { latestTimestamp, offsetForTimestamp, type TimestampOffset } from './timestampLookup.ts'
import type { WriteGroup } from './writeGroup.ts'

export type { LogConfig } from './logConfig.ts'
export type { AppendResult, LogOptions, ReadResult } from './logTypes.ts'

/**
 * One log: the record batches of one partition in one directory. Offsets are assigned by `append`, which is
 * synchronous; they count once `flushedOffset` has passed them. Every method but `append`, `read` and the
 * getters may be called at any time and runs beside appends.
 */
export class Log extends LogFacts implements FlushEvents {
  readonly directory: string
  readonly topicId: Uuid
  /** Called whenever `flushedOffset` has moved on. */
  onAdvance: ((flushedOffset: number) => void) | null = null
  /** Called when appends from `endOffset` on are lost: the disk was full and they were undone, or it failed. */
  onFailure: ((error: EngineError, endOffset: number) => void) | null = null
  readonly #sync: LogSync
  readonly #still: Stillness
  /** Made when it is needed, which is rare. */
  #undo: AppendUndo | null = null
  #isCutting = false
  #closedState: ClosedLog | null = null
  #closed = false

  private constructor(runtime: Runtime, options: LogOptions, found: RecoveredLog) {
    super(new LogState(runtime, options, found))
    this.state.flush.events = this
    this.directory = options.directory
    this.topicId = options.topicId
    this.#still = new Stillness(this.state)
    this.#sync = new LogSync(
      this.state,
      (error) => this.goOffline(toEngineError(error, 'diskFailed', 'a sync failed')),
      (error) => this.#rewriteFiles(error),
    )
    this.#sync.adopt()
    if (found.unfinished.length > 0) this.#sealReady()
  }

  /**
   * Opens the log in `directory`, recovering what a crash left. A log that is damaged below its recovery point
   * opens too, with `offline` set to the `CorruptionError`. Rejects with the disk's errors.
   */
  static async open(runtime: Runtime, options: LogOptions): Promise<Log> {
    return new Log(runtime, options, await recoverLog(runtime, options))
  }

  /** Where recovery may begin, at most at the recovery point; null for the beginning of that one's segment. */
  get resumePoint(): ResumePoint | null {
    return this.#sync.resumePoint()
  }

  /** After a clean close, what the next `open` may be given; null otherwise. */
  get closedState(): ClosedLog | null {
    return this.#closedState
  }

  /**
   * Appends one batch that `checkBatch` has accepted: checks size, time and sequence, assigns offsets, writes
   * base offset, leader epoch (and append time) into `bytes`, and adds the write to `group`. Nothing is
   * acknowledged before `flushedOffset` has passed `lastOffset`. Calls in one turn keep their order.
   * Throws `messageTooLarge`, `recordListTooLarge`, `invalidTimestamp`, `outOfOrderSequenceNumber`,
   * `invalidProducerEpoch`, `fencedLeaderEpoch`, `diskFull` (retriable: the tail is being undone), `diskFailed`, `corruptLog`, `closed`.
   */
  append(batch: BatchHeader, bytes: Uint8Array, leaderEpoch: number, group: WriteGroup): AppendResult {
    const known = this.checkAppend(batch, bytes.length, leaderEpoch)
    if (known !== null) return known
    const timeMs = setPlace(this.state, batch, bytes, leaderEpoch)
    return placeBatch(this.state, this.#sync, this.#rollAt, batch, bytes, leaderEpoch, group, timeMs)
  }

  /**
   * What `append` would refuse is thrown as it would be; for a batch that is there already the answer is where, else
   * null. `sizeBytes` are those of the whole batch.
   */
  checkAppend(batch: BatchHeader, sizeBytes: number, leaderEpoch: number): AppendResult | null {
    this.#checkWritable()
    return checkAppend(this.state, batch, sizeBytes, leaderEpoch)
  }

  /**
   * Appends a batch whose offsets, epoch and times were assigned elsewhere: `baseOffset` is the end of the log. Nothing but
   * that is checked, whatever the configuration says: the leader has taken it. Otherwise like `append`.
   */
  appendReplicated(batch: BatchHeader, bytes: Uint8Array, group: WriteGroup): AppendResult {
    this.#checkWritable()
    assert(batch.baseOffset === this.state.logEndOffset, 'replicas append at the same offsets')
    const { partitionLeaderEpoch } = batch
    return placeBatch(this.state, this.#sync, this.#rollAt, batch, bytes, partitionLeaderEpoch, group, -1)
  }

  /**
   * Where the batches from the one that holds `offset` on lie: whole batches of one segment, no more than
   * `maxBytes`, none whose base offset is `endOffset` or more, none that is not flushed. With `minOneBatch` the
   * first comes even if it is larger. Null when there is nothing to give. Answers at once when no file has to
   * be read for it. Throws `offsetOutOfRange` outside [logStartOffset, logEndOffset].
   */
  read(
    offset: number,
    maxBytes: number,
    endOffset: number,
    minOneBatch: boolean,
  ): ReadResult | null | Promise<ReadResult | null> {
    return readLog(this.state, offset, maxBytes, endOffset, minOneBatch)
  }

  /** Makes all that was appended survive the loss of power, whatever the policy. Rejects as `whenFlushed` does. */
  async flush(): Promise<void> {
    const endOffset = this.logEndOffset
    await this.whenFlushed(endOffset)
    await this.#sync.sync(endOffset)
  }

  /**
   * The first record whose timestamp is at least `timestampMs`, among what is flushed; null when there is none.
   * Without `decompress` the first record of a compressed batch stands for the one inside it.
   */
  async offsetForTimestamp(timestampMs: number): Promise<TimestampOffset | null> {
    this.#checkReadable()
    return offsetForTimestamp(timestampView(this.state), timestampMs)
  }

  /** The record with the greatest timestamp, the earliest of them; null for an empty log. */
  async maxTimestamp(): Promise<TimestampOffset | null> {
    this.#checkReadable()
    return latestTimestamp(timestampView(this.state))
  }

  /** Replaces the configuration. A durable policy after a relaxed one counts once everything earlier is synced. */
  updateConfig(config: LogConfig): void {
    const before = this.state.config.flush
    this.state.config = config
    this.#sync.policyChanged(before, config.flush)
  }

  /**
   * Makes records below `offset` unreadable and removes the segments that hold nothing else. Durable when it resolves. Throws
   * `offsetOutOfRange` beyond `flushedOffset`, and `kafkaStorageError` while the log is being cut: it might begin behind its end.
   */
  async deleteRecordsBefore(offset: number): Promise<void> {
    this.#checkReadable()
    if (this.#still.endChange !== null) throw this.#still.endChange
    if (offset > this.flushedOffset) this.state.outOfRange(offset)
    if (this.#sync.lacks(offset)) return this.#sync.sync(offset).then(() => this.deleteRecordsBefore(offset))
    this.state.setStartOffset(offset)
    await this.state.storeStart()
    this.#removeBelowStart()
  }

  /**
   * Removes whole segments that are older than `retentionMs`, or beyond `retentionBytes`, and forgets idle
   * producers; returns the number of segments removed. The active segment goes only when it has expired as a
   * whole: the log rolls first. Whoever gives `begin` has the log begin at that offset.
   */
  async applyRetention(begin: ((offset: number) => Promise<void>) | null = null): Promise<number> {
    if (this.state.offline !== null || this.#closed) return 0
    const { clock } = this.state.runtime
    const wallMs = clock.wallMs()
    this.state.producers.forgetIdle(clock.monotonicMs(), this.state.options.producerIdExpirationMs)
    const expired = await expiredNow(this.state, wallMs)
    if (expired === 0 || this.state.offline !== null || this.state.refusal !== null || this.#closed) return 0
    const start = this.state.segments.all[expired]?.baseOffset ?? this.state.logEndOffset
    if (this.#sync.lacks(start)) return this.#sync.sync(start).then(() => this.applyRetention(begin))
    if (expired === this.state.segments.all.length) this.#rollAt(this.state.logEndOffset)
    const { baseOffset } = this.state.segments.all[expired]!
    if (begin !== null) return begin(baseOffset).then(() => expired)
    this.state.setStartOffset(baseOffset)
    await this.state.storeStart()
    return this.#removeBelowStart()
  }

  /** Writes what the recovery point depends on and returns the recovery point that may now be stored. */
  async prepareCheckpoint(): Promise<number> {
    const recoveryPoint = this.recoveryPoint
    if (this.state.offline !== null || this.#closed) return recoveryPoint
    this.#sealReady()
    // A journal's checkpoints have them: a file for each of thousands of logs would cost seconds.
    if (!this.state.options.journal) await this.state.storeEpochs()
    return recoveryPoint
  }

  /**
   * Rewrites sealed segments so that older records go whose key has a newer one. Null when there was nothing to do. Once
   * at a time. Rejects with `CorruptionError` when a segment is damaged: then it is left as it is.
   */
  compact(options: CompactOptions): Promise<Compacted | null> {
    this.#checkReadable()
    return compactLog(this.state, options, (cause) => {
      this.goOffline(toEngineError(cause, 'diskFailed', 'a compacted segment could not be put in place'))
    })
  }

  /**
   * Cuts the log so that it ends at `offset`, durably, or lower: at a batch that holds it, or where compaction left nothing below.
   * Appends are refused until it resolves. Throws `offsetOutOfRange` outside [logStartOffset, logEndOffset].
   */
  async truncate(offset: number): Promise<void> {
    this.#checkReadable()
    const busy = this.#still.over()
    if (busy !== null) await busy
    this.#checkWritable()
    if (offset < this.state.logStartOffset || offset > this.state.logEndOffset) this.state.outOfRange(offset)
    await this.#changeEnd('the log is being cut', async () => {
      if (offset < this.state.logEndOffset) await cutLog(this.state, offset)
    })
  }

  /**
   * Drops every record: the log begins anew and empty at `offset`, where a snapshot ends, with the producers that it knows.
   * Durable when it resolves; appends are refused meanwhile. Throws `offsetOutOfRange` below the log's start.
   */
  async startOver(offset: number, producers: Iterable<ProducerEntry>): Promise<void> {
    this.#checkReadable()
    await this.#still.over()
    this.#checkWritable()
    if (offset < this.state.logStartOffset) this.state.outOfRange(offset)
    await this.#changeEnd('the log begins anew', () => startOver(this.state, offset, producers))
  }

  /** Resolves when appends are not refused because of something that is under way. */
  async whenWritable(): Promise<void> {
    await this.#still.over()
  }

  /** Waits for what is in flight, then closes; `clean` also writes all that makes the next open fast. */
  async close(options: { readonly clean: boolean }): Promise<void> {
    if (this.#closed) return
    this.#closed = true
    this.state.isClosing = true
    await this.#whenSettled()
    await this.state.swapping
    this.#sync.stop()
    try {
      if (options.clean && this.state.offline === null) this.#closedState = await closeClean(this.state)
      if (this.#closedState !== null) this.#sync.closed(this.#closedState)
    } finally {
      await this.state.idle()
      await this.state.segments.close()
    }
    this.state.flush.failWaiters(new EngineError('closed', 'the log has been closed'), 0)
  }

  async #changeEnd(reason: string, change: () => Promise<void>): Promise<void> {
    const refusal = this.#still.refuse(reason, 'end')
    await this.#sync.idle()
    this.#isCutting = true
    await this.#still.during(refusal, async () => {
      try {
        await this.state.quiet()
        if (this.state.offline === null) await change()
      } catch (cause) {
        this.goOffline(toEngineError(cause, 'diskFailed', 'the end of the log could not be changed'))
        throw cause
      } finally {
        this.#isCutting = false
      }
      if (this.state.offline !== null) throw this.state.offline
    })
  }

  #checkWritable(): void {
    if (this.state.offline !== null) throw this.state.offline
    if (this.state.refusal !== null) throw this.state.refusal
    if (this.#closed) throw new EngineError('closed', 'the log has been closed')
  }

  #checkReadable(): void {
    if (this.state.offline !== null) throw this.state.offline
    if (this.#closed) throw new EngineError('closed', 'the log has been closed')
  }

  /** Begins a new active segment at `baseOffset`; the old one is sealed once all of it is flushed. */
  readonly #rollAt = (baseOffset: number): void => {
    this.state.sealer.add(this.state.segments.active, baseOffset, this.state.producers.entries())
    this.state.segments.roll(baseOffset)
    this.state.recent.clear()
    if (this.flushedOffset === baseOffset) this.#sealReady()
  }

  #sealReady(): void {
    this.state.sealer.seal(this.flushedOffset).then(
      (sealedOffset) => {
        this.state.flush.synced(sealedOffset)
      },
      (cause) => {
        const error = toEngineError(cause, 'diskFailed', 'a segment could not be sealed')
        // The sealer keeps what it could not write; a full disk is tried again at the next checkpoint.
        if (isRoomError(error)) return
        if (this.#sync.isJournaled) void this.#rewriteFiles(error)
        else this.goOffline(error)
      },
    )
  }

  /** Called when `flushedOffset` has moved. */
  advanced(): void {
    if ((this.state.sealer.nextEndOffset ?? Number.POSITIVE_INFINITY) <= this.flushedOffset) this.#sealReady()
    this.#sync.prove()
    this.onAdvance?.(this.flushedOffset)
  }

  /** The group at `index` has failed. Nothing after it counts: a hole lies before it. */
  failed(index: number): void {
    const lost = this.state.flush.pending.slice(index)
    const fatal = lost.find(({ error }) => error !== null && !isRoomError(error))
    if (fatal !== undefined) {
      this.goOffline(fatal.error!)
      return
    }
    const error = lost[0]!.error!
    if (this.#still.isChanging) return
    this.state.refusal = error
    if (lost.some(({ state }) => state === 'pending')) return
    const taken = this.state.flush.takeFrom(index)
    this.#undo ??= new AppendUndo(this.state)
    const undone = this.#undo.undo(taken)
    this.#sync.distrust()
    const orOffline = (cause: unknown): void =>
      this.goOffline(toEngineError(cause, 'diskFailed', 'the torn end of a log could not be cut'))
    this.#still.undoing(undone.catch(orOffline))
    this.state.flush.failWaiters(error, this.state.logEndOffset)
    this.onFailure?.(error, this.state.logEndOffset)
  }

  protected override goOffline(error: EngineError): void {
    if (this.state.offline !== null) return
    this.state.offline = error
    this.state.options.logger.error('a log went offline', {
      directory: this.directory,
      error: error.message,
    })
    this.state.flush.stop(error)
    this.onFailure?.(error, this.flushedOffset)
  }

  /** A sync of the log's files has failed. What they hold is written into new ones; if that fails, too, it is over. */
  async #rewriteFiles(error: Error): Promise<void> {
    if (this.state.offline !== null) return
    this.state.options.logger.warn('a sync failed: the segment is written into a new file', {
      directory: this.directory,
      error: error.message,
    })
    try {
      // The cut may wait for whoever waits for this.
      if (this.#isCutting) throw error
      const refusal = this.#still.refuse('the log is being written into a new file', 'files')
      await this.#still.duringCommits(refusal, async () => {
        if (this.state.offline === null) await whenRoom(this.state, () => rewriteUnfinished(this.state))
      })
    } catch (cause) {
      this.goOffline(toEngineError(cause, 'diskFailed', 'a segment could not be written into a new file'))
    }
  }

  async #whenSettled(): Promise<void> {
    await this.state.flush.settled()
    await this.#still.over()
    await this.state.flush.barrier
  }

  #removeBelowStart(): number {
    const { segments, sealer, badRanges, storedStart, config } = this.state
    const removed = segments.removeBelow(storedStart, config.fileDeleteDelayMs)
    for (const segment of removed) {
      sealer.forget(segment)
      badRanges.forget(segment.file.path)
    }
    return removed.length
  }
}

import { EngineError, toEngineError } from '../model/errors.ts'
import type { Logger } from '../model/logger.ts'
import type { Uuid } from '../model/uuid.ts'
import type { Runtime } from '../runtime/runtime.ts'
import { checkSize, checkTimestamps } from './appendChecks.ts'
import type { ClosedLog } from './closedLog.ts'
import { leaderEpochFile } from './fileNames.ts'
import { FlushTracker } from './flushTracker.ts'
import type { LeaderEpochs } from './leaderEpochs.ts'
import type { LogConfig } from './logConfig.ts'
import type { RecoveredLog } from './logFiles.ts'
import { type BatchRange, findRange } from './logReader.ts'
import { recoverLog } from './logRecovery.ts'
import { cutSegment, rebuildProducers, removeSnapshotsAbove } from './logTruncation.ts'
import type { AppendResult, LogOptions, ReadResult } from './logTypes.ts'
import type { PendingWrite } from './pendingWrite.ts'
import type { ProducerState } from './producerState.ts'
import { RecentBatches } from './recentBatches.ts'
import { type BatchHeader, setBaseOffset, setLogAppendTime, setPartitionLeaderEpoch } from './recordBatch.ts'
import { expiredSegments } from './retention.ts'
import { Sealer } from './sealer.ts'
import type { Segment } from './segment.ts'
import { IndexCache, writeIndexes, writeWholeFile } from './segmentIndexes.ts'
import { SegmentList } from './segmentList.ts'
import {
  latestTimestamp,
  offsetForTimestamp,
  type TimestampOffset,
  type TimestampView,
} from './timestampLookup.ts'
import type { WriteGroup } from './writeGroup.ts'

export type { LogConfig } from './logConfig.ts'
export type { AppendResult, LogOptions, ReadResult } from './logTypes.ts'

/**
 * One log: the record batches of one partition in one directory. Offsets are assigned by `append`, which is
 * synchronous; they count once `flushedOffset` has passed them. Every method but `append`, `read` and the
 * getters may be called at any time and runs beside appends.
 */
export class Log {
  readonly directory: string
  readonly topicId: Uuid
  /** Called whenever `flushedOffset` has moved on. */
  onAdvance: ((flushedOffset: number) => void) | null = null
  /** Called when appends from `endOffset` on are lost: the disk was full and they were undone, or it failed. */
  onFailure: ((error: EngineError, endOffset: number) => void) | null = null
  readonly #runtime: Runtime
  readonly #options: LogOptions
  readonly #logger: Logger
  readonly #segments: SegmentList
  readonly #sealer: Sealer
  readonly #flush: FlushTracker
  readonly #producers: ProducerState
  readonly #epochs: LeaderEpochs
  readonly #recent = new RecentBatches()
  #config: LogConfig
  #logStartOffset: number
  #logEndOffset: number
  #offline: EngineError | null
  /** Why appends are refused for now: the tail is being undone or cut. */
  #refusal: EngineError | null = null
  #repair: Promise<void> = Promise.resolve()
  #epochsChanged: boolean
  #indexFilesCurrent: boolean
  #closedState: ClosedLog | null = null
  #closed = false

  private constructor(runtime: Runtime, options: LogOptions, found: RecoveredLog) {
    const { directory, logger } = options
    const cache = options.indexCache ?? new IndexCache()
    this.#runtime = runtime
    this.#options = options
    this.#logger = logger
    this.directory = directory
    this.topicId = options.topicId
    this.#config = options.config
    const indexIntervalBytes = (): number => this.#config.indexIntervalBytes
    const list = new SegmentList(runtime, { directory, logger, cache, indexIntervalBytes }, found.segments)
    this.#segments = list
    this.#sealer = new Sealer(runtime, directory, cache, (segment) => list.indexes(segment))
    this.#logStartOffset = found.logStartOffset
    this.#logEndOffset = found.logEndOffset
    this.#producers = found.producers
    this.#epochs = found.leaderEpochs
    this.#epochsChanged = found.leaderEpochsChanged
    this.#indexFilesCurrent = found.indexFilesCurrent
    this.#offline = found.corruption
    const durableOffset = found.corruption === null ? found.logEndOffset : options.recoveryPoint
    this.#flush = new FlushTracker(found.logEndOffset, durableOffset, list.active, {
      advanced: () => this.#advanced(),
      failed: (index) => this.#onFailed(index),
    })
  }

  /**
   * Opens the log in `directory`, recovering what a crash left. A log that is damaged below its recovery point
   * opens too, with `offline` set to the `CorruptionError`. Rejects with the disk's errors.
   */
  static async open(runtime: Runtime, options: LogOptions): Promise<Log> {
    return new Log(runtime, options, await recoverLog(runtime, options))
  }

  get config(): LogConfig {
    return this.#config
  }

  /** First readable offset, inclusive. */
  get logStartOffset(): number {
    return this.#logStartOffset
  }

  /** The offset that the next record gets. */
  get logEndOffset(): number {
    return this.#logEndOffset
  }

  /** Exclusive end of what the policy has made true: in the page cache (`none`) or synced (`batch`). Never goes back. */
  get flushedOffset(): number {
    return this.#flush.flushedOffset
  }

  /** Exclusive end of what a crash cannot take, and of what recovery need not scan. */
  get recoveryPoint(): number {
    return Math.min(this.#flush.durableOffset, this.#sealer.oldestOffset ?? Number.MAX_SAFE_INTEGER)
  }

  /** Why the log takes and gives nothing any more; null while it does. */
  get offline(): EngineError | null {
    return this.#offline
  }

  get leaderEpochs(): LeaderEpochs {
    return this.#epochs
  }

  get producerState(): ProducerState {
    return this.#producers
  }

  /** After a clean close, what the next `open` may be given; null otherwise. */
  get closedState(): ClosedLog | null {
    return this.#closedState
  }

  get segmentCount(): number {
    return this.#segments.all.length
  }

  /** Bytes of all batches, those on their way to the disk included. */
  get sizeBytes(): number {
    return this.#segments.sizeBytes
  }

  /**
   * Appends one batch that `checkBatch` has accepted: checks size, time and sequence, assigns offsets, writes
   * base offset, leader epoch (and append time) into `bytes`, and adds the write to `group`. Nothing is
   * acknowledged before `flushedOffset` has passed `lastOffset`. Calls in one turn keep their order.
   * Throws `messageTooLarge`, `recordListTooLarge`, `invalidTimestamp`, `outOfOrderSequenceNumber`,
   * `invalidProducerEpoch`, `diskFull` (retriable: the tail is being undone), `diskFailed`, `corruptLog`, `closed`.
   */
  append(batch: BatchHeader, bytes: Uint8Array, leaderEpoch: number, group: WriteGroup): AppendResult {
    this.#checkWritable()
    const config = this.#config
    checkSize(bytes.length, config)
    const wallMs = this.#runtime.clock.wallMs()
    const isTimed = config.timestampType === 'logAppendTime' && !batch.isControl
    if (!isTimed) checkTimestamps(batch, wallMs, config)
    if (batch.producerId >= 0) {
      const known = this.#producers.check(batch)
      if (known !== null) {
        const { baseOffset, lastOffset, timestampMs } = known
        return { baseOffset, lastOffset, logAppendTimeMs: isTimed ? timestampMs : -1, duplicate: true }
      }
    }
    const baseOffset = this.#logEndOffset
    const lastOffset = baseOffset + batch.lastOffsetDelta
    const maxTimestampMs = isTimed ? wallMs : batch.maxTimestampMs
    setBaseOffset(bytes, baseOffset)
    setPartitionLeaderEpoch(bytes, leaderEpoch)
    if (isTimed) setLogAppendTime(bytes, wallMs, this.#runtime.checksum)
    const isDurable = config.flush !== 'none'
    const pending = this.#flush.pendingFor(group, baseOffset, this.#segments.active, isDurable)
    if (this.#segments.active.mustRoll(lastOffset, bytes.length, maxTimestampMs, wallMs, config))
      this.#roll(baseOffset)
    const segment = this.#segments.active
    const position = segment.add(lastOffset, maxTimestampMs, bytes.length, config.indexIntervalBytes)
    const sync = !isDurable ? 'none' : segment.isNew ? 'dataAndName' : 'data'
    group.add(segment.file, position, bytes, sync)
    this.#indexFilesCurrent = false
    segment.isNew = false
    this.#recent.add(baseOffset, position)
    if (this.#epochs.assign(leaderEpoch, baseOffset)) this.#epochsChanged = true
    if (batch.producerId >= 0) {
      const before = this.#producers.append(batch, baseOffset, maxTimestampMs, wallMs)
      pending.rememberProducer(batch.producerId, before)
    }
    this.#logEndOffset = lastOffset + 1
    pending.endOffset = lastOffset + 1
    pending.endSegment = segment
    pending.endPosition = segment.sizeBytes
    return { baseOffset, lastOffset, logAppendTimeMs: isTimed ? wallMs : -1, duplicate: false }
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
    if (this.#offline !== null) throw this.#offline
    if (offset < this.#logStartOffset || offset > this.#logEndOffset) this.#outOfRange(offset)
    const end = Math.min(endOffset, this.flushedOffset)
    if (offset >= end) return null
    const index = this.#segments.indexFor(offset)
    const segment = this.#segments.all[index]!
    const readableBytes = this.#flush.readableBytes(segment)
    if (segment === this.#segments.active) {
      const recent = this.#recent
      const first = recent.indexOf(offset)
      if (first >= 0) {
        const position = recent.position(first, segment.sizeBytes)
        const firstBytes = recent.position(first + 1, segment.sizeBytes) - position
        if (firstBytes > maxBytes && !minOneBatch) return null
        let stop = this.#recentEnd(end, readableBytes)
        const limit = position + Math.max(maxBytes, firstBytes)
        if (limit < stop) stop = recent.boundaryFor(limit)
        return rangeOf(segment, position, stop, recent.baseOffset(first))
      }
    }
    return this.#readFile(index, offset, maxBytes, end, minOneBatch)
  }

  /** Resolves once everything below `endOffset` is flushed; rejects when it was undone or the log failed. */
  whenFlushed(endOffset: number): Promise<void> {
    if (endOffset <= this.flushedOffset) return Promise.resolve()
    if (this.#offline !== null) return Promise.reject(this.#offline)
    if (endOffset > this.#logEndOffset) {
      return Promise.reject(
        this.#refusal ?? new EngineError('offsetOutOfRange', `nothing has offset ${endOffset - 1}`),
      )
    }
    return this.#flush.wait(endOffset)
  }

  /**
   * The first record whose timestamp is at least `timestampMs`, among what is flushed; null when there is none.
   * Without `decompress` the first record of a compressed batch stands for the one inside it.
   */
  async offsetForTimestamp(timestampMs: number): Promise<TimestampOffset | null> {
    this.#checkReadable()
    return offsetForTimestamp(this.#lookup(), timestampMs)
  }

  /** The record with the greatest timestamp, the earliest of them; null for an empty log. */
  async maxTimestamp(): Promise<TimestampOffset | null> {
    this.#checkReadable()
    return latestTimestamp(this.#lookup())
  }

  /** The greatest epoch up to `epoch` that wrote here, and the exclusive end of what it wrote; -1 and -1 for none. */
  offsetForLeaderEpoch(epoch: number): { epoch: number; endOffset: number } {
    return this.#epochs.endOffsetFor(epoch, this.#logEndOffset)
  }

  /** Replaces the configuration. From `none` to `batch` counts once everything earlier is synced. */
  updateConfig(config: LogConfig): void {
    const before = this.#config.flush
    this.#config = config
    if (before === 'none' && config.flush === 'batch') this.#raisePolicy()
  }

  /**
   * Makes records below `offset` unreadable and removes the segments that hold nothing else. Durable when it
   * resolves. Throws `offsetOutOfRange` beyond `flushedOffset`.
   */
  async deleteRecordsBefore(offset: number): Promise<void> {
    this.#checkReadable()
    if (offset > this.flushedOffset) this.#outOfRange(offset)
    if (offset > this.#logStartOffset) {
      this.#setStartOffset(offset)
      await this.#options.persistStartOffset?.()
    }
    this.#removeBelowStart()
  }

  /**
   * Removes whole segments that are older than `retentionMs`, or beyond `retentionBytes`, and forgets idle
   * producers; returns the number of segments removed. The active segment goes only when it has expired as a
   * whole: the log rolls first.
   */
  async applyRetention(): Promise<number> {
    if (this.#offline !== null || this.#closed) return 0
    const wallMs = this.#runtime.clock.wallMs()
    this.#producers.expire(wallMs, this.#options.producerIdExpirationMs)
    const expired = await expiredSegments(
      this.#segments.all,
      this.#config,
      wallMs,
      (segment) => this.#segments.largestTimestamp(segment),
      (index) => this.#endOffsetOf(index) <= this.flushedOffset,
    )
    if (expired === 0 || this.#refusal !== null) return 0
    if (expired === this.#segments.all.length) this.#roll(this.#logEndOffset)
    this.#setStartOffset(this.#segments.all[expired]!.baseOffset)
    await this.#options.persistStartOffset?.()
    return this.#removeBelowStart()
  }

  /** Writes what the recovery point depends on and returns the recovery point that may now be stored. */
  async prepareCheckpoint(): Promise<number> {
    const recoveryPoint = this.recoveryPoint
    if (this.#offline !== null) return recoveryPoint
    this.#sealReady()
    if (this.#epochsChanged) await this.#writeEpochs()
    return recoveryPoint
  }

  /**
   * Cuts the log so that `offset` is its end, durably; a batch that holds `offset` in its middle goes as a
   * whole. Appends are refused until it resolves. Throws `offsetOutOfRange` outside [logStartOffset, logEndOffset].
   */
  async truncate(offset: number): Promise<void> {
    this.#checkReadable()
    await this.#repair
    this.#checkWritable()
    if (offset < this.#logStartOffset || offset > this.#logEndOffset) this.#outOfRange(offset)
    this.#refusal = new EngineError('kafkaStorageError', 'the log is being cut')
    await this.#whenSettled()
    await this.#sealer.idle()
    if (this.#offline !== null) throw this.#offline
    try {
      if (offset < this.#logEndOffset) await this.#cut(offset)
    } catch (cause) {
      const error = toEngineError(cause, 'diskFailed', 'the log could not be cut')
      this.#goOffline(error)
      throw error
    }
    this.#refusal = null
  }

  async #cut(offset: number): Promise<void> {
    const segment = this.#segments.all[this.#segments.indexFor(offset)]!
    const cut = await cutSegment(segment, offset, this.#config.indexIntervalBytes)
    // First what recovery may count on, then the bytes: a crash in between finds them above the recovery point.
    const dropped = this.#segments.makeActive(cut.segment)
    this.#flush.reset(cut.endOffset, cut.segment)
    this.#logEndOffset = cut.endOffset
    this.#sealer.drop(cut.segment)
    this.#recent.clear()
    this.#indexFilesCurrent = false
    if (this.#epochs.truncateFromEnd(cut.endOffset)) this.#epochsChanged = true
    await removeSnapshotsAbove(this.#runtime.disk, this.directory, cut.endOffset)
    await this.#options.persistRecoveryPoint?.()
    for (const { file } of dropped.toReversed()) await this.#runtime.disk.remove(file.path)
    if (!cut.segment.isNew) {
      await cut.segment.file.truncate(cut.segment.sizeBytes)
      await cut.segment.file.sync()
    }
    await this.#runtime.disk.syncDirectory(this.directory)
    this.#producers.replace(await rebuildProducers(this.#runtime, this.directory, this.#segments.all))
  }

  /** Waits for what is in flight, then closes; `clean` also writes all that makes the next open fast. */
  async close(options: { readonly clean: boolean }): Promise<void> {
    if (this.#closed) return
    this.#closed = true
    await this.#whenSettled()
    if (options.clean && this.#offline === null) await this.#closeClean()
    await this.#sealer.idle()
    await this.#segments.close()
    this.#flush.failWaiters(new EngineError('closed', 'the log has been closed'), 0)
  }

  async #closeClean(): Promise<void> {
    const { disk } = this.#runtime
    const { active } = this.#segments
    this.#sealReady()
    await this.#sealer.idle()
    if (this.#sealer.oldestOffset !== null) return // It could not be written: the next start looks again.
    await this.#segments.removeFiles()
    if (this.#flush.durableOffset < this.#logEndOffset) {
      await active.file.sync()
      await disk.syncDirectory(this.directory)
    }
    if (!this.#indexFilesCurrent && active.sizeBytes > 0) {
      const indexes = await this.#segments.indexes(active)
      active.completeTimeIndex()
      await writeIndexes(disk, active, indexes, 'none')
    }
    const hasProducers = this.#producers.count > 0
    if (hasProducers || this.#segments.all.length > 1) {
      await this.#sealer.writeSnapshot(this.#logEndOffset, this.#producers.entries(), 'none')
    }
    if (this.#epochsChanged) {
      const path = `${this.directory}/${leaderEpochFile}`
      await writeWholeFile(disk, path, Buffer.from(this.#epochs.encode()), 'none')
      this.#epochsChanged = false
    }
    this.#flush.durableOffset = this.#logEndOffset
    this.#closedState = {
      topicId: this.topicId,
      logStartOffset: this.#logStartOffset,
      logEndOffset: this.#logEndOffset,
      leaderEpochs: this.#epochs.entries,
      hasProducers,
      segments: this.#segments.all.map(({ baseOffset, sizeBytes }) => [baseOffset, sizeBytes] as const),
      active: active.closedState(),
    }
  }

  #checkWritable(): void {
    if (this.#offline !== null) throw this.#offline
    if (this.#refusal !== null) throw this.#refusal
    if (this.#closed) throw new EngineError('closed', 'the log has been closed')
  }

  #checkReadable(): void {
    if (this.#offline !== null) throw this.#offline
    if (this.#closed) throw new EngineError('closed', 'the log has been closed')
  }

  #outOfRange(offset: number): never {
    throw new EngineError(
      'offsetOutOfRange',
      `offset ${offset} is outside [${this.#logStartOffset}, ${this.#logEndOffset}]`,
    )
  }

  /** Begins a new active segment at `baseOffset`; the old one is sealed once all of it is flushed. */
  #roll(baseOffset: number): void {
    this.#sealer.add(this.#segments.active, baseOffset, this.#producers.entries())
    this.#segments.roll(baseOffset)
    this.#recent.clear()
    if (this.flushedOffset === baseOffset) this.#sealReady()
  }

  #sealReady(): void {
    this.#sealer.seal(this.flushedOffset).then(
      (sealedOffset) => {
        if (sealedOffset > this.#flush.durableOffset) this.#flush.durableOffset = sealedOffset
      },
      (cause) => {
        const error = toEngineError(cause, 'diskFailed', 'a segment could not be sealed')
        // The sealer keeps what it could not write; a full disk is tried again at the next checkpoint.
        if (error.code !== 'diskFull' && error.code !== 'queueFull') this.#goOffline(error)
      },
    )
  }

  #advanced(): void {
    const flushedOffset = this.flushedOffset
    if ((this.#sealer.nextEndOffset ?? Number.MAX_SAFE_INTEGER) <= flushedOffset) this.#sealReady()
    this.onAdvance?.(flushedOffset)
  }

  /** The group at `index` has failed. Nothing after it counts: a hole lies before it. */
  #onFailed(index: number): void {
    const lost = this.#flush.pending.slice(index)
    const fatal = lost.find(({ error }) => error !== null && !isRoomError(error))
    if (fatal !== undefined) {
      this.#goOffline(fatal.error!)
      return
    }
    const error = lost[0]!.error!
    this.#refusal = error
    if (lost.some(({ state }) => state === 'pending')) return
    this.#undo(this.#flush.takeFrom(index))
    this.#flush.failWaiters(error, this.#logEndOffset)
    this.onFailure?.(error, this.#logEndOffset)
  }

  /** Takes back the appends of groups that were lost: in memory at once, then in the files. */
  #undo(lost: readonly PendingWrite[]): void {
    const { startOffset, startSegment, startMark, error } = lost[0]!
    for (const pending of lost.toReversed()) {
      pending.restoreProducers((producerId, before) => this.#producers.restore(producerId, before))
    }
    const dropped = this.#segments.makeActive(startSegment)
    this.#sealer.drop(startSegment)
    startSegment.restore(startMark, startOffset)
    this.#recent.truncate(dropped.length > 0 ? 0 : startMark.sizeBytes)
    this.#logEndOffset = startOffset
    if (this.#epochs.truncateFromEnd(startOffset)) this.#epochsChanged = true
    if (startMark.sizeBytes === 0) startSegment.isNew = true
    this.#logger.warn('appends were undone because the disk has no room for them', {
      directory: this.directory,
      logEndOffset: startOffset,
      error: error!.message,
    })
    if (lost.every((pending) => pending.error?.code === 'queueFull')) {
      this.#refusal = null
      return
    }
    this.#repair = this.#cutFiles(startSegment, startMark.sizeBytes, dropped)
  }

  async #cutFiles(segment: Segment, sizeBytes: number, dropped: readonly Segment[]): Promise<void> {
    try {
      for (const { file } of dropped) await this.#runtime.disk.remove(file.path)
      await segment.file.truncate(sizeBytes)
      this.#refusal = null
    } catch (cause) {
      this.#goOffline(toEngineError(cause, 'diskFailed', 'the torn end of a log could not be cut'))
    }
  }

  #goOffline(error: EngineError): void {
    if (this.#offline !== null) return
    this.#offline = error
    this.#logger.error('a log went offline', { directory: this.directory, error: error.message })
    this.#flush.stop(error)
    this.onFailure?.(error, this.flushedOffset)
  }

  #raisePolicy(): void {
    if (this.#flush.durableOffset === this.#logEndOffset) return
    const written = [...this.#sealer.segments(), this.#segments.active].filter(({ isNew }) => !isNew)
    const sync = async (): Promise<void> => {
      for (const { file } of written) await file.sync()
      await this.#runtime.disk.syncDirectory(this.directory)
    }
    const synced = sync()
    synced.catch((cause) => this.#goOffline(toEngineError(cause, 'diskFailed', 'a sync failed')))
    this.#flush.holdUntil(synced, this.#logEndOffset)
  }

  async #whenSettled(): Promise<void> {
    await this.#flush.settled()
    await this.#repair
    await this.#flush.barrier
  }

  async #writeEpochs(): Promise<void> {
    this.#epochsChanged = false
    const path = `${this.directory}/${leaderEpochFile}`
    await this.#runtime.disk.replaceFile(path, Buffer.from(this.#epochs.encode()))
  }

  #setStartOffset(offset: number): void {
    if (offset <= this.#logStartOffset) return
    this.#logStartOffset = offset
    if (this.#epochs.truncateFromStart(offset)) this.#epochsChanged = true
  }

  #removeBelowStart(): number {
    const removed = this.#segments.removeBelow(this.#logStartOffset, this.#config.fileDeleteDelayMs)
    for (const segment of removed) this.#sealer.forget(segment)
    return removed.length
  }

  #endOffsetOf(index: number): number {
    return this.#segments.all[index + 1]?.baseOffset ?? this.#logEndOffset
  }

  /** Where to stop reading the active segment so that no batch from `end` on is included. */
  #recentEnd(end: number, readableBytes: number): number {
    if (end >= this.flushedOffset) return readableBytes
    const recent = this.#recent
    const last = recent.indexOf(end)
    const index = recent.baseOffset(last) < end ? last + 1 : last
    return recent.position(index, readableBytes)
  }

  async #readFile(
    index: number,
    offset: number,
    maxBytes: number,
    end: number,
    minOneBatch: boolean,
  ): Promise<ReadResult | null> {
    const segments = this.#segments
    const segment = segments.all[index]!
    const readableBytes = this.#flush.readableBytes(segment)
    // An end inside this segment has to be found among its batches.
    const endInside = end < Math.min(this.#endOffsetOf(index), this.flushedOffset) ? end : null
    const query = { offset, maxBytes, minOneBatch, readableBytes, endOffset: endInside }
    let range: BatchRange | null
    try {
      range = await findRange(segment, await segments.indexes(segment), query, () =>
        segments.rebuild(segment),
      )
    } catch (error) {
      // Retention was faster.
      if (offset < this.#logStartOffset) this.#outOfRange(offset)
      throw error
    }
    return range === null ? null : rangeOf(segment, range.position, range.end, range.firstOffset)
  }

  #lookup(): TimestampView {
    const segments = this.#segments
    return {
      segments: [...segments.all],
      logStartOffset: this.#logStartOffset,
      endOffset: this.flushedOffset,
      readableBytes: (segment) => this.#flush.readableBytes(segment),
      indexes: (segment) => segments.indexes(segment),
      largestTimestamp: (segment) => segments.largestTimestamp(segment),
      decompress: this.#options.decompress,
    }
  }
}

function isRoomError(error: EngineError): boolean {
  return error.code === 'diskFull' || error.code === 'queueFull'
}

function rangeOf(segment: Segment, position: number, end: number, firstOffset: number): ReadResult {
  const lengthBytes = end - position
  return { ranges: [{ file: segment.file, position, lengthBytes }], lengthBytes, firstOffset }
}

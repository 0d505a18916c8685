import { assert } from '../model/assert.ts'
import { type CorruptionError, EngineError, toEngineError } from '../model/errors.ts'
import type { FileRange } from '../model/fileRange.ts'
import type { Logger } from '../model/logger.ts'
import type { Uuid } from '../model/uuid.ts'
import type { Runtime } from '../runtime/runtime.ts'
import type { ClosedLog } from './closedLog.ts'
import { leaderEpochFile, segmentFileName } from './fileNames.ts'
import type { LeaderEpochs } from './leaderEpochs.ts'
import type { LogConfig } from './logConfig.ts'
import { type BatchRange, findRange } from './logReader.ts'
import { type RecoveredLog, recoverLog } from './logRecovery.ts'
import { cutSegment, rebuildProducers, removeSnapshotsAbove } from './logTruncation.ts'
import { PendingWrite } from './pendingWrite.ts'
import type { ProducerState } from './producerState.ts'
import { RecentBatches } from './recentBatches.ts'
import { type BatchHeader, setBaseOffset, setLogAppendTime, setPartitionLeaderEpoch } from './recordBatch.ts'
import { expiredSegments } from './retention.ts'
import { Sealer } from './sealer.ts'
import { Segment } from './segment.ts'
import {
  buildIndexes,
  completeIndexes,
  IndexCache,
  loadIndexes,
  reportRebuilt,
  type SegmentIndexes,
  writeIndexes,
  writeWholeFile,
} from './segmentIndexes.ts'
import { latestTimestamp, offsetForTimestamp, type TimestampOffset } from './timestampLookup.ts'
import type { WriteGroup } from './writeGroup.ts'

export type { LogConfig } from './logConfig.ts'

/** What `Log.open` needs to know. */
export interface LogOptions {
  /** The partition's directory; it exists. */
  readonly directory: string
  readonly topicId: Uuid
  readonly config: LogConfig
  readonly logger: Logger
  /** Exclusive end of what is known to be durable: below it nothing is ever cut. */
  readonly recoveryPoint: number
  readonly logStartOffset: number
  /** The log was closed cleanly, at `recoveryPoint`. */
  readonly cleanShutdown: boolean
  /** What `closedState` gave after that; null or absent when it is not known. */
  readonly closedState?: ClosedLog | null
  readonly producerIdExpirationMs: number
  /** Shared by the logs of a directory; one of its own by default. */
  readonly indexCache?: IndexCache
  /** For timestamps inside compressed batches; without it the batch's first record stands for them. */
  readonly decompress?: (codec: number, body: Uint8Array) => Uint8Array
  /** Makes `logStartOffset` durable. */
  readonly persistStartOffset?: () => Promise<void>
  /** Makes `recoveryPoint` durable. */
  readonly persistRecoveryPoint?: () => Promise<void>
}

/** What an append was given. */
export interface AppendResult {
  readonly baseOffset: number
  /** Inclusive. */
  readonly lastOffset: number
  /** The time that the broker set, -1 when the producer's times stand. */
  readonly logAppendTimeMs: number
  /** The batch was there already, at these offsets; it may not be flushed yet. */
  readonly duplicate: boolean
}

/** Whole batches of one segment. */
export interface ReadResult {
  readonly ranges: readonly FileRange[]
  readonly lengthBytes: number
  /** Base offset of the first batch; at most the offset asked for. */
  readonly firstOffset: number
}

interface FlushWaiter {
  readonly endOffset: number
  resolve(): void
  reject(error: EngineError): void
}

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
  readonly #cache: IndexCache
  readonly #sealer: Sealer
  readonly #segments: Segment[]
  readonly #producers: ProducerState
  readonly #epochs: LeaderEpochs
  readonly #recent = new RecentBatches()
  #config: LogConfig
  #active: Segment
  #logStartOffset: number
  #logEndOffset: number
  #flushedOffset: number
  /** `flushedOffset` lies here. */
  #flushedSegment: Segment
  #flushedPosition: number
  /** Exclusive end of what is synced; behind `flushedOffset` under `none`. */
  #durableOffset: number
  #pending: PendingWrite[] = []
  #waiters: FlushWaiter[] = []
  #offline: EngineError | null
  /** Why appends are refused for now: the tail is being undone. */
  #refusal: EngineError | null = null
  #repair: Promise<void> = Promise.resolve()
  /** Everything written before the policy became `batch` is being synced: nothing later is acknowledged yet. */
  #policyBarrier: Promise<void> | null = null
  #epochsChanged: boolean
  #indexFilesCurrent: boolean
  #closedState: ClosedLog | null = null
  /** Segments that are removed but whose files still stand, for running sends. */
  readonly #removed = new Set<Segment>()
  #closed = false

  private constructor(runtime: Runtime, options: LogOptions, found: RecoveredLog) {
    this.#runtime = runtime
    this.#options = options
    this.#logger = options.logger
    this.#cache = options.indexCache ?? new IndexCache()
    this.directory = options.directory
    this.topicId = options.topicId
    this.#config = options.config
    this.#segments = found.segments
    this.#active = found.segments.at(-1)!
    this.#logStartOffset = found.logStartOffset
    this.#logEndOffset = found.logEndOffset
    this.#flushedOffset = found.logEndOffset
    this.#flushedSegment = this.#active
    this.#flushedPosition = this.#active.sizeBytes
    this.#durableOffset = found.corruption === null ? found.logEndOffset : options.recoveryPoint
    this.#producers = found.producers
    this.#epochs = found.leaderEpochs
    this.#epochsChanged = found.leaderEpochsChanged
    this.#indexFilesCurrent = found.indexFilesCurrent
    this.#offline = found.corruption
    this.#sealer = new Sealer(runtime, this.directory, this.#cache, (segment) => this.#indexes(segment))
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
    return this.#flushedOffset
  }

  /** Exclusive end of what a crash cannot take, and of what recovery need not scan. */
  get recoveryPoint(): number {
    return Math.min(this.#durableOffset, this.#sealer.oldestOffset ?? Number.MAX_SAFE_INTEGER)
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
    return this.#segments.length
  }

  /** Bytes of all batches, those on their way to the disk included. */
  get sizeBytes(): number {
    let sum = 0
    for (const segment of this.#segments) sum += segment.sizeBytes
    return sum
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
    this.#checkSize(bytes.length)
    const wallMs = this.#runtime.clock.wallMs()
    const isTimed = config.timestampType === 'logAppendTime' && !batch.isControl
    if (!isTimed) this.#checkTimestamps(batch, wallMs)
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
    const pending = this.#pendingFor(group)
    if (this.#active.mustRoll(lastOffset, bytes.length, maxTimestampMs, wallMs, config))
      this.#roll(baseOffset)
    const segment = this.#active
    const position = segment.add(lastOffset, maxTimestampMs, bytes.length, config.indexIntervalBytes)
    const sync = config.flush === 'none' ? 'none' : segment.isNew ? 'dataAndName' : 'data'
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
    const end = Math.min(endOffset, this.#flushedOffset)
    if (offset >= end) return null
    const index = this.#segmentIndexFor(offset)
    const segment = this.#segments[index]!
    const readableBytes = this.#readableBytes(segment)
    if (segment === this.#active) {
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
    if (endOffset <= this.#flushedOffset) return Promise.resolve()
    if (this.#offline !== null) return Promise.reject(this.#offline)
    if (endOffset > this.#logEndOffset) {
      return Promise.reject(
        this.#refusal ?? new EngineError('offsetOutOfRange', `nothing has offset ${endOffset - 1}`),
      )
    }
    return new Promise((resolve, reject) => this.#waiters.push({ endOffset, resolve, reject }))
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
    if (offset > this.#flushedOffset) this.#outOfRange(offset)
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
      this.#segments,
      this.#config,
      wallMs,
      (segment) => this.#largestTimestamp(segment),
      (index) => this.#endOffsetOf(index) <= this.#flushedOffset,
    )
    if (expired === 0 || this.#refusal !== null) return 0
    if (expired === this.#segments.length) this.#roll(this.#logEndOffset)
    this.#setStartOffset(this.#segments[expired]!.baseOffset)
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
    const index = this.#segmentIndexFor(offset)
    const cut = await cutSegment(this.#segments[index]!, offset, this.#config.indexIntervalBytes)
    // First what recovery may count on, then the bytes: a crash in between finds them above the recovery point.
    this.#durableOffset = Math.min(this.#durableOffset, cut.endOffset)
    this.#flushedOffset = this.#logEndOffset = cut.endOffset
    const dropped = this.#segments.splice(index + 1)
    this.#sealer.drop(this.#segments[index]!)
    for (const segment of [...dropped, this.#segments[index]!]) this.#cache.remove(segment)
    this.#active = this.#segments[index] = this.#flushedSegment = cut.segment
    this.#flushedPosition = cut.segment.sizeBytes
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
    this.#producers.replace(await rebuildProducers(this.#runtime, this.directory, this.#segments))
  }

  /** Waits for what is in flight, then closes; `clean` also writes all that makes the next open fast. */
  async close(options: { readonly clean: boolean }): Promise<void> {
    if (this.#closed) return
    this.#closed = true
    await this.#whenSettled()
    if (options.clean && this.#offline === null) await this.#closeClean()
    await this.#sealer.idle()
    for (const segment of this.#segments) {
      this.#cache.remove(segment)
      await segment.file.close()
    }
    this.#failWaiters(new EngineError('closed', 'the log has been closed'), 0)
  }

  async #closeClean(): Promise<void> {
    const { disk } = this.#runtime
    const active = this.#active
    this.#sealReady()
    await this.#sealer.idle()
    if (this.#sealer.oldestOffset !== null) return // It could not be written: the next start looks again.
    await this.#removeFiles([...this.#removed])
    if (this.#durableOffset < this.#logEndOffset) {
      await active.file.sync()
      await disk.syncDirectory(this.directory)
    }
    if (!this.#indexFilesCurrent && active.sizeBytes > 0) {
      const indexes = await this.#indexes(active)
      active.completeTimeIndex()
      await writeIndexes(disk, active, indexes, 'none')
    }
    const hasProducers = this.#producers.count > 0
    if (hasProducers || this.#segments.length > 1) {
      await this.#sealer.writeSnapshot(this.#logEndOffset, this.#producers.entries(), 'none')
    }
    if (this.#epochsChanged) {
      const path = `${this.directory}/${leaderEpochFile}`
      await writeWholeFile(disk, path, Buffer.from(this.#epochs.encode()), 'none')
      this.#epochsChanged = false
    }
    this.#durableOffset = this.#logEndOffset
    this.#closedState = {
      topicId: this.topicId,
      logStartOffset: this.#logStartOffset,
      logEndOffset: this.#logEndOffset,
      leaderEpochs: this.#epochs.entries,
      hasProducers,
      segments: this.#segments.map(({ baseOffset, sizeBytes }) => [baseOffset, sizeBytes] as const),
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

  #checkSize(sizeBytes: number): void {
    const { maxMessageBytes, segmentBytes } = this.#config
    if (sizeBytes > maxMessageBytes) {
      throw new EngineError(
        'messageTooLarge',
        `a batch of ${sizeBytes} bytes; at most ${maxMessageBytes} are taken`,
      )
    }
    if (sizeBytes > segmentBytes) {
      throw new EngineError(
        'recordListTooLarge',
        `a batch of ${sizeBytes} bytes; a segment has ${segmentBytes}`,
      )
    }
  }

  #checkTimestamps(batch: BatchHeader, wallMs: number): void {
    const { timestampBeforeMaxMs, timestampAfterMaxMs } = this.#config
    if (batch.isLogAppendTime && !batch.isControl) {
      throw new EngineError('invalidTimestamp', 'a producer may not claim that the broker set the time')
    }
    if (batch.maxTimestampMs < 0) return
    if (
      batch.maxTimestampMs - wallMs > timestampAfterMaxMs ||
      (batch.baseTimestampMs >= 0 && wallMs - batch.baseTimestampMs > timestampBeforeMaxMs)
    ) {
      throw new EngineError(
        'invalidTimestamp',
        `timestamps ${batch.baseTimestampMs} to ${batch.maxTimestampMs} are too far from the broker's ${wallMs}`,
      )
    }
  }

  #outOfRange(offset: number): never {
    throw new EngineError(
      'offsetOutOfRange',
      `offset ${offset} is outside [${this.#logStartOffset}, ${this.#logEndOffset}]`,
    )
  }

  #pendingFor(group: WriteGroup): PendingWrite {
    const last = this.#pending[this.#pending.length - 1]
    if (last !== undefined && last.group === group) return last
    assert(!group.isSubmitted, 'an append to a group that was submitted')
    const isDurable = this.#config.flush !== 'none'
    const pending = new PendingWrite(group, this.#logEndOffset, this.#active, isDurable, this.#onSettled)
    this.#pending.push(pending)
    group.listen(pending)
    return pending
  }

  /** Begins a new active segment at `baseOffset`; the old one is sealed once all of it is flushed. */
  #roll(baseOffset: number): void {
    const file = this.#runtime.disk.file(`${this.directory}/${segmentFileName(baseOffset, 'log')}`)
    this.#sealer.add(this.#active, baseOffset, this.#producers.entries())
    this.#active = new Segment(baseOffset, file, this.#runtime.clock.wallMs(), 0, true)
    this.#segments.push(this.#active)
    this.#recent.clear()
    if (this.#flushedOffset === baseOffset) this.#sealReady()
  }

  #sealReady(): void {
    this.#sealer.seal(this.#flushedOffset).then(
      (sealedOffset) => {
        if (sealedOffset > this.#durableOffset) this.#durableOffset = sealedOffset
      },
      (cause) => {
        const error = toEngineError(cause, 'diskFailed', 'a segment could not be sealed')
        // The sealer keeps what it could not write; a full disk is tried again at the next checkpoint.
        if (error.code !== 'diskFull' && error.code !== 'queueFull') this.#goOffline(error)
      },
    )
  }

  /** A group that this log took part in has settled: moves `flushedOffset` on, in order, or undoes the tail. */
  readonly #onSettled = (): void => {
    if (this.#offline !== null) return
    const before = this.#flushedOffset
    let count = 0
    for (const pending of this.#pending) {
      if (pending.state !== 'written') break
      if (pending.isDurable && this.#policyBarrier !== null) break
      this.#flushedOffset = pending.endOffset
      this.#flushedSegment = pending.endSegment
      this.#flushedPosition = pending.endPosition
      if (pending.isDurable) this.#durableOffset = pending.endOffset
      count++
    }
    if (count > 0) this.#pending.splice(0, count)
    if (this.#flushedOffset > before) this.#advanced()
    const failed = this.#pending.findIndex(({ state }) => state === 'failed')
    if (failed >= 0) this.#onFailed(failed)
  }

  #advanced(): void {
    const flushedOffset = this.#flushedOffset
    if (this.#waiters.length > 0) {
      const waiters = this.#waiters
      this.#waiters = waiters.filter(({ endOffset }) => endOffset > flushedOffset)
      for (const waiter of waiters) if (waiter.endOffset <= flushedOffset) waiter.resolve()
    }
    if ((this.#sealer.nextEndOffset ?? Number.MAX_SAFE_INTEGER) <= flushedOffset) this.#sealReady()
    this.onAdvance?.(flushedOffset)
  }

  /** The group at `index` has failed. Nothing after it counts: a hole lies before it. */
  #onFailed(index: number): void {
    const lost = this.#pending.slice(index)
    const fatal = lost.find(({ error }) => error !== null && !isRoomError(error))
    if (fatal !== undefined) {
      this.#goOffline(fatal.error!)
      return
    }
    const error = lost[0]!.error!
    this.#refusal = error
    if (lost.some(({ state }) => state === 'pending')) return
    this.#undo(index, lost)
    this.#failWaiters(error, this.#logEndOffset)
    this.onFailure?.(error, this.#logEndOffset)
  }

  /** Takes back the appends from pending group `index` on: in memory at once, then in the files. */
  #undo(index: number, lost: readonly PendingWrite[]): void {
    const { startOffset, startSegment, startMark, error } = lost[0]!
    for (const pending of lost.toReversed()) {
      pending.restoreProducers((producerId, before) => this.#producers.restore(producerId, before))
    }
    this.#pending.length = index
    const dropped = this.#segments.splice(this.#segments.indexOf(startSegment) + 1)
    this.#sealer.drop(startSegment)
    this.#active = startSegment
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
    this.#failWaiters(error, 0)
    this.onFailure?.(error, this.#flushedOffset)
  }

  #failWaiters(error: EngineError, fromOffset: number): void {
    const waiters = this.#waiters
    this.#waiters = waiters.filter(({ endOffset }) => endOffset <= fromOffset)
    for (const waiter of waiters) if (waiter.endOffset > fromOffset) waiter.reject(error)
  }

  #raisePolicy(): void {
    if (this.#durableOffset === this.#logEndOffset) return
    const files = [...this.#sealer.segments(), this.#active].map(({ file, isNew }) => (isNew ? null : file))
    const endOffset = this.#logEndOffset
    const barrier = (async () => {
      for (const file of files) await file?.sync()
      await this.#runtime.disk.syncDirectory(this.directory)
    })()
    this.#policyBarrier = barrier
    barrier.then(
      () => {
        if (this.#policyBarrier !== barrier) return
        this.#policyBarrier = null
        this.#durableOffset = Math.max(this.#durableOffset, Math.min(endOffset, this.#flushedOffset))
        this.#onSettled()
      },
      (cause) => this.#goOffline(toEngineError(cause, 'diskFailed', 'a sync failed')),
    )
  }

  async #whenSettled(): Promise<void> {
    const groups = [...this.#pending]
    while (this.#offline === null && this.#pending.some((pending) => groups.includes(pending))) {
      await new Promise<void>((resolve) => {
        this.#waiters.push({ endOffset: this.#pending[0]!.endOffset, resolve, reject: () => resolve() })
      })
    }
    await this.#repair
    await this.#policyBarrier?.catch(() => {})
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

  /** Lets go of segments that lie wholly below `logStartOffset`; their files go after the delay. */
  #removeBelowStart(): number {
    let count = 0
    while (count < this.#segments.length - 1 && this.#segments[count + 1]!.baseOffset <= this.#logStartOffset)
      count++
    const removed = this.#segments.splice(0, count)
    for (const segment of removed) {
      this.#cache.remove(segment)
      this.#sealer.forget(segment)
    }
    if (count > 0) this.#removeFilesLater(removed)
    return count
  }

  #removeFilesLater(segments: readonly Segment[]): void {
    for (const segment of segments) this.#removed.add(segment)
    this.#runtime.clock.setTimer(this.#config.fileDeleteDelayMs, () => {
      if (!this.#closed) void this.#removeFiles(segments)
    })
  }

  async #removeFiles(segments: readonly Segment[]): Promise<void> {
    try {
      for (const segment of segments) {
        this.#removed.delete(segment)
        await segment.file.close()
        for (const kind of ['log', 'index', 'timeindex', 'txnindex', 'snapshot'] as const) {
          await this.#runtime.disk.remove(`${this.directory}/${segmentFileName(segment.baseOffset, kind)}`)
        }
      }
    } catch (error) {
      this.#logger.warn('files of a removed segment are still there; the next start removes them', {
        directory: this.directory,
        error: String(error),
      })
    }
  }

  /** Index of the segment that holds `offset`. */
  #segmentIndexFor(offset: number): number {
    let low = 0
    let high = this.#segments.length
    while (low < high) {
      const middle = (low + high) >>> 1
      if (this.#segments[middle]!.baseOffset <= offset) low = middle + 1
      else high = middle
    }
    return low - 1
  }

  #endOffsetOf(index: number): number {
    return this.#segments[index + 1]?.baseOffset ?? this.#logEndOffset
  }

  /** Bytes of a segment that are flushed. */
  #readableBytes(segment: Segment): number {
    const flushed = this.#flushedSegment
    if (segment === flushed) return this.#flushedPosition
    return segment.baseOffset < flushed.baseOffset ? segment.sizeBytes : 0
  }

  /** Where to stop reading the active segment so that no batch from `end` on is included. */
  #recentEnd(end: number, readableBytes: number): number {
    if (end >= this.#flushedOffset) return readableBytes
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
    const segment = this.#segments[index]!
    const readableBytes = this.#readableBytes(segment)
    // An end inside this segment has to be found among its batches.
    const endInside = end < Math.min(this.#endOffsetOf(index), this.#flushedOffset) ? end : null
    const query = { offset, maxBytes, minOneBatch, readableBytes, endOffset: endInside }
    let range: BatchRange | null
    try {
      range = await findRange(segment, await this.#indexes(segment), query, () => this.#rebuild(segment))
    } catch (error) {
      // Retention was faster.
      if (offset < this.#logStartOffset) this.#outOfRange(offset)
      throw error
    }
    return range === null ? null : rangeOf(segment, range.position, range.end, range.firstOffset)
  }

  async #indexes(segment: Segment): Promise<SegmentIndexes> {
    const { offsetIndex, timeIndex } = segment
    if (offsetIndex !== null && timeIndex !== null) {
      if (!offsetIndex.isComplete || !timeIndex.isComplete) {
        await completeIndexes(this.#runtime.disk, segment, this.#config.indexIntervalBytes, this.#logger)
      }
      return { offsetIndex, timeIndex }
    }
    const cached = this.#cache.get(segment)
    if (cached !== null) return cached
    const loaded = await loadIndexes(this.#runtime.disk, segment)
    if (loaded === null) return this.#rebuild(segment)
    this.#cache.put(segment, loaded)
    return loaded
  }

  /** Makes a sealed segment's indexes again from its batches. */
  async #rebuild(segment: Segment): Promise<SegmentIndexes> {
    const built = await buildIndexes(segment, segment.sizeBytes, this.#config.indexIntervalBytes)
    reportRebuilt(this.#logger, segment)
    this.#cache.put(segment, built)
    // The cache has them; without room on the disk they are made once more another time.
    await writeIndexes(this.#runtime.disk, segment, built, 'none').catch(() => {})
    return built
  }

  async #largestTimestamp(segment: Segment): Promise<number> {
    if (segment.offsetIndex !== null) return segment.maxTimestampMs
    return (await this.#indexes(segment)).timeIndex.lastTimestampMs
  }

  #lookup(): Parameters<typeof offsetForTimestamp>[0] {
    return {
      segments: [...this.#segments],
      logStartOffset: this.#logStartOffset,
      endOffset: this.#flushedOffset,
      readableBytes: (segment) => this.#readableBytes(segment),
      indexes: (segment) => this.#indexes(segment),
      largestTimestamp: (segment) => this.#largestTimestamp(segment),
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

/** Re-exported for callers that look at why a log is offline. */
export type { CorruptionError }

import { EngineError } from '../model/errors.ts'
import type { Log } from '../segment/log.ts'
import type { BatchHeader } from '../segment/recordBatch.ts'
import type { WriteGroup } from '../segment/writeGroup.ts'
import { type Appended, type Leadership, Partition, type PartitionIdentity } from './partition.ts'

/** Waits for records to become durable. */
interface FlushWaiter {
  /** Exclusive. */
  readonly endOffset: number
  settle(): void
}

/** A partition with a single replica, which is here: the high watermark is what the log has flushed under its policy. */
export class LocalPartition extends Partition {
  readonly log: Log
  readonly leadership: Leadership
  readonly #leaderEpoch: number
  #losses = 0
  #lastLoss: EngineError | null = null
  #flushWaiters: FlushWaiter[] = []

  constructor(identity: PartitionIdentity, log: Log, leadership: Leadership, minInsyncReplicas: number) {
    super(identity, minInsyncReplicas)
    this.log = log
    this.leadership = leadership
    this.#leaderEpoch = leadership.leaderEpoch
    log.onAdvance = () => this.#advanced()
    log.onFailure = (error) => this.#failed(error)
  }

  get leaderEpoch(): number {
    return this.#leaderEpoch
  }

  get highWatermark(): number {
    return this.log.flushedOffset
  }

  get readableEnd(): number {
    return this.log.flushedOffset
  }

  get losses(): number {
    return this.#losses
  }

  whyLost(): EngineError {
    if (this.isGone) return new EngineError('unknownTopicOrPartition', 'the topic was deleted')
    return this.#lastLoss ?? new EngineError('kafkaStorageError', 'the records could not be written')
  }

  get inSyncCount(): number {
    return 1
  }

  requireLeader(): void {}

  requireKnownEnd(): void {}

  readReplica(): number {
    return -1
  }

  append(header: BatchHeader, bytes: Uint8Array, group: WriteGroup): Appended {
    if (this.isGone) throw new EngineError('unknownTopicOrPartition', 'the topic was deleted')
    return this.log.append(header, bytes, this.#leaderEpoch, group)
  }

  isAcked(endOffset: number): boolean {
    return this.log.flushedOffset >= endOffset
  }

  awaitAck(endOffset: number, _acks: number, settle: () => void): boolean {
    if (this.isAcked(endOffset) || this.isGone || this.log.offline) return false
    this.#flushWaiters.push({ endOffset, settle })
    return true
  }

  awaitLeader(): boolean {
    return false
  }

  endOfEpoch(epoch: number): { readonly epoch: number; readonly endOffset: number } {
    if (epoch === this.leaderEpoch) return { epoch, endOffset: this.log.logEndOffset }
    return this.log.offsetForLeaderEpoch(epoch)
  }

  deleteRecordsBefore(offset: number): Promise<void> {
    return this.log.deleteRecordsBefore(offset)
  }

  /** The topic was deleted. */
  override close(): void {
    super.close()
    this.log.onAdvance = null
    this.log.onFailure = null
    this.#wakeAll()
  }

  #wakeAll(): void {
    this.wakeFetches()
    this.#settleFlushed(true)
  }

  #failed(error: EngineError): void {
    this.#losses += 1
    this.#lastLoss = error
    this.#wakeAll()
  }

  #advanced(): void {
    if (this.#flushWaiters.length > 0) this.#settleFlushed(this.log.offline !== null)
    // Waking is deferred, so the list does not change meanwhile.
    for (const watched of this.watchers) watched.wait.advanced(watched)
  }

  #settleFlushed(all: boolean): void {
    const waiters = this.#flushWaiters
    if (waiters.length === 0) return
    this.#flushWaiters = all ? [] : waiters.filter((waiter) => !this.isAcked(waiter.endOffset))
    for (const waiter of waiters) if (all || this.isAcked(waiter.endOffset)) waiter.settle()
  }
}

import { EngineError } from '../model/errors.ts'
import type { Uuid } from '../model/uuid.ts'
import type { Log } from '../segment/log.ts'
import type { WatchedPartition } from './purgatory.ts'

/** Waits for records to become durable. */
interface FlushWaiter {
  /** Exclusive. */
  readonly endOffset: number
  settle(): void
}

/**
 * One partition that this broker leads: its log, its leader epoch, and who waits for it. With a single replica
 * the high watermark is what the log has flushed under its policy.
 */
export class Partition {
  readonly topic: string
  readonly topicId: Uuid
  readonly index: number
  readonly log: Log
  leaderEpoch: number
  /** Replicas that must have a record before `acks=all` is answered. */
  minInsyncReplicas: number
  #isGone = false
  #lastFetch = 0
  #losses = 0
  #lastLoss: EngineError | null = null
  readonly #watchers: WatchedPartition[] = []
  #flushWaiters: FlushWaiter[] = []

  constructor(
    identity: { readonly topic: string; readonly topicId: Uuid; readonly index: number },
    log: Log,
    leaderEpoch: number,
    minInsyncReplicas: number,
  ) {
    this.topic = identity.topic
    this.topicId = identity.topicId
    this.index = identity.index
    this.log = log
    this.leaderEpoch = leaderEpoch
    this.minInsyncReplicas = minInsyncReplicas
    log.onAdvance = () => this.#advanced()
    log.onFailure = (error) => this.#failed(error)
  }

  /** Exclusive end of what may be read. */
  get highWatermark(): number {
    return this.log.flushedOffset
  }

  /** Exclusive end of what no open transaction can change; there are no transactions yet. */
  get lastStableOffset(): number {
    return this.log.flushedOffset
  }

  /**
   * How often appends were lost because the disk failed or was full. Offsets of lost records are given out again,
   * so whoever waits for an offset has to look whether this has changed since the append.
   */
  get losses(): number {
    return this.#losses
  }

  /** Why the last ones were lost. */
  get lastLoss(): EngineError | null {
    return this.#lastLoss
  }

  /** Whether the topic was deleted. */
  get isGone(): boolean {
    return this.#isGone
  }

  /**
   * Throws `fencedLeaderEpoch` or `unknownLeaderEpoch` when a client knows another epoch than this one; -1 says
   * that it knows none. Source: KIP-320.
   */
  fence(currentLeaderEpoch: number): void {
    if (currentLeaderEpoch < 0 || currentLeaderEpoch === this.leaderEpoch) return
    const isOld = currentLeaderEpoch < this.leaderEpoch
    throw new EngineError(
      isOld ? 'fencedLeaderEpoch' : 'unknownLeaderEpoch',
      `the leader epoch is ${this.leaderEpoch}, not ${currentLeaderEpoch}`,
    )
  }

  /** The largest epoch up to `epoch` and the exclusive end of its records; (-1, -1) when nothing is known of it. */
  endOfEpoch(epoch: number): { readonly epoch: number; readonly endOffset: number } {
    if (epoch === this.leaderEpoch) return { epoch, endOffset: this.log.logEndOffset }
    return this.log.offsetForLeaderEpoch(epoch)
  }

  /** Whether everything below `endOffset` is durable. */
  isFlushed(endOffset: number): boolean {
    return this.log.flushedOffset >= endOffset
  }

  /**
   * Calls `settle` once everything below `endOffset` is durable, or never will be: the caller looks which. Not
   * called when it returns false: then it is decided already.
   */
  awaitFlush(endOffset: number, settle: () => void): boolean {
    if (this.isFlushed(endOffset) || this.#isGone || this.log.offline) return false
    this.#flushWaiters.push({ endOffset, settle })
    return true
  }

  /** Notes that fetch `id` (a number of its own, above 0) asks for this partition; whether it has done so before. */
  isFetchedAgain(id: number): boolean {
    if (this.#lastFetch === id) return true
    this.#lastFetch = id
    return false
  }

  /** Tells `watched` of every advance until `unwatch`. */
  watch(watched: WatchedPartition): void {
    watched.slot = this.#watchers.push(watched) - 1
  }

  /** Ends `watch`. */
  unwatch(watched: WatchedPartition): void {
    if (watched.slot < 0) return
    const last = this.#watchers.pop()!
    if (last !== watched) {
      this.#watchers[watched.slot] = last
      last.slot = watched.slot
    }
    watched.slot = -1
  }

  /** Fetches that wait here. */
  get watcherCount(): number {
    return this.#watchers.length
  }

  /** Something other than an advance has happened: everybody who waits looks again. */
  wakeAll(): void {
    for (const watched of [...this.#watchers]) watched.wait.wake()
    this.#settleFlushed(true)
  }

  /** The topic was deleted. */
  close(): void {
    this.#isGone = true
    this.log.onAdvance = null
    this.log.onFailure = null
    this.wakeAll()
  }

  #failed(error: EngineError): void {
    this.#losses += 1
    this.#lastLoss = error
    this.wakeAll()
  }

  #advanced(): void {
    if (this.#flushWaiters.length > 0) this.#settleFlushed(this.log.offline !== null)
    // Waking is deferred, so the list does not change meanwhile.
    for (const watched of this.#watchers) watched.wait.advanced(watched)
  }

  #settleFlushed(all: boolean): void {
    const waiters = this.#flushWaiters
    if (waiters.length === 0) return
    this.#flushWaiters = all ? [] : waiters.filter((waiter) => !this.isFlushed(waiter.endOffset))
    for (const waiter of waiters) if (all || this.isFlushed(waiter.endOffset)) waiter.settle()
  }
}

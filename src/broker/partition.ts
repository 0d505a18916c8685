import { EngineError } from '../model/errors.ts'
import { planted } from '../model/planted.ts'
import type { Uuid } from '../model/uuid.ts'
import type { Log } from '../segment/log.ts'
import type { AppendResult } from '../segment/logTypes.ts'
import type { BatchHeader } from '../segment/recordBatch.ts'
import type { WriteGroup } from '../segment/writeGroup.ts'
import type { WatchedPartition } from './purgatory.ts'
import { RefusedBatches } from './refusedBatches.ts'

/** Names a partition. */
export interface PartitionIdentity {
  readonly topic: string
  readonly topicId: Uuid
  readonly index: number
}

/** Where a batch lies that was appended, or that had been there before. */
export type Appended = Omit<AppendResult, 'survives'>

/** Who leads a partition as far as this node knows; -1 for nobody. */
export interface Leadership {
  readonly leader: number
  readonly leaderEpoch: number
}

/** Kafka's number for acknowledgement by all replicas that are in sync. */
export const acksAll = -1

/**
 * One partition as request handlers see it, whether its log stands alone or is a replica of a Raft group: what may be
 * appended and read, and who waits for it.
 */
export abstract class Partition {
  readonly topic: string
  readonly topicId: Uuid
  readonly index: number
  /** What it holds; another one after a replica has been mended. */
  abstract readonly log: Log
  /** Replicas that must have a record before `acks=all` is answered. */
  minInsyncReplicas: number
  #isGone = false
  #lastFetch = 0
  /** Null until a producer's batch was refused here. */
  #refused: RefusedBatches | null = null
  protected readonly watchers: WatchedPartition[] = []

  protected constructor(identity: PartitionIdentity, minInsyncReplicas: number) {
    this.topic = identity.topic
    this.topicId = identity.topicId
    this.index = identity.index
    this.minInsyncReplicas = minInsyncReplicas
  }

  /** The epoch of the leader that this node knows. */
  abstract get leaderEpoch(): number

  /** Exclusive end of what is committed, as far as this node knows. */
  abstract get highWatermark(): number

  /** Exclusive end of what may be read here: committed, and flushed on this node. Watchers are told when it moves on. */
  abstract get readableEnd(): number

  /** Who leads. */
  abstract get leadership(): Leadership

  /** Throws `notLeaderOrFollower` unless this node leads, and whatever keeps a leader from working. */
  abstract requireLeader(): void

  /** Throws `offsetNotAvailable` while a new leader does not know yet what its predecessors had committed. Source: KIP-207. */
  abstract requireKnownEnd(): void

  /**
   * Who should be asked for records in place of this leader by a client in `rack` that is at `fetchOffset`; -1 for nobody. Throws
   * `notLeaderOrFollower` when this node leads not and may not serve such a client either. Source: KIP-392.
   */
  abstract readReplica(rack: string, fetchOffset: number): number

  /** Replicas that have caught up, this one among them. Only known to the leader. */
  abstract get inSyncCount(): number

  /**
   * Appends one batch that `checkBatch` has accepted, at once; `bytes` may be changed, and are not kept. What of it this request
   * has to submit is in `group`. Throws `notLeaderOrFollower` and what `Log.append` throws: nothing was appended then.
   */
  abstract append(header: BatchHeader, bytes: Uint8Array, group: WriteGroup): Appended

  /**
   * How often what was appended and not acknowledged stopped being this leader's to acknowledge: the disk failed or was full,
   * or another leader came. Offsets are given out again then, so whoever waits for one has to look whether this has changed
   * since the append.
   */
  abstract get losses(): number

  /** Why what was appended when there had been `losses` is not acknowledged and never will be. */
  abstract whyLost(losses: number): EngineError

  /** Whether everything below `endOffset`, appended since the last loss, is what `acks` (1 or -1) asks for. */
  abstract isAcked(endOffset: number, acks: number): boolean

  /**
   * Calls `settle` once `isAcked` is true, or never will be: the caller looks which. Not called when it returns false: then it is
   * decided already.
   */
  abstract awaitAck(endOffset: number, acks: number, settle: () => void): boolean

  /**
   * Calls `settle` once it is known who leads, at the latest after about a second: whoever is told then can go there at once. Not
   * called when it returns false: it is known, or will not be here.
   */
  abstract awaitLeader(settle: () => void): boolean

  /** The largest epoch up to `epoch` and the exclusive end of its records; (-1, -1) when nothing is known of it. */
  abstract endOfEpoch(epoch: number): { readonly epoch: number; readonly endOffset: number }

  /** Raises the log start offset, durably when it resolves. Throws as `Log.deleteRecordsBefore`. */
  abstract deleteRecordsBefore(offset: number): Promise<void>

  /** Exclusive end of what no open transaction can change; there are no transactions yet. */
  get lastStableOffset(): number {
    return this.highWatermark
  }

  /** Whether the topic was deleted, or the partition went elsewhere. */
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

  /** A batch was refused, or not acknowledged, and its producer will send it again; `nowMs` is of the monotonic clock. */
  refused(batch: BatchHeader, nowMs: number): void {
    if (batch.producerId < 0) return
    this.#refused ??= new RefusedBatches()
    this.#refused.add(batch, nowMs)
  }

  /** Throws `notEnoughReplicas` for a batch of an idempotent producer that has to wait for one that was refused. */
  requireEarlier(batch: BatchHeader, nowMs: number): void {
    if (this.#refused === null || batch.producerId < 0 || planted('refusedForgotten')) return
    this.#refused.check(batch, this.log.producerState.get(batch.producerId), nowMs)
  }

  /** Notes that fetch `id` (a number of its own, above 0) asks for this partition; whether it has done so before. */
  isFetchedAgain(id: number): boolean {
    if (this.#lastFetch === id) return true
    this.#lastFetch = id
    return false
  }

  /** Tells `watched` of every advance until `unwatch`. */
  watch(watched: WatchedPartition): void {
    watched.slot = this.watchers.push(watched) - 1
  }

  /** Ends `watch`. */
  unwatch(watched: WatchedPartition): void {
    if (watched.slot < 0) return
    const last = this.watchers.pop()!
    if (last !== watched) {
      this.watchers[watched.slot] = last
      last.slot = watched.slot
    }
    watched.slot = -1
  }

  /** Fetches that wait here. */
  get watcherCount(): number {
    return this.watchers.length
  }

  /** Something other than an advance has happened: every fetch that waits looks again. */
  protected wakeFetches(): void {
    for (const watched of [...this.watchers]) watched.wait.wake()
  }

  /** The partition is not here any more: everybody who waits is told. */
  close(): void {
    this.#isGone = true
  }
}

import { EngineError } from '../model/errors.ts'
import { planted } from '../model/planted.ts'
import type { RaftState } from '../raft.ts'
import type { Group } from '../replica/group.ts'
import { NotLeaderError } from '../replica/notLeader.ts'
import type { Clock, Timer } from '../runtime/clock.ts'
import type { Log } from '../segment/log.ts'
import type { BatchHeader } from '../segment/recordBatch.ts'
import { InSync } from './inSync.ts'
import { OffsetWaiters } from './offsetWaiters.ts'
import { type Appended, acksAll, type Leadership, Partition, type PartitionIdentity } from './partition.ts'

/** How long those who wait at a former leader do so until the new one is known. Milliseconds. */
const successorMs = 1000
/** How often it is looked whether more replicas than a majority have what waits for them. Milliseconds. */
const lookMs = 10

/** What a partition has to know of the rest of its node. */
export interface GroupPartitionHost {
  readonly nodeId: number
  readonly clock: Clock
  /** `broker.rack` of a node, null where it has none or is not known. */
  rackOf(nodeId: number): string | null
  /** Somebody else leads, or nobody does, or the voters are others. */
  changed(partition: GroupPartition): void
  /** The leader's log begins at `offset` now, as somebody wanted. */
  begun(partition: GroupPartition, offset: number): void
}

/**
 * A partition whose log is a replica of a Raft group. `acks=all` is answered once the group has committed the records and as
 * many replicas as `min.insync.replicas` asks for hold them. Who waits when leadership goes is told as soon as the new leader is
 * known: so clients go there at once.
 */
export class GroupPartition extends Partition {
  readonly group: Group
  readonly #host: GroupPartitionHost
  readonly #unwatch: () => void
  readonly #inSync: InSync
  readonly #committed = new OffsetWaiters()
  readonly #flushed = new OffsetWaiters()
  readonly #leaderWaiters: (() => void)[] = []
  /** The epoch that this node leads in, -1 while it does not lead. */
  #reign = -1
  #losses = 0
  #lastLoss: EngineError | null = null
  /** Where the group's high watermark was at the last look. */
  #lookedAt = -1
  /** `readableEnd` at the last advance. */
  #readable: number
  /** Where the log is to begin once that is committed, -1 for nowhere. */
  #beginOffset = -1
  #successor: Timer | null = null
  #look: Timer | null = null

  constructor(
    identity: PartitionIdentity,
    group: Group,
    minInsyncReplicas: number,
    host: GroupPartitionHost,
  ) {
    super(identity, minInsyncReplicas)
    this.group = group
    this.#host = host
    this.#inSync = new InSync(host.nodeId)
    this.#readable = this.readableEnd
    if (group.state === 'leader') this.#reign = group.leaderEpoch
    this.#unwatch = group.watch({
      highWatermark: (offset) => this.#onCommitted(offset),
      flushed: (offset) => this.#onFlushed(offset),
      leadership: (state, leaderEpoch, leaderId) => this.#onLeadership(state, leaderEpoch, leaderId),
      voters: () => host.changed(this),
      failed: () => this.#onFailed(),
      repaired: () => this.wakeFetches(),
      revived: () => this.#onRevived(),
    })
  }

  get log(): Log {
    return this.group.log
  }

  get leaderEpoch(): number {
    return this.group.leaderEpoch
  }

  get highWatermark(): number {
    return this.group.highWatermark
  }

  get readableEnd(): number {
    if (planted('uncommittedShown')) return this.log.flushedOffset
    return Math.min(this.group.highWatermark, this.log.flushedOffset)
  }

  get leadership(): Leadership {
    const { leaderId, leaderEpoch } = this.group
    return { leader: leaderId, leaderEpoch }
  }

  /** Whether this node leads. */
  get isLeader(): boolean {
    return this.group.state === 'leader' && this.group.failure === null
  }

  get losses(): number {
    return this.#losses
  }

  get inSyncCount(): number {
    return this.#inSync.count(this.group, this.#host.clock.monotonicMs())
  }

  /** The voters that had caught up at the last look; only the leader knows. */
  get inSync(): readonly number[] {
    return this.#inSync.members
  }

  /** Whether a look may show others: records have come since, or somebody is missing. */
  get isInSyncStale(): boolean {
    const { highWatermark, voters } = this.group
    return highWatermark !== this.#lookedAt || this.inSync.length < voters.voters.voters.length
  }

  /** The voters that have caught up, as of now; only the leader knows. */
  lookInSync(): readonly number[] {
    this.#lookedAt = this.group.highWatermark
    return this.#inSync.look(this.group, this.#host.clock.monotonicMs())
  }

  requireLeader(): void {
    const { failure, leaderId } = this.group
    if (failure !== null) throw failure
    if (this.group.state !== 'leader') throw new NotLeaderError(leaderId)
  }

  requireKnownEnd(): void {
    if (this.group.knowsAllCommitted) return
    throw new EngineError('offsetNotAvailable', 'the leader is new and does not know yet what is committed')
  }

  readReplica(rack: string, fetchOffset: number): number {
    if (this.isLeader) return rack === '' ? -1 : this.#closer(rack, fetchOffset)
    const { leaderId, failure } = this.group
    if (rack === '' || leaderId < 0 || failure !== null) this.requireLeader()
    if (fetchOffset > this.log.logEndOffset) {
      throw new EngineError('offsetNotAvailable', `this replica has not come to offset ${fetchOffset} yet`)
    }
    return -1
  }

  append(header: BatchHeader, bytes: Uint8Array): Appended {
    if (this.isGone) throw new NotLeaderError(-1)
    return this.group.appendNow(header, bytes)
  }

  isAcked(endOffset: number, acks: number): boolean {
    if (acks !== acksAll || planted('producedBeforeCommit')) return this.log.flushedOffset >= endOffset
    return this.group.highWatermark >= endOffset && this.#isReplicated(endOffset)
  }

  awaitAck(endOffset: number, acks: number, settle: () => void): boolean {
    if (this.isAcked(endOffset, acks) || this.isGone || this.#reign < 0) return false
    const waiters = acks === acksAll && !planted('producedBeforeCommit') ? this.#committed : this.#flushed
    waiters.add(endOffset, settle)
    if (acks === acksAll && this.group.highWatermark >= endOffset) this.#lookAgain()
    return true
  }

  awaitLeader(settle: () => void): boolean {
    const { leaderId, isTransferring, failure } = this.group
    const isKnown = leaderId >= 0 && !isTransferring
    if (isKnown || failure !== null || this.isGone) return false
    this.#leaderWaiters.push(settle)
    this.#awaitSuccessor()
    return true
  }

  whyLost(losses: number): EngineError {
    if (this.isGone) return new NotLeaderError(-1)
    if (losses === this.#losses || this.#lastLoss === null) {
      const text = `fewer than ${this.minInsyncReplicas} replicas have caught up`
      return new EngineError('notEnoughReplicasAfterAppend', text)
    }
    return this.#lastLoss
  }

  endOfEpoch(epoch: number): { readonly epoch: number; readonly endOffset: number } {
    if (epoch > this.leaderEpoch) return { epoch: -1, endOffset: -1 }
    return this.group.endOfEpoch(epoch)
  }

  async deleteRecordsBefore(offset: number): Promise<void> {
    await this.group.beginAt(offset)
    this.#host.begun(this, offset)
  }

  /** Has this replica's log begin at `offset` as soon as it knows that everything before is committed. */
  beginAtCommitted(offset: number): void {
    this.#beginOffset = Math.max(this.#beginOffset, offset)
    this.#beginIfCommitted()
  }

  #beginIfCommitted(): void {
    if (this.#beginOffset <= this.log.logStartOffset || this.#beginOffset > this.readableEnd) return
    const offset = this.#beginOffset
    // What fails now is done by retention, or asked for again.
    this.group.beginAt(offset).catch(() => {})
  }

  /** The replica is not here any more. The group is its owner's to close. */
  override close(): void {
    super.close()
    this.#unwatch()
    this.#wakeAll()
  }

  /** An in-sync replica in `rack` that has `fetchOffset`, -1 when there is none or this node is there itself. */
  #closer(rack: string, fetchOffset: number): number {
    const { rackOf, nodeId } = this.#host
    if (rackOf(nodeId) === rack) return -1
    const { members, followers } = this.#inSync
    let best = -1
    let bestOffset = fetchOffset
    for (const { id, claimOffset } of followers) {
      if (claimOffset < bestOffset || !members.includes(id) || rackOf(id) !== rack) continue
      best = id
      bestOffset = claimOffset
    }
    return best
  }

  /** Whether as many replicas have it as the topic asks for; a majority has, since it is committed. */
  #isReplicated(endOffset: number): boolean {
    const { voters, majority } = this.group.voters.voters
    if (this.minInsyncReplicas <= majority) return true
    let holders = this.log.flushedOffset >= endOffset ? 1 : 0
    for (const { id, claimOffset, counts } of this.group.followers) {
      if (counts && claimOffset >= endOffset && voters.some((voter) => voter.id === id)) holders++
    }
    return holders >= this.minInsyncReplicas
  }

  #onCommitted(offset: number): void {
    if (!this.#committed.isEmpty) this.#settleCommitted(offset)
    this.#advance()
  }

  #onFlushed(offset: number): void {
    this.#flushed.passed(offset)
    this.#advance()
  }

  #settleCommitted(offset: number): void {
    if (this.minInsyncReplicas <= this.group.voters.voters.majority) {
      this.#committed.passed(offset)
      return
    }
    let { lowest } = this.#committed
    while (lowest <= offset && this.#isReplicated(lowest)) {
      this.#committed.passed(lowest)
      lowest = this.#committed.lowest
    }
    if (lowest <= offset) this.#lookAgain()
  }

  /** What is committed waits for further replicas, or for being told that there are not enough of them. */
  #lookAgain(): void {
    this.#look ??= this.#host.clock.setTimer(lookMs, () => {
      this.#look = null
      if (this.#committed.isEmpty) return
      this.lookInSync()
      if (this.inSyncCount < this.minInsyncReplicas) this.#committed.passed(this.group.highWatermark)
      else this.#settleCommitted(this.group.highWatermark)
    })
  }

  #advance(): void {
    const readable = this.readableEnd
    if (readable <= this.#readable) return
    this.#readable = readable
    if (this.#beginOffset >= 0) this.#beginIfCommitted()
    // Waking is deferred, so the list does not change meanwhile.
    for (const watched of this.watchers) watched.wait.advanced(watched)
  }

  #onLeadership(state: RaftState, leaderEpoch: number, leaderId: number): void {
    const reign = state === 'leader' ? leaderEpoch : -1
    if (this.#reign >= 0 && this.#reign !== reign) this.#lost(new NotLeaderError(leaderId))
    this.#reign = reign
    if (leaderId >= 0) {
      this.#wakeAll()
    } else if (!this.#committed.isEmpty || !this.#flushed.isEmpty || this.watchers.length > 0) {
      this.#awaitSuccessor()
    }
    this.#host.changed(this)
  }

  #onFailed(): void {
    this.#reign = -1
    this.#lost(this.group.failure ?? new NotLeaderError(-1))
    this.#wakeAll()
    this.#host.changed(this)
  }

  /** The replica takes part again, perhaps on another log. */
  #onRevived(): void {
    this.#readable = this.readableEnd
    this.#wakeAll()
    this.#host.changed(this)
  }

  #lost(error: EngineError): void {
    this.#losses += 1
    this.#lastLoss = error
  }

  #awaitSuccessor(): void {
    this.#successor ??= this.#host.clock.setTimer(successorMs, () => this.#wakeAll())
  }

  #wakeAll(): void {
    this.#successor?.cancel()
    this.#successor = null
    this.#committed.settleAll()
    this.#flushed.settleAll()
    for (const settle of this.#leaderWaiters.splice(0)) settle()
    this.wakeFetches()
  }
}

import { EngineError } from '../model/errors.ts'
import type { FileRange, SendPart } from '../model/fileRange.ts'
import { planted } from '../model/planted.ts'
import type {
  QuorumState,
  RaftEvent,
  RaftRequest,
  RaftResponse,
  RaftState,
  ReplicaKey,
  SnapshotId,
  Voter,
  VotersEntry,
} from '../raft.ts'
import type { BadRange } from '../segment/badRanges.ts'
import type { Log } from '../segment/log.ts'
import type { LogConfig } from '../segment/logConfig.ts'
import type { BatchHeader } from '../segment/recordBatch.ts'
import { beginAt } from './beginAt.ts'
import type { CacheClaims } from './cacheClaims.ts'
import { checkRead } from './checkRead.ts'
import type { GroupConfig } from './groupConfigs.ts'
import { GroupDriver } from './groupDriver.ts'
import { GroupListeners } from './groupListeners.ts'
import type {
  FollowerProgress,
  GroupAck,
  GroupAppendOptions,
  GroupListener,
  GroupSpec,
  PlacedBatch,
  RepairedRange,
} from './groupTypes.ts'
import type { GroupWorld } from './groupWorld.ts'
import type { GroupStart } from './openGroupLog.ts'
import { RepairWaiters } from './repair/repairWaiters.ts'
import { snapshotFromOthers } from './repair/snapshotHelp.ts'
import { RemoteRequest, refuseRequest } from './replies.ts'
import type { SnapshotFiles } from './snapshotFiles.ts'
import { LocalRequest, Waiter } from './tokens.ts'
import { type GroupKey, type GroupRef, groupKey } from './transport.ts'

/** One replica of one group, as the programs of its node see it. */
export class Group {
  readonly ref: GroupRef
  readonly key: GroupKey
  #spec: GroupSpec
  readonly #clusterId: string | null
  readonly #world: GroupWorld
  readonly #listeners = new GroupListeners()
  #driver: GroupDriver
  #snapshots: SnapshotFiles
  readonly #claims: CacheClaims
  readonly #closed: (group: Group) => void
  readonly #repairs = new RepairWaiters()
  #closing: Promise<void> | null = null

  /** `closed` is called when `close` is over. */
  constructor(
    world: GroupWorld,
    spec: GroupSpec,
    config: GroupConfig,
    start: GroupStart,
    mayHaveForgotten: boolean,
    claims: CacheClaims,
    closed: (group: Group) => void,
  ) {
    const { topic, partition, topicId } = spec
    this.ref = { topicId, topic, partition }
    this.key = groupKey(this.ref)
    this.#spec = spec
    this.#claims = claims
    this.#snapshots = start.snapshots
    this.#world = world
    this.#clusterId = config.clusterId
    this.#driver = new GroupDriver(world, this.ref, config, start, mayHaveForgotten, this.#listeners)
    this.#closed = closed
  }

  /** Begins to take part. To be called once. */
  start(): void {
    this.#driver.start()
  }

  /** Calls `run` once all that the replica has written of its quorum state so far is durable; never when that fails. */
  whenPersisted(run: () => void): void {
    this.#driver.whenPersisted(run)
  }

  /** The log was out of use and is not any more: takes part again from what `start` says. */
  revive(config: GroupConfig, start: GroupStart, mayHaveForgotten: boolean): void {
    if (this.#closing !== null) return
    this.#snapshots = start.snapshots
    this.#driver = new GroupDriver(this.#world, this.ref, config, start, mayHaveForgotten, this.#listeners)
    this.#driver.start()
    this.#listeners.tell((each) => each.revived?.())
    this.#repairs.wake(true)
  }

  /** What the replica was opened with, and the configuration that it has by now. */
  get spec(): GroupSpec {
    return this.#spec
  }

  /** Replaces the configuration of the log. A relaxed flush policy applies once the journal says so, a durable one at once. */
  updateConfig(config: LogConfig): void {
    this.#spec = { ...this.#spec, config }
    this.#claims.change(config)
  }

  get snapshots(): SnapshotFiles {
    return this.#snapshots
  }

  /** The records, committed or not. Whoever reads it must stay below `highWatermark`. */
  get log(): Log {
    return this.#driver.log.log
  }

  get state(): RaftState {
    return this.#driver.node.state
  }

  /** Who leads as far as this replica knows, -1 for nobody. */
  get leaderId(): number {
    return this.#driver.node.leaderId
  }

  get leaderEpoch(): number {
    return this.#driver.node.leaderEpoch
  }

  /** Exclusive end of what this replica knows to be committed. */
  get highWatermark(): number {
    return this.#driver.node.highWatermark
  }

  /** The voter set that applies. */
  get voters(): VotersEntry {
    return this.#driver.node.voters
  }

  /** What is known of this start of the replica; see `RaftNode.standing`. */
  get standing(): 'unknown' | 'sound' | 'rolledBack' {
    return this.#driver.node.standing
  }

  /** Whether this replica may have forgotten what it has claimed, or is proven to have. */
  get quarantine(): QuorumState['quarantine'] {
    return this.#driver.node.quorumState.quarantine
  }

  /** How often this replica was started, this time included. */
  get starts(): number {
    return this.#driver.node.quorumState.incarnation
  }

  /** Whether the disk of this replica has to begin anew: proven, and others go on without it. */
  get mustBeginAnew(): boolean {
    return this.#driver.node.mustBeginAnew
  }

  /** Why the replica is out of use until the next start; null while it is not. */
  get failure(): EngineError | null {
    return this.#driver.failure
  }

  /** The epoch of the record before `offset`, for a snapshot that ends there. */
  epochBefore(offset: number): number {
    return this.#driver.node.epochBefore(offset)
  }

  /** The voter set that applied at `offset`, for a snapshot that ends there. */
  votersAt(offset: number): VotersEntry {
    return this.#driver.node.votersAt(offset)
  }

  /**
   * Appends ready batches, which are copied before this returns. Waits while too much is under way on the node. Rejects with
   * `NotLeaderError` (nothing was appended), `notEnoughReplicasAfterAppend` (nobody knows), `diskFull`, and what `Log.append`
   * throws.
   */
  append(bytes: Uint8Array, options: GroupAppendOptions): Promise<GroupAck> {
    return this.#driver.appends.append(bytes, options)
  }

  /**
   * Appends one batch that was checked, in this turn; `bytes` are copied, with its place in the copy. What it gives is not
   * committed before `highWatermark` has passed it in the same epoch, nor flushed before the listeners hear so. Throws
   * `NotLeaderError`, `diskFull`, and what `Log.append` throws: nothing was appended then.
   */
  appendNow(header: BatchHeader, bytes: Uint8Array): PlacedBatch {
    if (this.failure !== null) throw this.failure
    return this.#driver.appends.appendNow(header, bytes)
  }

  /** What is known of those that follow; empty unless this replica leads. */
  get followers(): readonly FollowerProgress[] {
    return this.#driver.followers
  }

  /** Whether this replica is about to give the lead to another: it takes no records any more. */
  get isTransferring(): boolean {
    return this.#driver.node.isTransferring
  }

  /** Whether this replica leads and knows of everything that was ever committed. */
  get knowsAllCommitted(): boolean {
    return this.#driver.node.knowsAllCommitted
  }

  /** The greatest epoch up to `epoch` of this log, and the exclusive end of its records, committed or not. */
  endOfEpoch(epoch: number): { readonly epoch: number; readonly endOffset: number } {
    return this.#driver.node.endOfEpoch(epoch)
  }

  /**
   * Batches from the one that holds `fromOffset` on, all of them below the high watermark, about `maxBytes` but at least one;
   * null when there is none. Throws `offsetOutOfRange`, and what the disk says.
   */
  read(
    fromOffset: number,
    maxBytes: number,
  ): readonly SendPart[] | null | Promise<readonly SendPart[] | null> {
    if (this.failure !== null) throw this.failure
    const highWatermark = planted('readBeyondHighWatermark') ? this.log.logEndOffset : this.highWatermark
    if (fromOffset < this.log.logStartOffset || fromOffset > highWatermark) {
      throw new EngineError('offsetOutOfRange', `nothing committed has offset ${fromOffset}`)
    }
    return fromOffset === highWatermark ? null : this.#driver.log.read(fromOffset, highWatermark, maxBytes)
  }

  /** An offset: whoever has applied everything below it has seen all that was committed before the call. */
  readIndex(): Promise<number> {
    return this.#ask<number>((token) => ({ type: 'readIndex', token }))
  }

  /** Moves leadership to node `to`, or to whoever is best. Resolves once this replica does not lead any more. */
  transferLeadership(to = -1): Promise<void> {
    return this.#ask<void>((token) => ({ type: 'transferLeadership', token, to }))
  }

  /** Writes a static voter set into the log, so that it can change from then on. */
  upgradeVersion(): Promise<void> {
    return this.#ask<void>((token) => ({ type: 'upgradeVersion', token }))
  }

  /** Lets votes of replicas count that may have forgotten records: the loss of those is accepted. */
  uncleanElection(): Promise<void> {
    return this.#ask<void>((token) => ({ type: 'uncleanElection', token }))
  }

  /** Makes a replica a voter once it has caught up, within `timeoutMs`; resolves when that is committed. */
  addVoter(voter: Voter, timeoutMs = 30_000): Promise<void> {
    const clusterId = this.#clusterId
    return this.#askAsOthers({ type: 'addVoter', clusterId, voter, timeoutMs, ackWhenCommitted: true })
  }

  /** Takes a voter out; resolves when that is committed. */
  removeVoter(voter: ReplicaKey): Promise<void> {
    return this.#askAsOthers({ type: 'removeVoter', clusterId: this.#clusterId, voter })
  }

  /** Says where a voter is now; resolves when that is committed. */
  updateVoter(voter: Voter): Promise<void> {
    const currentLeaderEpoch = this.leaderEpoch
    return this.#askAsOthers({ type: 'updateVoter', clusterId: this.#clusterId, currentLeaderEpoch, voter })
  }

  /** A snapshot of committed records is durable: records below `logStartOffset` may go, and are gone when this resolves. */
  async snapshotTaken(id: SnapshotId, logStartOffset: number): Promise<void> {
    if (this.failure !== null) throw this.failure
    this.#driver.step({ type: 'snapshotTaken', snapshotId: id, logStartOffset })
    await this.#driver.log.tookSnapshot(id, logStartOffset)
  }

  /** Has whoever runs on the log take a snapshot. */
  wantSnapshot(): void {
    this.#listeners.tell((each) => each.snapshotWanted?.())
  }

  /** Takes a snapshot from another replica in place of a damaged one; false where there is no other, and once it `isOver`. */
  async fetchSnapshot(isOver: () => boolean): Promise<boolean> {
    const { transport, nodeId, logger, runtime } = this.#world
    if (this.voters.voters.voters.every(({ id }) => id === nodeId)) return false
    const isEnd = (): boolean => isOver() || this.#closing !== null
    return snapshotFromOthers(this, { nodeId, logger, clock: runtime.clock, transport, isOver: isEnd })
  }

  /** A snapshot of this replica was damaged or missing, and is not any more. */
  snapshotReplaced(): void {
    this.#listeners.tell((each) => each.snapshotReplaced?.())
  }

  /** Whether what is stored at `offset` is damaged; if so, it is looked for on other nodes. Rejects with what the disk says. */
  look(offset: number): Promise<boolean> {
    return this.log.findDamage(offset)
  }

  /** How many of `bytes`, read from `range` for `fromOffset`, are whole batches; throws `CorruptionError` when none is. */
  check(bytes: Uint8Array, range: FileRange, fromOffset: number): number {
    return checkRead(this.#world.runtime.checksum, this.log, bytes, range, fromOffset)
  }

  /**
   * Whether to read again what was damaged at `offset`: resolves with true once something has been mended, with false when nobody
   * could help within `timeoutMs`.
   */
  async awaitRepair(offset: number, timeoutMs = 30_000): Promise<boolean> {
    if (!(await this.look(offset)) || !this.log.isDamagedAt(offset)) return true
    if (this.voters.voters.size < 2 || this.#closing !== null) return false
    return this.nextRepair(timeoutMs)
  }

  /** Resolves with true once something has been mended, with false when that takes longer than `timeoutMs`, or the end comes. */
  nextRepair(timeoutMs: number): Promise<boolean> {
    return this.#repairs.wait(this.#world.runtime.clock, timeoutMs)
  }

  /** The log may be damaged, or may be so no longer: others hear of it, and lead in its place. */
  noteDamage(): void {
    if (this.failure === null) this.#driver.step({ type: 'damaged', isDamaged: this.log.damage.length > 0 })
  }

  /** Damage was found in the log. */
  damaged(range: BadRange): void {
    this.noteDamage()
    this.#listeners.tell((each) => each.damaged?.(range))
  }

  /** Some of it was mended. */
  repaired(range: RepairedRange): void {
    this.noteDamage()
    this.#listeners.tell((each) => each.repaired?.(range))
    this.#repairs.wake(true)
  }

  /** Removes committed records below `offset`, so that the log begins there; durable when it resolves. Throws `offsetOutOfRange`. */
  beginAt(offset: number): Promise<void> {
    return beginAt(this, offset)
  }

  /** Removes what the configuration says is too old or too much, as far as it is committed; the number of segments. */
  applyRetention(): Promise<number> {
    return this.log.applyRetention((offset) => beginAt(this, Math.min(offset, this.highWatermark)))
  }

  /** Has `listener` told of what happens from now on, until the returned function is called. */
  watch(listener: GroupListener): () => void {
    return this.#listeners.watch(listener)
  }

  /** Another node asks. */
  request(from: number, request: RaftRequest, reply: RemoteRequest['reply']): void {
    if (this.failure !== null || this.#closing !== null) {
      reply(refuseRequest(request, 'kafkaStorageError'), [])
      return
    }
    const replyTo = new RemoteRequest(from, request, reply)
    this.#driver.step({ type: `${request.type}Request`, replyTo, request } as RaftEvent)
  }

  /** Another node has answered. */
  response(from: number, requestId: number, response: RaftResponse): void {
    if (response.type === 'fetch' && response.batches.length > 0) {
      this.#driver.stepWithRecords({ type: 'fetchResponse', from, requestId, response })
    } else {
      this.#driver.step({ type: `${response.type}Response`, from, requestId, response } as RaftEvent)
    }
  }

  /** Something else that happens to the replica. */
  tell(event: Extract<RaftEvent, { type: 'requestFailed' | 'connectionLost' }>): void {
    this.#driver.step(event)
  }

  /** Leaves the group in order and resolves once everything is durable that was written. The log stays open. */
  close(): Promise<void> {
    this.#repairs.wake(false)
    this.#closing ??= this.#driver.close().then(() => this.#closed(this))
    return this.#closing
  }

  #ask<T>(event: (token: Waiter<T>) => RaftEvent): Promise<T> {
    if (this.failure !== null) return Promise.reject(this.failure)
    const waiter = new Waiter<T>()
    this.#driver.step(event(waiter))
    return waiter.promise
  }

  #askAsOthers(request: RaftRequest): Promise<void> {
    if (this.failure !== null) return Promise.reject(this.failure)
    const replyTo = new LocalRequest()
    this.#driver.step({ type: `${request.type}Request`, replyTo, request } as RaftEvent)
    return replyTo.promise
  }
}

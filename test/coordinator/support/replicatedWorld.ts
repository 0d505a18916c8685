import { GroupCoordinator } from '../../../src/coordinator/groupCoordinator.ts'
import { GroupOffsets, type ReignGroup } from '../../../src/coordinator/groupReign.ts'
import type {
  JoinGroupResponse,
  OffsetCommitResponse,
  OffsetFetchResponse,
  SyncGroupResponse,
} from '../../../src/coordinator/messages.ts'
import { decodeOffsetsRecord } from '../../../src/coordinator/recordFormat.ts'
import { EngineError } from '../../../src/model/errors.ts'
import { silentLogger } from '../../../src/model/logger.ts'
import { NotLeaderError } from '../../../src/replica/notLeader.ts'
import { nodeChecksum } from '../../../src/runtime/node/nodeChecksum.ts'
import type { Runtime } from '../../../src/runtime/runtime.ts'
import { BatchHeader, setBaseOffset } from '../../../src/segment/recordBatch.ts'
import { readRecords } from '../../../src/segment/records.ts'
import type { FakeClock } from './fakeClock.ts'
import { bytes, subscription } from './groupWorld.ts'

interface Waiting<T> {
  readonly resolve: (value: T) => void
  readonly reject: (error: EngineError) => void
}

interface Proposal extends Waiting<{ readonly lastOffset: number }> {
  readonly batches: readonly Uint8Array[]
  readonly leaderEpoch: number
}

/** What all replicas agree on, and who leads. */
export class FakePartition {
  epoch = 0
  /** Batches that no failover takes, with their offsets. */
  readonly committed: Uint8Array[] = []
  /** What the leader's log has beyond that from earlier epochs. */
  inherited: readonly Uint8Array[] = []
  leader: FakeReplica | null = null
  /** Whether the epoch has begun for good. */
  hasBegun = false
  /** Answers of committed appends that were not told yet. */
  readonly untold: (() => void)[] = []

  get endOffset(): number {
    const last = this.committed.at(-1)
    return last === undefined ? 0 : new BatchHeader(last, 0).lastOffset + 1
  }

  /** `to` leads in a new epoch; `kept` of the batches that the old leader had not committed are in its log. The old one does not know. */
  elect(to: FakeReplica, kept: number): void {
    const open = [...this.inherited, ...(this.leader?.proposals.flatMap(({ batches }) => batches) ?? [])]
    this.inherited = open.slice(0, kept)
    to.depose()
    this.epoch++
    this.leader = to
    this.hasBegun = false
    to.lead(this.epoch)
  }

  /** A majority has everything: the leader learns that it is committed. */
  commit(): void {
    if (this.leader === null) return
    this.hasBegun = true
    for (const batch of this.inherited) this.#put(batch)
    this.inherited = []
    for (const { batches, resolve } of this.leader.proposals.splice(0)) {
      for (const batch of batches) this.#put(batch)
      const lastOffset = this.endOffset - 1
      this.untold.push(() => resolve({ lastOffset }))
    }
    this.leader.answerReads()
  }

  /** Whoever waits for what was committed is told. */
  tell(): void {
    for (const tell of this.untold.splice(0)) tell()
  }

  #put(batch: Uint8Array): void {
    const copy = Uint8Array.from(batch)
    setBaseOffset(copy, this.endOffset)
    this.committed.push(copy)
  }

  /** The last value of each key, as `GROUP/TOPIC/PARTITION=OFFSET`, from what is committed. */
  offsets(): string[] {
    const values = new Map<string, number>()
    for (const batch of this.committed) {
      for (const { key, value } of readRecords(batch)) {
        const record = decodeOffsetsRecord(key!, value)
        if (record?.type !== 'offset') continue
        const name = `${record.groupId}/${record.topic}/${record.partition}`
        if (record.value === null) values.delete(name)
        else values.set(name, record.value.offset)
      }
    }
    return Array.from(values, ([name, offset]) => `${name}=${offset}`).sort()
  }
}

/** One node's replica, which believes that it leads until it is told otherwise. */
export class FakeReplica implements ReignGroup {
  state: ReignGroup['state'] = 'follower'
  leaderEpoch = 0
  readonly failure = null
  readonly log = { config: { maxMessageBytes: 1024 * 1024 }, logStartOffset: 0 }
  readonly proposals: Proposal[] = []
  /** Appends for which there is no room yet. */
  readonly waiting: Proposal[] = []
  hasRoom = true
  changed: () => void = () => {}
  #reads: Waiting<number>[] = []
  readonly #partition: FakePartition

  constructor(partition: FakePartition) {
    this.#partition = partition
  }

  get highWatermark(): number {
    return this.#partition.endOffset
  }

  lead(epoch: number): void {
    this.state = 'leader'
    this.leaderEpoch = epoch
    this.changed()
  }

  /** It learns that it does not lead any more. */
  depose(): void {
    if (this.state !== 'leader') return
    this.state = 'follower'
    if (this.#partition.leader === this) this.#partition.leader = null
    const lost = (): EngineError => new EngineError('notEnoughReplicasAfterAppend', 'the leader resigned')
    for (const { reject } of this.proposals.splice(0)) reject(lost())
    for (const { reject } of this.#reads.splice(0)) reject(new NotLeaderError(-1))
    this.changed()
  }

  append(
    records: Uint8Array,
    options: { readonly leaderEpoch: number },
  ): Promise<{ readonly lastOffset: number }> {
    const batches = batchesOf(Uint8Array.from(records))
    return new Promise((resolve, reject) => {
      const proposal = { batches, leaderEpoch: options.leaderEpoch, resolve, reject }
      if (this.hasRoom) this.#propose(proposal)
      else this.waiting.push(proposal)
    })
  }

  /** There is room for whoever waits. */
  giveRoom(): void {
    this.hasRoom = true
    for (const proposal of this.waiting.splice(0)) this.#propose(proposal)
  }

  #propose(proposal: Proposal): void {
    if (this.state !== 'leader' || this.leaderEpoch !== proposal.leaderEpoch) {
      proposal.reject(new NotLeaderError(-1))
    } else this.proposals.push(proposal)
  }

  readIndex(): Promise<number> {
    if (this.state !== 'leader') return Promise.reject(new NotLeaderError(-1))
    if (this.#partition.leader === this && !this.#partition.hasBegun) {
      return Promise.reject(new EngineError('leaderNotAvailable', 'nothing of this epoch is committed yet'))
    }
    return new Promise((resolve, reject) => this.#reads.push({ resolve, reject }))
  }

  /** A majority has confirmed that it leads. */
  answerReads(): void {
    for (const { resolve } of this.#reads.splice(0)) resolve(this.#partition.endOffset)
  }

  read(fromOffset: number, maxBytes: number): readonly Uint8Array[] | null {
    const found: Uint8Array[] = []
    let sizeBytes = 0
    for (const batch of this.#partition.committed) {
      if (new BatchHeader(batch, 0).lastOffset < fromOffset) continue
      if (found.length > 0 && sizeBytes + batch.length > maxBytes) break
      found.push(batch)
      sizeBytes += batch.length
    }
    return found.length === 0 ? null : found
  }
}

function batchesOf(records: Uint8Array): Uint8Array[] {
  const batches: Uint8Array[] = []
  for (let at = 0; at < records.length; ) {
    const { sizeBytes } = new BatchHeader(records, at)
    batches.push(records.subarray(at, at + sizeBytes))
    at += sizeBytes
  }
  return batches
}

/** A coordinator on one of the nodes, over its replica. */
export class CoordinatorNode {
  readonly #runtime: Runtime
  readonly #group: ReignGroup
  readonly #deleteBefore: (offset: number) => Promise<void>
  coordinator!: GroupCoordinator

  constructor(runtime: Runtime, group: ReignGroup, deleteBefore: (offset: number) => Promise<void>) {
    this.#runtime = runtime
    this.#group = group
    this.#deleteBefore = deleteBefore
    this.start()
  }

  /** A coordinator that knows nothing, as after a start of the process. */
  start(): void {
    this.coordinator = new GroupCoordinator(this.#runtime, {
      logger: silentLogger,
      config: { groupInitialRebalanceDelayMs: 0, offsetsLogBytes: 3_000, offsetsBatchBytes: 600 },
      offsets: new GroupOffsets(this.#runtime.clock, {
        partitionCount: () => 1,
        group: () => this.#group,
        deleteRecordsBefore: (_partition, offset) => this.#deleteBefore(offset),
      }),
    })
    void this.coordinator.start()
  }

  commit(
    offset: number,
    groupId: string,
    partition = 0,
    member: { readonly memberId: string; readonly generationId: number } = { memberId: '', generationId: -1 },
  ): Promise<OffsetCommitResponse> {
    const entry = {
      partitionIndex: partition,
      committedOffset: offset,
      committedLeaderEpoch: 0,
      committedMetadata: '',
    }
    const request = {
      groupId,
      generationIdOrMemberEpoch: member.generationId,
      memberId: member.memberId,
      groupInstanceId: null,
      retentionTimeMs: -1,
      topics: [{ name: 't', partitions: [entry] }],
    }
    return this.coordinator.commitOffsets(request, context(9))
  }

  async fetch(groupId: string): Promise<OffsetFetchResponse['groups'][number]> {
    const request = { groups: [{ groupId, topics: null }], requireStable: true }
    return (await this.coordinator.fetchOffsets(request)).groups[0]!
  }

  join(groupId: string, memberId: string): Promise<JoinGroupResponse> {
    const request = {
      groupId,
      sessionTimeoutMs: 10_000,
      rebalanceTimeoutMs: 20_000,
      memberId,
      groupInstanceId: null,
      protocolType: 'consumer',
      protocols: [{ name: 'range', metadata: subscription('t') }],
      reason: null,
    }
    return this.coordinator.joinGroup(request, context(3))
  }

  sync(
    groupId: string,
    memberId: string,
    generationId: number,
    assignments: Readonly<Record<string, string>> = {},
  ): Promise<SyncGroupResponse> {
    return this.coordinator.syncGroup({
      groupId,
      generationId,
      memberId,
      groupInstanceId: null,
      protocolType: null,
      protocolName: null,
      assignments: Object.entries(assignments).map(([id, text]) => ({
        memberId: id,
        assignment: bytes(text),
      })),
    })
  }

  async heartbeat(groupId: string, memberId: string, generationId: number): Promise<number> {
    return (await this.coordinator.heartbeat({ groupId, memberId, generationId, groupInstanceId: null }))
      .errorCode
  }
}

/** A coordinator over a replica of the test's own, with a clock that stands still. */
export class FakeNode extends CoordinatorNode {
  readonly replica: FakeReplica

  constructor(partition: FakePartition, clock: FakeClock, seed: number) {
    let random = seed
    const runtime = {
      clock,
      random: {
        fill: (target: Uint8Array) => {
          for (let at = 0; at < target.length; at++) {
            random = (Math.imul(random, 1_103_515_245) + 12_345) >>> 0
            target[at] = random >>> 16
          }
        },
        below: () => 0,
      },
      checksum: nodeChecksum,
      disk: undefined as never,
      network: undefined as never,
      compute: undefined as never,
    }
    const replica = new FakeReplica(partition)
    super(runtime, replica, async () => {})
    this.replica = replica
    replica.changed = () => this.coordinator.leadershipChanged(0)
  }
}

function context(apiVersion: number) {
  return { apiVersion, clientId: 'client', clientHost: '127.0.0.1' }
}

import type { Effect } from '../../../src/raft/effects.ts'
import type { RaftEvent } from '../../../src/raft/events.ts'
import type { Batch, FetchRequest, RaftRequest, RaftResponse } from '../../../src/raft/messages.ts'
import { initialQuorumState, type QuorumState } from '../../../src/raft/quorumState.ts'
import { defaultTimeouts, type RaftConfig } from '../../../src/raft/raftConfig.ts'
import type { RaftStart } from '../../../src/raft/raftReplica.ts'
import { type Voter, VoterSet } from '../../../src/raft/voterSet.ts'
import type { LogFact } from '../../../src/testing/checkFacts.ts'
import { Checks } from '../../../src/testing/checks.ts'

/** The one group of a hand-made history. */
export const group = 'events-0'

const voter = (id: number): Voter => ({
  id,
  directoryId: `directory-of-node--${id}`,
  endpoints: [],
  minVersion: 0,
  maxVersion: 1,
})

/** The set of voters with these ids. */
export const votersOf = (ids: readonly number[]): VoterSet => new VoterSet(ids.map(voter))

interface Replica {
  readonly id: number
  batches: Batch[]
  epochs: { epoch: number; startOffset: number; votersVersion: number }[]
  quorum: QuorumState
  sequence: number
  /** Exclusive end of what is flushed. */
  flushed: number
  highWatermark: number
}

/** Replicas that do what a test says, one step at a time, right or wrong; the checks see it. */
export class HandMade {
  readonly checks: Checks
  readonly replicas: ReadonlyMap<number, Replica>
  readonly relaxed: boolean
  readonly #voters: VoterSet
  #value = 1

  constructor(ids: readonly number[] = [1, 2, 3], relaxed = false) {
    this.relaxed = relaxed
    this.#voters = votersOf(ids)
    this.replicas = new Map(
      ids.map((id) => [
        id,
        {
          id,
          batches: [],
          epochs: [],
          quorum: initialQuorumState,
          sequence: 0,
          flushed: 0,
          highWatermark: 0,
        },
      ]),
    )
    this.checks = new Checks({ readLog: (node) => this.facts(node) })
    for (const id of ids) this.start(id)
  }

  /** What was broken; null when nothing was. */
  get broken(): string | null {
    return this.checks.violation?.id ?? null
  }

  replica(id: number): Replica {
    return this.replicas.get(id)!
  }

  end(id: number): number {
    return (this.replica(id).batches.at(-1)?.lastOffset ?? -1) + 1
  }

  facts(id: number): readonly LogFact[] {
    return this.replica(id).batches.map(({ baseOffset, lastOffset, leaderEpoch, records }) => ({
      baseOffset,
      lastOffset,
      epoch: leaderEpoch,
      hash: records as number,
    }))
  }

  start(id: number, change: Partial<RaftStart> = {}): void {
    const replica = this.replica(id)
    const config: RaftConfig = {
      clusterId: 'cluster',
      self: voter(id),
      endpoints: [],
      kind: 'partition',
      relaxed: this.relaxed,
      kraftVersion: 1,
      ...defaultTimeouts,
      autoJoin: false,
      bootstrapIds: [],
      confirmation: 'none',
    }
    replica.sequence = 0
    this.checks.observer(id).started(group, config, {
      quorum: replica.quorum,
      log: {
        logStartOffset: 0,
        logEndOffset: this.end(id),
        epochStarts: replica.epochs,
        snapshotId: null,
      },
      voters: [{ offset: -1, version: 0, voters: this.#voters }],
      highWatermark: 0,
      mayHaveForgotten: false,
      ...change,
    })
  }

  /** The node loses what it had not flushed, and is back. */
  crash(id: number, kept = this.replica(id).flushed): void {
    const replica = this.replica(id)
    this.checks.stopped(id, 'crash')
    replica.batches = replica.batches.filter(({ lastOffset }) => lastOffset < kept)
    replica.epochs = replica.epochs.filter(({ startOffset }) => startOffset <= this.end(id))
    replica.flushed = Math.min(replica.flushed, this.end(id))
    replica.highWatermark = 0
    this.start(id)
  }

  step(id: number, event: RaftEvent | null, ...effects: Effect[]): void {
    this.checks.observer(id).stepped(group, event, effects)
  }

  left(id: number, message: unknown, asked: unknown = null): void {
    this.checks.observer(id).left(group, message as RaftRequest | RaftResponse, asked as RaftRequest | null)
  }

  persist(id: number, change: Partial<QuorumState>): void {
    const replica = this.replica(id)
    replica.quorum = { ...replica.quorum, ...change }
    this.step(id, null, { type: 'persist', state: replica.quorum })
  }

  /** Node `id` asks for votes in `epoch` and gets those of `from`. */
  vote(id: number, epoch: number, from: readonly number[]): void {
    const asked = { type: 'vote', candidate: voter(id), replicaEpoch: epoch, preVote: false }
    this.persist(id, { leaderEpoch: epoch, voted: voter(id), leaderId: -1 })
    this.left(id, asked)
    for (const other of from) {
      this.persist(other, { leaderEpoch: epoch, voted: voter(id), leaderId: -1 })
      const answer = { type: 'vote', voteGranted: true, quarantined: false, leaderEpoch: epoch, leaderId: -1 }
      this.left(other, answer, asked)
    }
  }

  /** Node `id` begins to lead `epoch`, and tells of it. */
  lead(id: number, epoch: number): void {
    const replica = this.replica(id)
    this.persist(id, { leaderEpoch: epoch, leaderId: id })
    const start = { epoch, startOffset: this.end(id), votersVersion: 0 }
    this.step(
      id,
      null,
      { type: 'stateChanged', state: 'leader', leaderEpoch: epoch, leaderId: id },
      { type: 'markEpoch', sequence: ++replica.sequence, start },
    )
    replica.epochs = [...replica.epochs, start]
    this.left(id, { type: 'beginQuorumEpoch', leaderId: id, leaderEpoch: epoch })
  }

  elect(id: number, epoch: number, from: readonly number[]): void {
    this.vote(id, epoch, from)
    this.lead(id, epoch)
  }

  append(id: number, count = 1, records: unknown = this.#value++): Batch {
    const baseOffset = this.end(id)
    const { leaderEpoch } = this.replica(id).quorum
    const batch = { baseOffset, lastOffset: baseOffset + count - 1, leaderEpoch, control: [], records }
    this.write(id, batch)
    return batch
  }

  write(id: number, batch: Batch): void {
    const replica = this.replica(id)
    this.step(id, null, { type: 'append', sequence: ++replica.sequence, batch })
    replica.batches = [...replica.batches, batch]
  }

  /** Node `id` takes over whatever of the log of `from` it has not. */
  copy(id: number, from: number): void {
    const replica = this.replica(id)
    const leader = this.replica(from)
    const same = leader.batches.findIndex((batch, at) => replica.batches[at] !== batch)
    const end = same < 0 ? this.end(from) : leader.batches[same]!.baseOffset
    if (this.end(id) > end)
      this.truncate(id, end, leader.epochs.findLast((e) => e.startOffset <= end)?.epoch ?? 0)
    for (const start of leader.epochs) {
      if (replica.epochs.some(({ epoch }) => epoch === start.epoch)) continue
      for (const batch of leader.batches) {
        if (batch.baseOffset >= this.end(id) && batch.baseOffset < start.startOffset) this.write(id, batch)
      }
      this.step(id, null, { type: 'markEpoch', sequence: ++replica.sequence, start })
      replica.epochs = [...replica.epochs, start]
    }
    for (const batch of leader.batches) if (batch.baseOffset >= this.end(id)) this.write(id, batch)
  }

  truncate(id: number, endOffset: number, epoch: number): void {
    const replica = this.replica(id)
    const to = { endOffset, epoch, votersVersion: 0 }
    this.step(id, null, { type: 'truncate', sequence: ++replica.sequence, to })
    replica.batches = replica.batches.filter(({ lastOffset }) => lastOffset < endOffset)
    replica.epochs = replica.epochs.filter((start) => start.epoch <= epoch && start.startOffset <= endOffset)
    replica.flushed = Math.min(replica.flushed, endOffset)
  }

  flush(id: number): void {
    const replica = this.replica(id)
    this.step(id, { type: 'flushed', sequence: replica.sequence })
    replica.flushed = this.end(id)
  }

  /** Node `id` tells leader `to` what it has flushed. */
  claim(id: number, to: number, flushedOffset = this.replica(id).flushed): void {
    const epoch = this.replica(to).quorum.leaderEpoch
    const request = {
      replica: voter(id),
      currentLeaderEpoch: epoch,
      lastFetchedEpoch: epoch,
      fetchOffset: this.end(id),
      flushedOffset,
      quarantined: false,
    } as unknown as FetchRequest
    this.step(to, { type: 'fetchRequest', replyTo: null, request })
  }

  commit(id: number, offset: number): void {
    this.replica(id).highWatermark = offset
    this.step(id, null, { type: 'highWatermark', offset })
  }

  /** Node 1 leads epoch 1, has appended `count` batches, and all of them are committed everywhere. */
  settled(count: number): void {
    this.elect(1, 1, [2, 3])
    for (let at = 0; at < count; at++) this.append(1)
    for (const id of [2, 3]) {
      this.persist(id, { leaderEpoch: 1, leaderId: 1 })
      this.copy(id, 1)
      this.flush(id)
    }
    this.flush(1)
    this.claim(2, 1)
    this.claim(3, 1)
    for (const id of [1, 2, 3]) this.commit(id, count)
  }
}

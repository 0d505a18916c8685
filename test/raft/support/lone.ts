import { type Uuid, zeroUuid } from '../../../src/model/uuid.ts'
import type { Effect } from '../../../src/raft/effects.ts'
import type { EventOf, RaftEvent } from '../../../src/raft/events.ts'
import type {
  FetchRequest,
  FetchResponse,
  RaftRequest,
  RaftResponse,
  VoteRequest,
} from '../../../src/raft/messages.ts'
import { initialQuorumState } from '../../../src/raft/quorumState.ts'
import { defaultTimeouts, type RaftConfig } from '../../../src/raft/raftConfig.ts'
import { RaftNode } from '../../../src/raft/raftNode.ts'
import type { RaftStart } from '../../../src/raft/raftReplica.ts'
import type { ReplicaKey } from '../../../src/raft/replicaKey.ts'
import type { RaftState } from '../../../src/raft/states.ts'
import { type Voter, VoterSet } from '../../../src/raft/voterSet.ts'
import { Prng } from './prng.ts'

/** A readable directory id. */
export function directory(id: number): Uuid {
  return `directory${String(id).padStart(13, '0')}`
}

/** Replica `id` on its first disk. */
export function replica(id: number): ReplicaKey {
  return { id, directoryId: directory(id) }
}

/** The same as a voter. */
export function voter(id: number): Voter {
  return { ...replica(id), endpoints: [], minVersion: 0, maxVersion: 1 }
}

/** What to begin with, besides what every test has. */
export interface LoneOptions {
  readonly id?: number
  readonly voters?: readonly number[]
  readonly config?: Partial<RaftConfig>
  readonly start?: Partial<RaftStart>
}

/** One replica alone with the test: whatever it does is an effect, and everything it hears comes from the test. */
export class Lone {
  readonly core: RaftNode
  nowMs = 0
  /** All effects so far. */
  readonly effects: Effect[] = []

  constructor({ id = 1, voters = [1, 2, 3], config = {}, start = {} }: LoneOptions = {}) {
    this.core = new RaftNode(
      {
        clusterId: 'cluster',
        self: replica(id),
        endpoints: [],
        kind: 'metadata',
        relaxed: false,
        kraftVersion: 0,
        ...defaultTimeouts,
        autoJoin: false,
        bootstrapIds: [],
        confirmation: 'none',
        ...config,
      },
      new Prng(7),
      {
        quorum: initialQuorumState,
        log: { logStartOffset: 0, logEndOffset: 0, epochStarts: [], snapshotId: null },
        voters: [{ offset: -1, version: 0, voters: new VoterSet(voters.map(voter)) }],
        highWatermark: 0,
        mayHaveForgotten: false,
        ...start,
      },
    )
    this.effects.push(...this.core.start(this.nowMs))
  }

  step(event: RaftEvent): readonly Effect[] {
    const effects = this.core.step(event, this.nowMs)
    this.effects.push(...effects)
    return effects
  }

  /** Lets the next deadline pass. */
  timeOut(): readonly Effect[] {
    this.nowMs = Math.max(this.nowMs, this.core.deadlineMs)
    return this.step({ type: 'timerFired' })
  }

  /** Everything that was written so far becomes durable. */
  flush(): readonly Effect[] {
    const writes = this.effects.filter((effect) => 'sequence' in effect)
    return this.step({ type: 'flushed', sequence: writes.at(-1)?.sequence ?? 0 })
  }

  /** The latest request of a type that was sent to a node. */
  sent<T extends RaftRequest['type']>(
    type: T,
    to?: number,
  ): { readonly requestId: number; readonly request: Extract<RaftRequest, { type: T }> } {
    const found = this.effects.findLast(
      (effect) => effect.type === 'send' && effect.request.type === type && (to ?? effect.to) === effect.to,
    )
    if (found?.type !== 'send') throw new Error(`no ${type} was sent`)
    return { requestId: found.requestId, request: found.request as Extract<RaftRequest, { type: T }> }
  }

  /** Answers the latest request to a node. */
  answer<T extends RaftResponse['type']>(
    type: T,
    from: number,
    response: Omit<Extract<RaftResponse, { type: T }>, 'type'>,
  ): readonly Effect[] {
    const { requestId } = this.sent(type, from)
    return this.step({ type: `${type}Response`, from, requestId, response } as unknown as RaftEvent)
  }

  /** A voter grants what it was asked for last. */
  grant(from: number, quarantined = false): readonly Effect[] {
    return this.answer('vote', from, {
      error: 'none',
      leaderId: -1,
      leaderEpoch: this.core.leaderEpoch,
      voteGranted: true,
      quarantined,
      recorded: null,
    })
  }

  /** Elects this replica with the votes of another. */
  elect(by = 2): this {
    this.step({ type: 'connectionLost', id: this.core.leaderId })
    while (this.core.state !== 'prospective') this.timeOut()
    this.grant(by)
    this.grant(by)
    return this
  }

  /** A replica fetches from this leader. */
  fetch(from: ReplicaKey, change: Partial<FetchRequest> = {}): readonly Effect[] {
    return this.step({ type: 'fetchRequest', replyTo: from.id, request: this.fetchRequest(from, change) })
  }

  fetchRequest(from: ReplicaKey, change: Partial<FetchRequest> = {}): FetchRequest {
    const { endOffset, epoch, votersVersion } = this.core.logEnd
    const fetchOffset = change.fetchOffset ?? endOffset
    return {
      clusterId: 'cluster',
      replica: from,
      currentLeaderEpoch: this.core.leaderEpoch,
      fetchOffset,
      lastFetchedEpoch: epoch,
      highWatermark: -1,
      maxWaitMs: 100,
      flushedOffset: fetchOffset,
      flushedVotersVersion: votersVersion,
      votersVersion,
      claimOnly: false,
      damaged: false,
      quarantined: false,
      round: 0,
      incarnation: { ...from, incarnation: 1, startNonce: from.id, earlierNonces: [] },
      ...change,
    }
  }

  voteRequest(from: ReplicaKey, change: Partial<VoteRequest> = {}): EventOf<'voteRequest'> {
    return {
      type: 'voteRequest',
      replyTo: from.id,
      request: {
        clusterId: 'cluster',
        voter: { id: 1, directoryId: zeroUuid },
        replicaEpoch: this.core.leaderEpoch + 1,
        candidate: from,
        lastOffsetEpoch: this.core.logEnd.epoch,
        lastOffset: this.core.logEnd.endOffset,
        preVote: false,
        votersVersion: 0,
        incarnation: { ...from, incarnation: 1, startNonce: from.id, earlierNonces: [] },
        ...change,
      },
    }
  }

  /** Somebody leads an epoch. */
  follow(leaderId: number, leaderEpoch: number): this {
    const request = { clusterId: 'cluster', voter: { id: 1, directoryId: zeroUuid }, leaderId, leaderEpoch }
    this.step({ type: 'beginQuorumEpochRequest', replyTo: leaderId, request })
    return this
  }

  fetchResponse(change: Partial<FetchResponse> = {}): FetchResponse {
    return {
      error: 'none',
      leaderId: this.core.leaderId,
      leaderEpoch: this.core.leaderEpoch,
      highWatermark: -1,
      logStartOffset: 0,
      divergingEpoch: null,
      snapshotId: null,
      batches: [],
      epochStarts: [],
      voterSets: [],
      logEndOffset: 0,
      round: 0,
      rolledBack: false,
      recorded: null,
      ...change,
    }
  }

  /** Records of an epoch, one a batch, as a leader would send them. */
  batches(fromOffset: number, count: number, leaderEpoch: number): FetchResponse['batches'] {
    return Array.from({ length: count }, (_, i) => ({
      baseOffset: fromOffset + i,
      lastOffset: fromOffset + i,
      leaderEpoch,
      control: [],
      records: `${leaderEpoch}/${fromOffset + i}`,
    }))
  }
}

/** The answer among effects. */
export function answerIn(effects: readonly Effect[]): RaftResponse | null {
  const found = effects.findLast((effect) => effect.type === 'respond')
  return found?.type === 'respond' ? found.response : null
}

/** Replica 1 in each state, in epoch 2 or 3 and with a log of epoch 1 or 2. */
export const inState: Readonly<Record<RaftState, () => Lone>> = {
  unattached: () => {
    const lone = new Lone()
    lone.step(lone.voteRequest(replica(2), { replicaEpoch: 2, lastOffset: 0, preVote: true }))
    return lone
  },
  voted: () => {
    const lone = new Lone()
    lone.step(lone.voteRequest(replica(2), { replicaEpoch: 2 }))
    return lone
  },
  prospective: () => {
    const lone = inState.unattached()
    lone.timeOut()
    return lone
  },
  candidate: () => {
    const lone = inState.prospective()
    lone.grant(2)
    return lone
  },
  leader: () => {
    const lone = inState.candidate()
    lone.grant(2)
    lone.flush()
    lone.fetch(replica(2))
    return lone
  },
  follower: () => {
    const lone = new Lone().follow(2, 2)
    lone.answer('fetch', 2, lone.fetchResponse({ batches: lone.batches(0, 3, 1), highWatermark: 1 }))
    return lone
  },
  resigned: () => {
    const lone = inState.leader()
    while (lone.core.state === 'leader') lone.timeOut()
    return lone
  },
  observer: () => {
    const lone = new Lone({ voters: [2, 3, 4] }).follow(2, 2)
    lone.answer('fetch', 2, lone.fetchResponse({ batches: lone.batches(0, 3, 1), highWatermark: 1 }))
    return lone
  },
  stopped: () => {
    const lone = inState.follower()
    lone.step({ type: 'shutdown' })
    return lone
  },
}

import type { EngineErrorName } from '../model/errors.ts'
import type { EpochStart, LogPosition } from './epochHistory.ts'
import type { SnapshotId } from './logView.ts'
import type { Incarnation } from './quorumState.ts'
import type { ReplicaKey } from './replicaKey.ts'
import type { Voter } from './voterSet.ts'

/*
 * Kafka's KRaft messages as plain data, for one group each: what is alike for all groups of a request is the
 * driver's. Fields marked "private" travel in tagged fields of our own; Kafka ignores them.
 * Source: KIP-595, KIP-630, KIP-853, KIP-996.
 */

/** A control record that the core reads and writes. Source: KIP-595, KIP-853. */
export type ControlRecord =
  | {
      readonly type: 'leaderChange'
      readonly leaderId: number
      readonly voters: readonly ReplicaKey[]
      readonly grantingVoters: readonly ReplicaKey[]
    }
  | { readonly type: 'kraftVersion'; readonly version: number }
  | { readonly type: 'voters'; readonly voters: readonly Voter[] }

/** A batch of records. Only its header and control records mean anything to the core. */
export interface Batch {
  readonly baseOffset: number
  /** Inclusive. */
  readonly lastOffset: number
  readonly leaderEpoch: number
  /** The records of a control batch, one offset each; empty for data. */
  readonly control: readonly ControlRecord[]
  /** Opaque. */
  readonly records: unknown
}

/** A voter set without a record, as partitions have them. Private. */
export interface VotersMark {
  readonly offset: number
  readonly version: number
  readonly voters: readonly Voter[]
}

/** Vote, version 2. */
export interface VoteRequest {
  readonly clusterId: string | null
  /** Who is asked. */
  readonly voter: ReplicaKey
  readonly replicaEpoch: number
  readonly candidate: ReplicaKey
  readonly lastOffsetEpoch: number
  readonly lastOffset: number
  readonly preVote: boolean
  /** Private: the version of the candidate's last voter set. */
  readonly votersVersion: number
  /** Private. */
  readonly incarnation: Incarnation
}

/** What every answer says about leadership. */
export interface CurrentLeader {
  readonly error: EngineErrorName
  /** -1 when unknown. */
  readonly leaderId: number
  readonly leaderEpoch: number
}

/** Answer to Vote. */
export interface VoteResponse extends CurrentLeader {
  readonly voteGranted: boolean
  /** Private: the vote counts only if everybody votes alike. */
  readonly quarantined: boolean
  /** Private: the highest incarnation that the voter has seen of the candidate. */
  readonly recorded: Incarnation | null
}

/** BeginQuorumEpoch, version 1: the sender leads. */
export interface BeginQuorumEpochRequest {
  readonly clusterId: string | null
  readonly voter: ReplicaKey
  readonly leaderId: number
  readonly leaderEpoch: number
}

/** EndQuorumEpoch, version 1: the sender leads no longer. */
export interface EndQuorumEpochRequest {
  readonly clusterId: string | null
  readonly leaderId: number
  readonly leaderEpoch: number
  /** Best first. */
  readonly preferredCandidates: readonly ReplicaKey[]
}

/** Fetch, version 17 or later, by a replica. */
export interface FetchRequest {
  readonly clusterId: string | null
  readonly replica: ReplicaKey
  readonly currentLeaderEpoch: number
  readonly fetchOffset: number
  readonly lastFetchedEpoch: number
  /** What the replica knows; -1 for nothing. */
  readonly highWatermark: number
  readonly maxWaitMs: number
  /** Private: exclusive end of what is durable, -1 while the start of this epoch is not. */
  readonly flushedOffset: number
  /** Private: the last voter set that is durable. */
  readonly flushedVotersVersion: number
  /** Private: the last voter set there is. */
  readonly votersVersion: number
  /** Private: this only reports a claim and wants no records. */
  readonly claimOnly: boolean
  /** Private: some of what it holds cannot be read: it is not to lead. */
  readonly damaged: boolean
  /** Private. */
  readonly quarantined: boolean
  /** Private: the latest round of the leader that the replica has seen; see `FetchResponse.round`. */
  readonly round: number
  /** Private. */
  readonly incarnation: Incarnation
}

/** Answer to a replica's Fetch. The driver reads `batches` from the log for the effect that carries it. */
export interface FetchResponse extends CurrentLeader {
  /** -1 until a record of this epoch is committed. */
  readonly highWatermark: number
  readonly logStartOffset: number
  readonly divergingEpoch: LogPosition | null
  readonly snapshotId: SnapshotId | null
  readonly batches: readonly Batch[]
  /** Private: epochs that the replica does not have, and where they begin. Empty in the metadata log. */
  readonly epochStarts: readonly EpochStart[]
  /** Private: voter sets that the replica does not have. Empty in the metadata log. */
  readonly voterSets: readonly VotersMark[]
  /** Private: the end of the leader's log, which ends a quarantine once it is reached. */
  readonly logEndOffset: number
  /** Private: a number that the next Fetch brings back, by which the leader knows that it still was one. */
  readonly round: number
  /** Private: the replica claimed more before. */
  readonly rolledBack: boolean
  /** Private: the highest incarnation that the leader has seen of the replica. */
  readonly recorded: Incarnation | null
}

/** FetchSnapshot, version 1. */
export interface FetchSnapshotRequest {
  readonly clusterId: string | null
  readonly replica: ReplicaKey
  readonly currentLeaderEpoch: number
  readonly snapshotId: SnapshotId
  readonly position: number
}

/** Answer to FetchSnapshot. The driver fills in what it reads from the file. */
export interface FetchSnapshotResponse extends CurrentLeader {
  readonly snapshotId: SnapshotId
  /** Bytes of the whole snapshot. */
  readonly size: number
  readonly position: number
  readonly bytes: Uint8Array
}

/** AddRaftVoter, version 1. */
export interface AddVoterRequest {
  readonly clusterId: string | null
  readonly voter: Voter
  readonly timeoutMs: number
  readonly ackWhenCommitted: boolean
}

/** RemoveRaftVoter. */
export interface RemoveVoterRequest {
  readonly clusterId: string | null
  readonly voter: ReplicaKey
}

/** UpdateRaftVoter: a voter tells what has changed about it. */
export interface UpdateVoterRequest {
  readonly clusterId: string | null
  readonly currentLeaderEpoch: number
  readonly voter: Voter
}

/** A request that the core sends. */
export type RaftRequest =
  | ({ readonly type: 'vote' } & VoteRequest)
  | ({ readonly type: 'beginQuorumEpoch' } & BeginQuorumEpochRequest)
  | ({ readonly type: 'endQuorumEpoch' } & EndQuorumEpochRequest)
  | ({ readonly type: 'fetch' } & FetchRequest)
  | ({ readonly type: 'fetchSnapshot' } & FetchSnapshotRequest)
  | ({ readonly type: 'addVoter' } & AddVoterRequest)
  | ({ readonly type: 'removeVoter' } & RemoveVoterRequest)
  | ({ readonly type: 'updateVoter' } & UpdateVoterRequest)

/** An answer that the core gives. */
export type RaftResponse =
  | ({ readonly type: 'vote' } & VoteResponse)
  | ({ readonly type: 'beginQuorumEpoch' } & CurrentLeader)
  | ({ readonly type: 'endQuorumEpoch' } & CurrentLeader)
  | ({ readonly type: 'fetch' } & FetchResponse)
  | ({ readonly type: 'fetchSnapshot' } & FetchSnapshotResponse)
  | ({ readonly type: 'addVoter' } & CurrentLeader)
  | ({ readonly type: 'removeVoter' } & CurrentLeader)
  | ({ readonly type: 'updateVoter' } & CurrentLeader)

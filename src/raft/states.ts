import type { SnapshotId } from './logView.ts'
import type { FetchRequest } from './messages.ts'
import type { ReplicaKey } from './replicaKey.ts'
import type { Voter } from './voterSet.ts'

/** Names of the states, Kafka's, and `stopped` for a replica that was shut down or has lost its log. */
export const raftStates = [
  'unattached',
  'voted',
  'prospective',
  'candidate',
  'leader',
  'follower',
  'resigned',
  'observer',
  'stopped',
] as const

/** One of `raftStates`. */
export type RaftState = (typeof raftStates)[number]

/** Knows no leader. `unattached` may still vote in this epoch, `voted` has. */
export interface FreeData {
  readonly name: 'unattached' | 'voted'
  electionDeadlineMs: number
}

/** Collects votes: `prospective` asks whether it would win, `candidate` has moved to the next epoch. Source: KIP-996. */
export interface VotingData {
  readonly name: 'prospective' | 'candidate'
  electionDeadlineMs: number
  /** The leader that a prospective replica goes back to when it loses, -1 for none. */
  readonly leaderId: number
  /** Requests of this round. */
  readonly requests: Set<number>
  /** Voters by id. */
  readonly granted: Set<number>
  readonly quarantinedGranted: Set<number>
  readonly rejected: Set<number>
  /** An operator accepts losses. */
  unclean: boolean
}

/** A Fetch, or a FetchSnapshot, that has no answer yet. */
export interface FetchInFlight {
  readonly requestId: number
  readonly fetchOffset: number
  readonly lastFetchedEpoch: number
  readonly votersVersion: number
  readonly sentMs: number
}

/** What whoever fetches keeps: followers and observers. */
export interface FetchLoop {
  /** Who leads, -1 while an observer looks for somebody. */
  leaderId: number
  /** The one Fetch that waits for records. */
  fetch: FetchInFlight | null
  /** The one Fetch that reports a claim. */
  claim: FetchInFlight | null
  /** What the leader was told last. */
  claimedOffset: number
  claimedVersion: number
  /** When to send the next Fetch if none is under way. */
  retryAtMs: number
  /** The leader has answered a Fetch, so that pre-votes against it are refused. */
  hasFetched: boolean
  /** Where a quarantine ends; null until the leader has said. */
  catchUpOffset: number | null
  /** The latest round of the leader. */
  round: number
  snapshot: { readonly id: SnapshotId; position: number; isReceived: boolean } | null
  /** When to ask again for membership, or tell of a change. */
  nextJoinMs: number
  /** The next node of the list to ask for a leader. */
  nextBootstrap: number
}

/** Fetches from the leader of its epoch. */
export interface FollowerData extends FetchLoop {
  readonly name: 'follower'
  /** When the leader is taken for dead. */
  fetchDeadlineMs: number
}

/** Fetches without being a voter; without a leader it asks around. */
export interface ObserverData extends FetchLoop {
  readonly name: 'observer'
  /** When to stand for election, should it have to. */
  standAtMs: number
}

/** A Fetch that waits at the leader for something to bring. */
export interface ParkedFetch {
  readonly replyTo: unknown
  readonly deadlineMs: number
  readonly request: FetchRequest
}

/** What a leader knows of a replica that fetches. */
export interface Progress {
  readonly key: ReplicaKey
  /** Exclusive end of what it holds and has flushed, in this epoch; -1 for nothing. */
  claimOffset: number
  claimVersion: number
  /** Exclusive end of what it has fetched. */
  fetchOffset: number
  isQuarantined: boolean
  /** It says that some of what it holds cannot be read. */
  isDamaged: boolean
  /** It held more before it started anew. */
  rolledBack: boolean
  lastFetchMs: number
  /** The latest round that it brought back. */
  round: number
  parked: ParkedFetch | null
  /** The start that made the claim. */
  incarnation: number
  /** When BeginQuorumEpoch is due unless it fetches. */
  beginAtMs: number
}

/** A linearizable read that waits until a majority has shown that this replica still leads. */
export interface PendingRead {
  readonly token: unknown
  readonly round: number
  readonly offset: number
}

/** A voter change under way: first a new voter catches up, then the new set waits to be committed. */
export interface VoterChange {
  readonly replyTo: unknown
  readonly kind: 'addVoter' | 'removeVoter' | 'updateVoter' | 'upgrade'
  /** The voter to be added once its claim reaches `targetOffset`; null when the set is appended. */
  joining: { readonly voter: Voter; readonly targetOffset: number; readonly deadlineMs: number } | null
  readonly ackWhenCommitted: boolean
}

/** Leads its epoch. */
export interface LeaderData {
  readonly name: 'leader'
  readonly epochStartOffset: number
  readonly progress: Map<string, Progress>
  /** Something of this epoch is committed. */
  highWatermarkKnown: boolean
  committedVersion: number
  /** Grows with every batch of reads. */
  round: number
  reads: PendingRead[]
  change: VoterChange | null
  transfer: { readonly token: unknown; readonly to: ReplicaKey; readonly deadlineMs: number } | null
}

/** Led its epoch and does so no longer. */
export interface ResignedData {
  readonly name: 'resigned'
  electionDeadlineMs: number
}

/** Does nothing any more. */
export interface StoppedData {
  readonly name: 'stopped'
}

/** What a replica keeps in its state. */
export type StateData =
  | FreeData
  | VotingData
  | FollowerData
  | ObserverData
  | LeaderData
  | ResignedData
  | StoppedData

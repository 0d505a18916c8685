import type { Uuid } from '../model/uuid.ts'
import type { ReplicaKey } from './replicaKey.ts'

/**
 * Why a replica does not vote, lead or count. `forgotten`: it may have lost what it claimed, until it has caught up.
 * `rolledBack`: its disk is an earlier state of itself, and it may have forgotten votes too; it stays out until it is
 * rebuilt under a new directory id. Source: fault model, section 2.
 */
export type Quarantine = 'none' | 'forgotten' | 'rolledBack'

/** One start of a replica, as its peers remember it. */
export interface Incarnation {
  readonly id: number
  readonly directoryId: Uuid
  /** Grows by one with every start. */
  readonly incarnation: number
  /** Tells two starts apart that show one number, as after a roll-back. */
  readonly startNonce: number
  /** Those of the starts before, the latest first: a disk that went back has others. */
  readonly earlierNonces: readonly number[]
}

/**
 * What a replica must have written before it acts on it: Kafka's `quorum-state`, and what quarantine and
 * incarnations need. Source: KIP-595; fault model, section 2.
 */
export interface QuorumState {
  readonly leaderEpoch: number
  /** The leader of that epoch, -1 while unknown. */
  readonly leaderId: number
  /** Who got this replica's vote in that epoch. */
  readonly voted: ReplicaKey | null
  readonly quarantine: Quarantine
  /** How often this replica was started. */
  readonly incarnation: number
  /** The nonces of its latest starts, the latest first. */
  readonly startNonces: readonly number[]
  /** The highest incarnation seen of each peer. */
  readonly incarnations: readonly Incarnation[]
}

/** What a replica has that was never started. */
export const initialQuorumState: QuorumState = {
  leaderEpoch: 0,
  leaderId: -1,
  voted: null,
  quarantine: 'none',
  incarnation: 0,
  startNonces: [],
  incarnations: [],
}

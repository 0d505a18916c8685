import type { ReplicaKey } from './replicaKey.ts'
import type { Endpoint } from './voterSet.ts'

/** The part of a random source that the core needs: a whole number from 0 to `bound` - 1. */
export interface RaftRandom {
  below(bound: number): number
}

/** How a replica behaves. */
export interface RaftConfig {
  readonly clusterId: string | null
  readonly self: ReplicaKey
  /** Where this replica listens. */
  readonly endpoints: readonly Endpoint[]
  /**
   * `metadata`: epochs begin with a LeaderChange record, voter sets are VotersRecords. `partition`: both take no offset.
   * Source: design, section 6.
   */
  readonly kind: 'metadata' | 'partition'
  /** Whether a claim needs no flush. Only partitions may. */
  readonly relaxed: boolean
  /** Whether all voters together may forget what is committed, since the flush policy is a relaxed one. As `relaxed` by default. */
  readonly isRelaxed?: boolean
  /** 1 when voter sets are in the log, 0 when the set is static. Source: KIP-853. */
  readonly kraftVersion: 0 | 1
  readonly electionTimeoutMs: number
  readonly fetchTimeoutMs: number
  /** How long a leader may hold a Fetch that has nothing to bring. */
  readonly fetchMaxWaitMs: number
  /** How long a leader may keep it to itself that more is committed, for a replica that lacks nothing else; 0: not at all. */
  readonly highWatermarkLagMs: number
  /** After how long a request is taken for lost. */
  readonly requestTimeoutMs: number
  readonly retryBackoffMs: number
  /** Whether an observer asks to become a voter, and a changed voter tells of the change. */
  readonly autoJoin: boolean
  /** Nodes that an observer asks for the leader while it knows no voters. */
  readonly bootstrapIds: readonly number[]
  /** Whether the replica stands for the very first election before others do. False by default. */
  readonly standsFirst?: boolean
  /** Who has to record a start before the replica votes. */
  readonly confirmation: 'none' | 'peers' | 'controller'
}

/** Shorter than Kafka's: a new leader is there in half a second. */
export const defaultTimeouts = {
  electionTimeoutMs: 300,
  fetchTimeoutMs: 600,
  fetchMaxWaitMs: 200,
  highWatermarkLagMs: 0,
  requestTimeoutMs: 400,
  retryBackoffMs: 20,
} as const

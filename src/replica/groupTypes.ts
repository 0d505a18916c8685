import type { Logger } from '../model/logger.ts'
import type { Uuid } from '../model/uuid.ts'
import type { AlarmCode, Endpoint, RaftState, SnapshotId, Voter, VotersEntry } from '../raft.ts'
import type { BadRange } from '../segment/badRanges.ts'
import type { LogConfig } from '../segment/logConfig.ts'
import type { LogDirectory } from '../segment/logDirectory.ts'
import type { AppendResult } from '../segment/logTypes.ts'
import type { CacheProof } from './cacheProof.ts'
import type { GroupObserver } from './observer.ts'
import type { Transport, TransportHandler } from './transport.ts'

/** Which group a replica is of, and what it begins with if there is nothing of it on the disk. */
export interface GroupSpec {
  readonly topic: string
  readonly partition: number
  readonly topicId: Uuid
  /** `metadata`: epochs begin with a record; `partition`: no failover takes an offset. */
  readonly kind: 'metadata' | 'partition'
  readonly config: LogConfig
  /** The voters to begin with; null for a replica that is to find them out from `bootstrapIds`. */
  readonly voters: readonly Voter[] | null
  /**
   * What the starts of a replica of which nothing is on the disk count from; 0 by default. One that was here before, was taken
   * out and is to come back needs a number above all that it had: its former starts are still known to the others.
   */
  readonly startsAfter?: number
  /**
   * Whether the voters to begin with are part of the log, as its first set: then they are stored, and a replica that comes with
   * none learns them. Without it every start has to be given the same ones. False by default; only partitions may.
   */
  readonly storesVoters?: boolean
  /** 1 (the default): the voter set is in the log and may change. 0: it is static. Source: KIP-853. */
  readonly kraftVersion?: 0 | 1
  /** Nodes to ask for the leader while no voters are known. */
  readonly bootstrapIds?: readonly number[]
  /** Whether an observer asks to become a voter. False by default. */
  readonly autoJoin?: boolean
  /** Whether this replica stands for the very first election before others do. False by default. */
  readonly standsFirst?: boolean
  /** Who has to record a start before the replica votes; `peers` by default. */
  readonly confirmation?: 'none' | 'peers' | 'controller'
}

/** How long things take; `defaultTimeouts` where absent. Milliseconds. */
export interface HostTimeouts {
  /**
   * How long opening a replica that is damaged waits for what it lacks to be taken from others; after that it goes on in the
   * background. 2 s by default.
   */
  readonly mendingMs?: number
  readonly electionTimeoutMs?: number
  readonly fetchTimeoutMs?: number
  readonly requestTimeoutMs?: number
  readonly retryBackoffMs?: number
}

/** What a `ReplicaHost` is made from. */
export interface HostOptions {
  readonly nodeId: number
  readonly clusterId: string | null
  /** Where this node listens for others. */
  readonly endpoints: readonly Endpoint[]
  /** Open, and closed by its owner after the host. */
  readonly logs: LogDirectory
  /** What was found before `logs` were opened. Without it only a clean end says that a page cache is whole. */
  readonly cache?: CacheProof
  readonly transport: (handler: TransportHandler) => Transport
  readonly logger: Logger
  readonly timeouts?: HostTimeouts
  /** Bytes of appends of all groups that are not committed, or wait to be; further ones wait. 64 MiB by default. */
  readonly maxPendingBytes?: number
  /** Most bytes of one group in one answer to a Fetch; at least one batch goes. 1 MiB by default. */
  readonly maxFetchBytes?: number
  /** How long the disk has to fail to read a part of a file before that is taken for damage. 30 s by default. */
  readonly readPatienceMs?: number
  readonly observer?: GroupObserver
}

/** When an append is acknowledged: `all` once it is committed, `leader` once it is durable at the leader alone. */
export type Acks = 'all' | 'leader'

/** How records are appended to a group. */
export interface GroupAppendOptions {
  readonly acks: Acks
  /** Only in this epoch: rejects with `NotLeaderError` once the replica leads in another one. Any by default. */
  readonly leaderEpoch?: number
  /** Gives up while the append waits for room; once it is under way it is not called back. */
  readonly signal?: AbortSignal | undefined
}

/** Where the records of an append are. */
export interface GroupAck {
  readonly baseOffset: number
  /** Inclusive. */
  readonly lastOffset: number
  readonly leaderEpoch: number
  /** They had been there before: the producer sent them twice. */
  readonly duplicate: boolean
}

/** Where a batch lies that is not flushed yet, or, when the producer has sent it twice, where the first one does. */
export type PlacedBatch = Omit<AppendResult, 'survives'>

/** What the leader knows of another replica that follows it. */
export interface FollowerProgress {
  readonly id: number
  readonly directoryId: Uuid
  /** Exclusive end of what it holds as its flush policy promises, in this epoch; -1 for nothing yet. */
  readonly claimOffset: number
  /** Whether it counts: it has forgotten nothing. */
  readonly counts: boolean
  /** When it last showed that it lives and follows, monotonic milliseconds. */
  readonly contactMs: number
}

/** What is told of a group, in the order in which it happens. */
export interface GroupListener {
  /** Everything below `offset` is what the flush policy promises, on this replica. */
  flushed?(offset: number): void
  /** Everything below `offset` is committed. */
  highWatermark?(offset: number): void
  /** `leaderId` is -1 while nobody is known to lead. */
  leadership?(state: RaftState, leaderEpoch: number, leaderId: number): void
  /** Another voter set applies; it may not be committed yet. */
  voters?(entry: VotersEntry): void
  alarm?(alarm: GroupAlarm): void
  /** Stored records are not what was written; they are not read any more, and looked for on other nodes. */
  damaged?(range: BadRange): void
  /** Records that were damaged are as they were written again. */
  repaired?(range: RepairedRange): void
  /** The log was replaced by this snapshot, durably. */
  snapshotInstalled?(id: SnapshotId): void
  /** Another replica would be helped by a snapshot of what is applied here. */
  snapshotWanted?(): void
  /** A snapshot of this replica was damaged or missing, and is not any more. */
  snapshotReplaced?(): void
  /** The replica is out of use until the next start: its log has failed. */
  failed?(error: Error): void
  /** The replica had failed and takes part again. */
  revived?(): void
}

/** A part of a segment file that was written again. */
export interface RepairedRange {
  readonly file: string
  /** Bytes from the start of the file. */
  readonly position: number
  readonly bytes: number
  readonly baseOffset: number
  /** Exclusive. */
  readonly nextOffset: number
}

/** Something that whoever runs the node should hear of. */
export interface GroupAlarm {
  readonly code: AlarmCode
  /** The node that it is about. */
  readonly id: number
  readonly offset: number
  readonly detail: string
}

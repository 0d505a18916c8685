import type { EngineErrorName } from '../model/errors.ts'
import type { EpochStart, LogPosition } from './epochHistory.ts'
import type { SnapshotId } from './logView.ts'
import type { Batch, RaftRequest, RaftResponse, VotersMark } from './messages.ts'
import type { QuorumState } from './quorumState.ts'
import type { RaftState } from './states.ts'
import type { VotersEntry } from './voterHistory.ts'

/** Something that whoever runs the replica should hear of. */
export type AlarmCode =
  /** Two replicas say that they lead one epoch. */
  | 'twoLeaders'
  /** A replica claims less than it did, or starts with a number that was used. */
  | 'rolledBack'
  /** This replica is quarantined for good with reason, and a majority goes on without it: its disk is to begin anew. */
  | 'mustBeginAnew'
  /** Everybody who may have forgotten something has voted: records from `offset` on may be lost. */
  | 'possibleLoss'
  /** Committed records that this replica has from `offset` on are lost: those who vote had forgotten them, and go on without. */
  | 'recordsLost'
  /** What a node sent cannot be. */
  | 'malformed'

/**
 * What the driver has to do, in this order. Nothing that follows a `persist` leaves the node (`send`, `respond`,
 * `accepted`, `readReady`, `done`, `confirmVote`) before that state is durable; writes may be handed on at once, since the
 * journal keeps their order.
 * Writes carry a `sequence`; `flushed` events acknowledge them. `respond` reads the log in the same turn.
 */
export type Effect =
  | { readonly type: 'persist'; readonly state: QuorumState }
  /** Asks for `voteDurable`: the own vote in `epoch` is the only one that is needed. */
  | { readonly type: 'confirmVote'; readonly epoch: number }
  | { readonly type: 'append'; readonly sequence: number; readonly batch: Batch }
  /** Marks the start of an epoch, in a log whose epochs take no offset. */
  | { readonly type: 'markEpoch'; readonly sequence: number; readonly start: EpochStart }
  /** Stores a voter set, in a log whose voter sets take no offset. */
  | { readonly type: 'storeVoters'; readonly sequence: number; readonly mark: VotersMark }
  /** Drops records, epochs and voter sets after `to`. */
  | { readonly type: 'truncate'; readonly sequence: number; readonly to: LogPosition }
  /** Puts the received snapshot in the place of the whole log. */
  | { readonly type: 'installSnapshot'; readonly sequence: number; readonly snapshotId: SnapshotId }
  /** Stores a part of a snapshot; after the last one the driver checks it and tells. */
  | {
      readonly type: 'writeSnapshot'
      readonly snapshotId: SnapshotId
      readonly position: number
      readonly bytes: Uint8Array
      readonly isLast: boolean
    }
  | { readonly type: 'discardSnapshot'; readonly snapshotId: SnapshotId }
  /** Sends a request; the answer comes back with `requestId`. */
  | { readonly type: 'send'; readonly to: number; readonly requestId: number; readonly request: RaftRequest }
  | {
      readonly type: 'respond'
      readonly replyTo: unknown
      readonly response: RaftResponse
      readonly read: Read
    }
  /** Everything below `offset` is committed. Goes back only where committed records are lost, which an alarm has told. */
  | { readonly type: 'highWatermark'; readonly offset: number }
  | {
      readonly type: 'stateChanged'
      readonly state: RaftState
      readonly leaderEpoch: number
      readonly leaderId: number
    }
  /** Another voter set applies. */
  | { readonly type: 'votersChanged'; readonly entry: VotersEntry }
  /** The records of `append` have these offsets; they are not durable yet. */
  | {
      readonly type: 'accepted'
      readonly token: unknown
      readonly baseOffset: number
      readonly lastOffset: number
      readonly leaderEpoch: number
    }
  | {
      readonly type: 'refused'
      readonly token: unknown
      readonly error: EngineErrorName
      readonly leaderId: number
    }
  /** What was asked for by an operator is done. */
  | { readonly type: 'done'; readonly token: unknown }
  /** Everything below `offset`, once applied, holds all that was committed when `readIndex` was asked. */
  | { readonly type: 'readReady'; readonly token: unknown; readonly offset: number }
  | {
      readonly type: 'alarm'
      readonly code: AlarmCode
      readonly id: number
      readonly offset: number
      readonly detail: string
    }

/** What the driver adds to an answer: records from an offset on, or bytes of a snapshot. */
export type Read =
  | { readonly type: 'nothing' }
  | { readonly type: 'records'; readonly fromOffset: number; readonly toOffset: number }
  | { readonly type: 'snapshot'; readonly snapshotId: SnapshotId; readonly position: number }

/** Nothing to add. */
export const readNothing: Read = { type: 'nothing' }

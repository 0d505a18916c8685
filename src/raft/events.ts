import type { SnapshotId } from './logView.ts'
import type { RaftRequest, RaftResponse } from './messages.ts'
import type { Incarnation } from './quorumState.ts'
import type { Voter } from './voterSet.ts'

/** The events that are requests of other nodes: what they ask, and `replyTo`, which the answer's effect brings back. */
export type RequestEvent = {
  [R in RaftRequest as R['type']]: {
    readonly type: `${R['type']}Request`
    readonly replyTo: unknown
    readonly request: Omit<R, 'type'>
  }
}[RaftRequest['type']]

/** The events that are answers to what the core has sent: `from` is the node that was asked. */
export type ResponseEvent = {
  [R in RaftResponse as R['type']]: {
    readonly type: `${R['type']}Response`
    readonly from: number
    readonly requestId: number
    readonly response: Omit<R, 'type'>
  }
}[RaftResponse['type']]

/** Everything that can happen to a replica. */
export type RaftEvent =
  | RequestEvent
  | ResponseEvent
  /** `RaftNode.deadlineMs` has passed. Early or repeated ones do nothing. */
  | { readonly type: 'timerFired' }
  /** All writes up to `sequence` are durable. */
  | { readonly type: 'flushed'; readonly sequence: number }
  /** The own vote in `epoch` is durable, as `confirmVote` asked. */
  | { readonly type: 'voteDurable'; readonly epoch: number }
  /** The log can be neither read nor written any more. */
  | { readonly type: 'logFailed' }
  /** Records that the log should hold are known to be damaged, or have all been mended. */
  | { readonly type: 'damaged'; readonly isDamaged: boolean }
  /** A request got no answer: the connection broke, or it took too long. */
  | { readonly type: 'requestFailed'; readonly requestId: number }
  /** The connection to a node is gone; the replica does not wait for a timeout if that was its leader. */
  | { readonly type: 'connectionLost'; readonly id: number }
  /** The session between two nodes has shown that node `id` lives and has nothing new for this group. */
  | { readonly type: 'contact'; readonly id: number; readonly leaderEpoch: number }
  /** Somebody wants records appended. */
  | {
      readonly type: 'append'
      readonly token: unknown
      readonly recordCount: number
      readonly records: unknown
    }
  /** Somebody wants to read what is committed by now. */
  | { readonly type: 'readIndex'; readonly token: unknown }
  /** An operator moves leadership: to node `to`, or wherever it is best when -1. */
  | { readonly type: 'transferLeadership'; readonly token: unknown; readonly to: number }
  /** An operator has a static voter set written into the log. */
  | { readonly type: 'upgradeVersion'; readonly token: unknown }
  /** An operator accepts losses: quarantined votes count for this election. */
  | { readonly type: 'uncleanElection'; readonly token: unknown }
  /** A snapshot of what is committed is there; records below `logStartOffset` are gone. */
  | { readonly type: 'snapshotTaken'; readonly snapshotId: SnapshotId; readonly logStartOffset: number }
  /** A snapshot has arrived whole and verifies; `voters` is the set it holds. */
  | {
      readonly type: 'snapshotReceived'
      readonly snapshotId: SnapshotId
      readonly voters: readonly Voter[]
      readonly votersVersion: number
    }
  /** What arrived of a snapshot is damaged or could not be written. */
  | { readonly type: 'snapshotFailed'; readonly snapshotId: SnapshotId }
  /** The controller has recorded this start, or knows a later one. */
  | { readonly type: 'incarnationRecorded'; readonly recorded: Incarnation }
  /** Leave in order. */
  | { readonly type: 'shutdown' }

/** The name of an event. */
export type RaftEventType = RaftEvent['type']

/** The event of a name. */
export type EventOf<T extends RaftEventType> = Extract<RaftEvent, { readonly type: T }>

import type {
  DeletableGroupResult,
  JoinGroupResponse,
  JoinProtocol,
  LeaveGroupResponse,
  OffsetCommitResponse,
  OffsetDeleteResponse,
  SyncGroupResponse,
} from './messages.ts'
import type { CommittedOffset, GroupMetadata } from './offsetsRecords.ts'

/**
 * The states of a classic group. Source: Kafka's ClassicGroupState.
 * - `empty`: no members; offsets may be committed by anyone.
 * - `preparingRebalance`: waits for every member's JoinGroup.
 * - `completingRebalance`: the members have the new generation and wait for the leader's assignment.
 * - `stable`: every member has, or may fetch, its assignment.
 * - `dead`: deleted, or about to be.
 */
export const groupStates = ['empty', 'preparingRebalance', 'completingRebalance', 'stable', 'dead'] as const

/** One of `groupStates`. */
export type GroupState = (typeof groupStates)[number]

/** Names a waiting request; whoever carries out the effects knows which. `Response` is what it must be answered with. */
export interface Token<Response> {
  readonly id: number
  /** Never set: ties the token to its response in the types. */
  readonly response?: Response
}

/** A member of a group. */
export interface Member {
  readonly memberId: string
  readonly groupInstanceId: string | null
  readonly clientId: string
  readonly clientHost: string
  rebalanceTimeoutMs: number
  sessionTimeoutMs: number
  /** In the member's order of preference. */
  protocols: readonly JoinProtocol[]
  assignment: Uint8Array
  /** True until its first JoinGroup is answered: such a member cannot heartbeat yet. */
  isNew: boolean
  /** The JoinGroup that waits, or null. */
  joinToken: Token<JoinGroupResponse> | null
  /** The SyncGroup that waits, or null. */
  syncToken: Token<SyncGroupResponse> | null
  /** When the session ends, in monotonic milliseconds; Infinity while a waiting request keeps it alive. */
  sessionDeadlineMs: number
}

/** Something handed to the log whose outcome is awaited, and what follows from it. */
export type PendingWrite =
  | { readonly type: 'assignment'; readonly generationId: number; readonly value: GroupMetadata }
  | { readonly type: 'emptied'; readonly value: GroupMetadata; readonly leave: LeaveAnswer | null }
  | {
      readonly type: 'staticMember'
      readonly value: GroupMetadata
      readonly token: Token<JoinGroupResponse>
      readonly response: JoinGroupResponse
      readonly generationId: number
      readonly groupInstanceId: string
      /** What to go back to if the write fails. */
      readonly before: Member
    }
  | {
      readonly type: 'commit'
      readonly offsets: readonly OffsetChange[]
      readonly token: Token<OffsetCommitResponse>
      readonly response: OffsetCommitResponse
    }
  | {
      readonly type: 'deleteOffsets'
      readonly offsets: readonly OffsetChange[]
      readonly answer: DeleteAnswer | null
    }
  | { readonly type: 'deleteGroup'; readonly token: Token<DeletableGroupResult> | null }

/** An answer to LeaveGroup that waits until the group's emptiness is durable. */
export interface LeaveAnswer {
  readonly token: Token<LeaveGroupResponse>
  readonly response: LeaveGroupResponse
}

/** An answer to OffsetDelete that waits until the tombstones are durable. */
export interface DeleteAnswer {
  readonly token: Token<OffsetDeleteResponse>
  readonly response: OffsetDeleteResponse
}

/** A committed offset that is set, or removed (null). */
export interface OffsetChange {
  readonly topic: string
  readonly partition: number
  readonly value: CommittedOffset | null
}

/** The first rebalance of an empty group: it ends only when no member has come for one delay, or the time is up. */
export interface InitialRebalance {
  readonly delayMs: number
  /** How much longer it may be extended. */
  readonly remainingMs: number
}

/** All that is known of one group. Only the functions of this directory change it. */
export interface GroupData {
  readonly groupId: string
  state: GroupState
  /** Wall clock of the last change of `state`, or -1 (unknown, from an old record). */
  stateTimestampMs: number
  generationId: number
  protocolType: string | null
  protocolName: string | null
  leaderId: string | null
  /** By member id, in the order of joining. */
  readonly members: Map<string, Member>
  /** groupInstanceId -> memberId. */
  readonly staticMembers: Map<string, string>
  /** Member ids given out with error 79 -> monotonic deadline to come back. */
  readonly pendingMembers: Map<string, number>
  /** Members whose SyncGroup of this generation has not come. */
  readonly pendingSyncs: Set<string>
  /** Protocol name -> how many members speak it. */
  readonly protocolCounts: Map<string, number>
  initialRebalance: InitialRebalance | null
  /** A member joined since the initial rebalance was last extended. */
  newMemberAdded: boolean
  /** Monotonic; Infinity when there is none. */
  joinDeadlineMs: number
  syncDeadlineMs: number
  /** Topics all members together subscribe to; null when that cannot be known. */
  subscribedTopics: ReadonlySet<string> | null
  /** What is durable: topic -> partition -> offset. */
  readonly offsets: Map<string, Map<number, CommittedOffset>>
  /** The group record that is durable, or null. */
  durable: GroupMetadata | null
  /** By write id, in the order handed to the log. */
  readonly writes: Map<number, PendingWrite>
  nextWriteId: number
}

/** A group that nobody has joined. */
export function newGroupData(groupId: string, wallMs: number): GroupData {
  return {
    groupId,
    state: 'empty',
    stateTimestampMs: wallMs,
    generationId: 0,
    protocolType: null,
    protocolName: null,
    leaderId: null,
    members: new Map(),
    staticMembers: new Map(),
    pendingMembers: new Map(),
    pendingSyncs: new Set(),
    protocolCounts: new Map(),
    initialRebalance: null,
    newMemberAdded: false,
    joinDeadlineMs: Infinity,
    syncDeadlineMs: Infinity,
    subscribedTopics: null,
    offsets: new Map(),
    durable: null,
    writes: new Map(),
    nextWriteId: 1,
  }
}

/** Whether every member's JoinGroup waits and nobody who was given a member id is still to come. */
export function hasAllMembersJoined(group: GroupData): boolean {
  if (group.pendingMembers.size > 0) return false
  for (const member of group.members.values()) if (member.joinToken === null) return false
  return true
}

/** The number of members whose JoinGroup waits. */
export function countAwaitingJoin(group: GroupData): number {
  let count = 0
  for (const member of group.members.values()) if (member.joinToken !== null) count++
  return count
}

/** The longest rebalance timeout of the members, in milliseconds; 0 without members. */
export function groupRebalanceTimeoutMs(group: GroupData): number {
  let longest = 0
  for (const member of group.members.values()) longest = Math.max(longest, member.rebalanceTimeoutMs)
  return longest
}

/** The committed offset that is durable, or null. */
export function committedOffset(group: GroupData, topic: string, partition: number): CommittedOffset | null {
  return group.offsets.get(topic)?.get(partition) ?? null
}

import type { EngineErrorName } from '../model/errors.ts'
import type { GroupData, Token } from './groupData.ts'
import type {
  DeletableGroupResult,
  HeartbeatRequest,
  HeartbeatResponse,
  JoinGroupRequest,
  JoinGroupResponse,
  LeaveGroupRequest,
  LeaveGroupResponse,
  OffsetCommitRequest,
  OffsetCommitResponse,
  OffsetDeleteRequest,
  OffsetDeleteResponse,
  SyncGroupRequest,
  SyncGroupResponse,
} from './messages.ts'
import type { Turn } from './turn.ts'

/** A member wants in. */
export interface JoinEvent {
  readonly type: 'join'
  readonly token: Token<JoinGroupResponse>
  readonly request: JoinGroupRequest
  readonly clientId: string
  readonly clientHost: string
  /** The id it gets if it comes without one. */
  readonly newMemberId: string
  /** JoinGroup 4+: a dynamic member must come back with its id before it counts (KIP-394). */
  readonly requireKnownMemberId: boolean
  /** JoinGroup 9+: a static leader that is replaced may be told to keep the assignment (KIP-814). */
  readonly supportsSkippingAssignment: boolean
}

/** Everything that can happen to a group. Byte fields of requests are copied where they are kept. */
export type GroupEvent =
  | JoinEvent
  | {
      readonly type: 'sync'
      readonly token: Token<SyncGroupResponse>
      readonly request: SyncGroupRequest
    }
  | {
      readonly type: 'heartbeat'
      readonly token: Token<HeartbeatResponse>
      readonly request: HeartbeatRequest
    }
  | {
      readonly type: 'leave'
      readonly token: Token<LeaveGroupResponse>
      readonly request: LeaveGroupRequest
    }
  | {
      readonly type: 'commitOffsets'
      readonly token: Token<OffsetCommitResponse>
      readonly request: OffsetCommitRequest
    }
  | {
      readonly type: 'deleteOffsets'
      readonly token: Token<OffsetDeleteResponse>
      readonly request: OffsetDeleteRequest
    }
  | { readonly type: 'deleteGroup'; readonly token: Token<DeletableGroupResult> }
  /** Time has passed: some deadlines may be due. */
  | { readonly type: 'timeout' }
  /** Topics are gone, and with them what was committed for them. */
  | { readonly type: 'topicsDeleted'; readonly topics: ReadonlySet<string> }
  /** The periodic look for offsets whose retention has passed, and for groups that nothing is left of. */
  | { readonly type: 'expireOffsets' }
  /** The group was rebuilt from its log: sessions start anew. */
  | { readonly type: 'loaded' }
  /** What a `persist` effect asked for is durable. Comes in the order of the effects. */
  | { readonly type: 'persisted'; readonly writeId: number }
  | { readonly type: 'persistFailed'; readonly writeId: number; readonly code: EngineErrorName }
  /** The coordinator stops: whoever waits is sent away; what was handed to the log still ends. */
  | { readonly type: 'closed' }
  /** Another node leads: whoever waits for anything is sent away, and the group is thrown away after this. */
  | { readonly type: 'unloaded' }

/** The event of that type. */
export type EventOf<Type extends GroupEvent['type']> = Extract<GroupEvent, { readonly type: Type }>

/** What a state does with each event. */
export type StateHandlers = {
  readonly [Type in GroupEvent['type']]: (turn: Turn, group: GroupData, event: EventOf<Type>) => void
}

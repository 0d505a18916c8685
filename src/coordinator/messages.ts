/**
 * Requests and responses of the group APIs in the shape of their newest version. Byte fields of a request may
 * be views into memory that is used again: what is kept is copied. Field names are Kafka's.
 */

/** What the broker knows of a request beside its body. */
export interface RequestContext {
  readonly apiVersion: number
  readonly clientId: string
  /** The client's address without port, as `127.0.0.1`. */
  readonly clientHost: string
}

/** One assignment protocol a member can speak, with what it says in it (opaque to the broker). */
export interface JoinProtocol {
  readonly name: string
  readonly metadata: Uint8Array
}

/** Enters a group, or its next generation. */
export interface JoinGroupRequest {
  readonly groupId: string
  readonly sessionTimeoutMs: number
  /** -1 in version 0: the session timeout counts. */
  readonly rebalanceTimeoutMs: number
  readonly memberId: string
  readonly groupInstanceId: string | null
  readonly protocolType: string
  readonly protocols: readonly JoinProtocol[]
  readonly reason: string | null
}

/** A member as the leader is told of it. */
export interface JoinGroupResponseMember {
  readonly memberId: string
  readonly groupInstanceId: string | null
  readonly metadata: Uint8Array
}

/** The generation and protocol that were chosen; the leader alone gets the members. */
export interface JoinGroupResponse {
  readonly throttleTimeMs: number
  readonly errorCode: number
  readonly generationId: number
  readonly protocolType: string | null
  readonly protocolName: string | null
  readonly leader: string
  readonly skipAssignment: boolean
  readonly memberId: string
  readonly members: readonly JoinGroupResponseMember[]
}

/** Asks for the own assignment; the leader brings those of all. */
export interface SyncGroupRequest {
  readonly groupId: string
  readonly generationId: number
  readonly memberId: string
  readonly groupInstanceId: string | null
  readonly protocolType: string | null
  readonly protocolName: string | null
  readonly assignments: readonly { readonly memberId: string; readonly assignment: Uint8Array }[]
}

/** The assignment of the member that asked. */
export interface SyncGroupResponse {
  readonly throttleTimeMs: number
  readonly errorCode: number
  readonly protocolType: string | null
  readonly protocolName: string | null
  readonly assignment: Uint8Array
}

/** Keeps a session alive. */
export interface HeartbeatRequest {
  readonly groupId: string
  readonly generationId: number
  readonly memberId: string
  readonly groupInstanceId: string | null
}

/** Whether the member and its generation are still good. */
export interface HeartbeatResponse {
  readonly throttleTimeMs: number
  readonly errorCode: number
}

/** A member that leaves: by id, or a static one by its instance id alone (member id empty). */
export interface LeavingMember {
  readonly memberId: string
  readonly groupInstanceId: string | null
  readonly reason: string | null
}

/** Takes members out of a group. */
export interface LeaveGroupRequest {
  readonly groupId: string
  readonly members: readonly LeavingMember[]
}

/** Whether each member has left. */
export interface LeaveGroupResponse {
  readonly throttleTimeMs: number
  readonly errorCode: number
  readonly members: readonly {
    readonly memberId: string
    readonly groupInstanceId: string | null
    readonly errorCode: number
  }[]
}

/** Stores how far a group has read. */
export interface OffsetCommitRequest {
  readonly groupId: string
  readonly generationIdOrMemberEpoch: number
  readonly memberId: string
  readonly groupInstanceId: string | null
  /** -1: the broker's retention counts. */
  readonly retentionTimeMs: number
  readonly topics: readonly {
    readonly name: string
    readonly partitions: readonly {
      readonly partitionIndex: number
      readonly committedOffset: number
      readonly committedLeaderEpoch: number
      readonly committedMetadata: string | null
    }[]
  }[]
}

/** Whether each offset was stored. */
export interface OffsetCommitResponse {
  readonly throttleTimeMs: number
  readonly topics: readonly {
    readonly name: string
    readonly partitions: readonly { readonly partitionIndex: number; readonly errorCode: number }[]
  }[]
}

/** The offsets of one group that are asked for. */
export interface OffsetFetchRequestGroup {
  readonly groupId: string
  /** Null: every topic that has an offset. */
  readonly topics: readonly { readonly name: string; readonly partitionIndexes: readonly number[] }[] | null
}

/** Asks how far groups have read. */
export interface OffsetFetchRequest {
  readonly groups: readonly OffsetFetchRequestGroup[]
  readonly requireStable: boolean
}

/** How far one group has read; -1 where nothing was committed. */
export interface OffsetFetchResponseGroup {
  readonly groupId: string
  readonly topics: readonly {
    readonly name: string
    readonly partitions: readonly {
      readonly partitionIndex: number
      readonly committedOffset: number
      readonly committedLeaderEpoch: number
      readonly metadata: string | null
      readonly errorCode: number
    }[]
  }[]
  readonly errorCode: number
}

/** How far each group has read. */
export interface OffsetFetchResponse {
  readonly throttleTimeMs: number
  readonly groups: readonly OffsetFetchResponseGroup[]
}

/** Asks for groups; an empty filter lets all of them through. */
export interface ListGroupsRequest {
  readonly statesFilter: readonly string[]
  readonly typesFilter: readonly string[]
}

/** The groups that the filters let through. */
export interface ListGroupsResponse {
  readonly throttleTimeMs: number
  readonly errorCode: number
  readonly groups: readonly {
    readonly groupId: string
    readonly protocolType: string
    readonly groupState: string
    readonly groupType: string
  }[]
}

/** Asks for the state and members of groups. */
export interface DescribeGroupsRequest {
  readonly groups: readonly string[]
}

/** State and members of one group. */
export interface DescribedGroup {
  readonly errorCode: number
  readonly errorMessage: string | null
  readonly groupId: string
  readonly groupState: string
  readonly protocolType: string
  readonly protocolData: string
  readonly members: readonly {
    readonly memberId: string
    readonly groupInstanceId: string | null
    readonly clientId: string
    readonly clientHost: string
    readonly memberMetadata: Uint8Array
    readonly memberAssignment: Uint8Array
  }[]
  readonly authorizedOperations: number
}

/** State and members of each group. */
export interface DescribeGroupsResponse {
  readonly throttleTimeMs: number
  readonly groups: readonly DescribedGroup[]
}

/** Deletes groups without members. */
export interface DeleteGroupsRequest {
  readonly groupsNames: readonly string[]
}

/** Whether one group was deleted. */
export interface DeletableGroupResult {
  readonly groupId: string
  readonly errorCode: number
  readonly errorMessage: string | null
}

/** Whether each group was deleted. */
export interface DeleteGroupsResponse {
  readonly throttleTimeMs: number
  readonly results: readonly DeletableGroupResult[]
}

/** Deletes committed offsets. */
export interface OffsetDeleteRequest {
  readonly groupId: string
  readonly topics: readonly {
    readonly name: string
    readonly partitions: readonly { readonly partitionIndex: number }[]
  }[]
}

/** Whether each offset may go; deleting what is not there is no error. */
export interface OffsetDeleteResponse {
  readonly errorCode: number
  readonly throttleTimeMs: number
  readonly topics: readonly {
    readonly name: string
    readonly partitions: readonly { readonly partitionIndex: number; readonly errorCode: number }[]
  }[]
}

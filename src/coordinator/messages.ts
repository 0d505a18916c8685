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

export interface JoinGroupResponseMember {
  readonly memberId: string
  readonly groupInstanceId: string | null
  readonly metadata: Uint8Array
}

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

export interface SyncGroupRequest {
  readonly groupId: string
  readonly generationId: number
  readonly memberId: string
  readonly groupInstanceId: string | null
  readonly protocolType: string | null
  readonly protocolName: string | null
  readonly assignments: readonly { readonly memberId: string; readonly assignment: Uint8Array }[]
}

export interface SyncGroupResponse {
  readonly throttleTimeMs: number
  readonly errorCode: number
  readonly protocolType: string | null
  readonly protocolName: string | null
  readonly assignment: Uint8Array
}

export interface HeartbeatRequest {
  readonly groupId: string
  readonly generationId: number
  readonly memberId: string
  readonly groupInstanceId: string | null
}

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

export interface LeaveGroupRequest {
  readonly groupId: string
  readonly members: readonly LeavingMember[]
}

export interface LeaveGroupResponse {
  readonly throttleTimeMs: number
  readonly errorCode: number
  readonly members: readonly {
    readonly memberId: string
    readonly groupInstanceId: string | null
    readonly errorCode: number
  }[]
}

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

export interface OffsetCommitResponse {
  readonly throttleTimeMs: number
  readonly topics: readonly {
    readonly name: string
    readonly partitions: readonly { readonly partitionIndex: number; readonly errorCode: number }[]
  }[]
}

export interface OffsetFetchRequestGroup {
  readonly groupId: string
  /** Null: every topic that has an offset. */
  readonly topics: readonly { readonly name: string; readonly partitionIndexes: readonly number[] }[] | null
}

export interface OffsetFetchRequest {
  readonly groups: readonly OffsetFetchRequestGroup[]
  readonly requireStable: boolean
}

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

export interface OffsetFetchResponse {
  readonly throttleTimeMs: number
  readonly groups: readonly OffsetFetchResponseGroup[]
}

export interface ListGroupsRequest {
  readonly statesFilter: readonly string[]
  readonly typesFilter: readonly string[]
}

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

export interface DescribeGroupsRequest {
  readonly groups: readonly string[]
}

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

export interface DescribeGroupsResponse {
  readonly throttleTimeMs: number
  readonly groups: readonly DescribedGroup[]
}

export interface DeleteGroupsRequest {
  readonly groupsNames: readonly string[]
}

export interface DeletableGroupResult {
  readonly groupId: string
  readonly errorCode: number
  readonly errorMessage: string | null
}

export interface DeleteGroupsResponse {
  readonly throttleTimeMs: number
  readonly results: readonly DeletableGroupResult[]
}

export interface OffsetDeleteRequest {
  readonly groupId: string
  readonly topics: readonly {
    readonly name: string
    readonly partitions: readonly { readonly partitionIndex: number }[]
  }[]
}

export interface OffsetDeleteResponse {
  readonly errorCode: number
  readonly throttleTimeMs: number
  readonly topics: readonly {
    readonly name: string
    readonly partitions: readonly { readonly partitionIndex: number; readonly errorCode: number }[]
  }[]
}

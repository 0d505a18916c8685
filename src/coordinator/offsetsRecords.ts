/** What a group has committed for one partition. Source: OffsetCommitValue. */
export interface CommittedOffset {
  readonly offset: number
  /** -1 when the client does not know it. */
  readonly leaderEpoch: number
  readonly metadata: string
  /** Wall clock, milliseconds. */
  readonly commitTimestampMs: number
  /** Wall clock after which it may go, or -1: the broker's retention counts. Set by OffsetCommit 2-4 only. */
  readonly expireTimestampMs: number
}

/** A member as it is stored. Source: GroupMetadataValue. */
export interface StoredMember {
  readonly memberId: string
  readonly groupInstanceId: string | null
  readonly clientId: string
  readonly clientHost: string
  readonly rebalanceTimeoutMs: number
  readonly sessionTimeoutMs: number
  /** The member's metadata of the selected protocol. */
  readonly subscription: Uint8Array
  readonly assignment: Uint8Array
}

/** A group as it is stored, once per generation. Source: GroupMetadataValue. */
export interface GroupMetadata {
  readonly protocolType: string
  readonly generation: number
  readonly protocol: string | null
  readonly leader: string | null
  /** Wall clock, milliseconds; -1 unknown. */
  readonly currentStateTimestampMs: number
  readonly members: readonly StoredMember[]
}

/** A record of `__consumer_offsets`; a null value is a tombstone. */
export type OffsetsRecord =
  | { readonly type: 'group'; readonly groupId: string; readonly value: GroupMetadata | null }
  | {
      readonly type: 'offset'
      readonly groupId: string
      readonly topic: string
      readonly partition: number
      readonly value: CommittedOffset | null
    }

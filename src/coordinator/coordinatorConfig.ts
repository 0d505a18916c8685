/** What may be set of the group coordinator. Names and defaults are those of Kafka's broker configs. */
export interface GroupCoordinatorConfig {
  /** `group.min.session.timeout.ms`. */
  readonly groupMinSessionTimeoutMs: number
  /** `group.max.session.timeout.ms`. */
  readonly groupMaxSessionTimeoutMs: number
  /** `group.initial.rebalance.delay.ms`: how long the first rebalance of an empty group waits for more members. */
  readonly groupInitialRebalanceDelayMs: number
  /** `group.max.size`, in members. */
  readonly groupMaxSize: number
  /** Member ids given out (error 79) that have not come back yet, per group; more are refused with 81. */
  readonly groupMaxPendingMembers: number
  /** How long a member that was never answered may hang in a rebalance; it is then expected to ask again. */
  readonly newMemberJoinTimeoutMs: number
  /** `offset.metadata.max.bytes`. */
  readonly offsetMetadataMaxBytes: number
  /** `offsets.commit.timeout.ms`: after this a request that waits for the disk alone is answered with 15. */
  readonly offsetCommitTimeoutMs: number
  /** `offsets.retention.minutes`, in milliseconds. */
  readonly offsetsRetentionMs: number
  /** `offsets.retention.check.interval.ms`. */
  readonly offsetsRetentionCheckIntervalMs: number
  /** An offsets log is rewritten once it is larger than this and larger than four times what is live in it. */
  readonly offsetsLogBytes: number
  /** The largest batch written to an offsets log, in bytes; a single larger record is refused. */
  readonly offsetsBatchBytes: number
}

/** Kafka's defaults, and cordwood's own where Kafka has none. */
export const defaultGroupCoordinatorConfig: GroupCoordinatorConfig = {
  groupMinSessionTimeoutMs: 6_000,
  groupMaxSessionTimeoutMs: 1_800_000,
  groupInitialRebalanceDelayMs: 3_000,
  groupMaxSize: 2_147_483_647,
  groupMaxPendingMembers: 10_000,
  newMemberJoinTimeoutMs: 300_000,
  offsetMetadataMaxBytes: 4_096,
  offsetCommitTimeoutMs: 5_000,
  offsetsRetentionMs: 7 * 24 * 3_600_000,
  offsetsRetentionCheckIntervalMs: 600_000,
  offsetsLogBytes: 64 * 1024 * 1024,
  offsetsBatchBytes: 1024 * 1024,
}

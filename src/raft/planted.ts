/**
 * Mistakes that the simulation of the core has to find, each behind a switch beside the rule that it breaks. A green
 * run proves little unless the same run turns red for every one of them.
 */
export const plantedRaftBugs = [
  /** A vote is answered before it is written. */
  'voteAnsweredBeforePersist',
  /** A replica whose own vote is enough leads before that vote is written. */
  'leadsBeforeOwnVote',
  /** A vote of this epoch does not keep the replica from voting for another candidate. */
  'voteTwice',
  /** A higher epoch is believed and not written. */
  'epochNotPersisted',
  /** A vote does not compare logs. */
  'voteForShorterLog',
  /** The same candidate gets its vote again although its log is shorter now. */
  'voteAgainUnchecked',
  /** Half of the voters are a majority. */
  'halfIsMajority',
  /** A reply of an earlier round of votes counts in this one. */
  'staleVoteCounts',
  /** A former leader comes back as one. */
  'leaderReturnsAsLeader',
  /** Records of an earlier epoch commit without one of the own epoch. */
  'commitOldEpoch',
  /** A follower claims what it has not flushed. */
  'claimUnflushed',
  /** The leader counts itself before its own flush. */
  'leaderCountsUnflushed',
  /** A flush counts for everything that was written by the time it ends. */
  'flushCountsLaterWrites',
  /** LastFetchedEpoch is not compared. */
  'skipLastFetchedEpoch',
  /** A follower that diverges cuts one record less than it must. */
  'truncateTooLittle',
  /** A follower that diverges cuts everything. */
  'truncateEverything',
  /** An epoch that starts where the last one did takes its place. */
  'epochStartsReplaced',
  /** A fetch response is applied whatever was asked. */
  'staleFetchApplied',
  /** A follower takes the leader's high watermark as it is. */
  'highWatermarkUncapped',
  /** A quarantined voter's vote counts like any other. */
  'quarantinedVotes',
  /** A quarantined voter's claims count. */
  'quarantinedCounts',
  /** Quarantine ends with the first fetch. */
  'quarantineEndsEarly',
  /** A fetch of anybody with a voter's id counts as that voter's. */
  'newDirectoryCounts',
  /** A replica on a new disk votes under its old name. */
  'newDirectoryVotes',
  /** A second voter change begins before the first one has committed. */
  'twoVoterChanges',
  /** A voter change begins before the epoch has committed anything. */
  'voterChangeBeforeCommit',
  /** A leader that is no voter any more counts itself. */
  'removedLeaderCounts',
  /** A linearizable read is answered without a round. */
  'readWithoutRound',
  /** A snapshot that arrives late is installed over a log that has gone on. */
  'lateSnapshotInstalled',
  /** A rolled-back disk is not noticed. */
  'rollbackUnnoticed',
] as const

/** One of `plantedRaftBugs`. */
export type PlantedRaftBug = (typeof plantedRaftBugs)[number]

let active: PlantedRaftBug | null = null

/** Whether the mistake is turned on: never, but in the runs that have to find it. */
export function planted(bug: PlantedRaftBug): boolean {
  return active === bug
}

/** Turns one mistake on, or all off with null. For simulations and tests alone. */
export function plant(bug: PlantedRaftBug | null): void {
  active = bug
}

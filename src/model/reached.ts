/**
 * Rare things that a simulation has to come through now and then. One that no run reaches says that the runs prove less
 * than they seem to. What can be seen from outside is marked by the checks, the rest where it happens.
 */
export const coverageMarks = [
  /** A follower cuts its log, since its leader has another one; over more than one epoch; down to its high watermark. */
  'truncation',
  'truncationOverEpochs',
  'truncationToHighWatermark',
  /** A leader tells a follower where their logs part. */
  'divergingEpoch',
  'snapshotTaken',
  'snapshotInstalled',
  'snapshotGivenUp',
  'quarantineBegan',
  'quarantineEnded',
  /** All voters of a group may have forgotten something, and the longest log leads. */
  'quarantinedElection',
  'preVoteRefused',
  'voteRefused',
  /** A candidate that asks again gets its vote again. */
  'voteAgain',
  'candidateResumed',
  'candidateGaveUp',
  'leaderCameBackResigned',
  'checkQuorumResigned',
  'leaderDeposed',
  'leadershipTransferred',
  'voterAdded',
  'voterRemoved',
  'leaderRemovedItself',
  'voterChangeRefused',
  'lateFetchIgnored',
  'rollbackNoticed',
  'readWaitedForRound',
  'logFailed',
  /** A replica comes back with less than it had, none of it durable. */
  'cameBackWithLess',
  /** A leader sends what it has not flushed itself; what a majority has without it is committed. */
  'servedUnflushed',
  'committedBeforeLeaderFlush',
  /** More was broken than the fault model allows: a group stands still, or has lost something. */
  'stoppedOverBudget',
  'lostOverBudget',
  /** A disk lied about its syncs, and the checks saw what that did. */
  'lieNoticed',
  /** At the end of a run a node whose disk was harmed serves all that is committed again; or says what it cannot serve. */
  'damageMended',
  'damageLeft',
  /** What a disk could not read was taken for damage; and was written again. */
  'unreadableNoted',
  'unreadableMended',
] as const

/** One of `coverageMarks`. */
export type CoverageMark = (typeof coverageMarks)[number]

let counts: Map<CoverageMark, number> | null = null

/** Counts that something rare has happened; does nothing unless somebody counts. */
export function reached(mark: CoverageMark): void {
  if (counts !== null) counts.set(mark, (counts.get(mark) ?? 0) + 1)
}

/** Begins to count into `into`, or ends with null. For simulations and tests alone. */
export function countReached(into: Map<CoverageMark, number> | null): void {
  counts = into
}

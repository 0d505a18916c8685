/**
 * Rare branches that a simulation has to come through now and then, each marked where it is. A mark that no run reaches
 * says that the runs prove less than they seem to.
 */
export const coverageMarks = [
  /** A follower cuts its log, since its leader's is another. */
  'truncation',
  /** A cut goes back over more than one epoch. */
  'truncationOverEpochs',
  /** A leader tells a follower where their logs part. */
  'divergingEpoch',
  'snapshotInstalled',
  'snapshotPartRefused',
  'snapshotGivenUp',
  'quarantineBegan',
  'quarantineEnded',
  /** All voters of a group may have forgotten something, and the longest log leads. */
  'quarantinedElection',
  'preVoteRefused',
  'preVoteLost',
  'voteRefused',
  'voteLost',
  'voteAgain',
  'candidateResumed',
  'checkQuorumResigned',
  'leaderCameBackResigned',
  'leadershipTransferred',
  'transferTimedOut',
  'voterAdded',
  'voterRemoved',
  'leaderRemovedItself',
  'voterChangeRefused',
  'staleFetchIgnored',
  'startRecorded',
  'rollbackNoticed',
  'emptyEpochCommitted',
  'readWaitedForRound',
  'logFailed',
] as const

/** One of `coverageMarks`. */
export type CoverageMark = (typeof coverageMarks)[number]

let reachedMarks: Map<CoverageMark, number> | null = null

/** Counts that a branch was taken; nothing at all unless somebody counts. */
export function reached(mark: CoverageMark): void {
  if (reachedMarks !== null) reachedMarks.set(mark, (reachedMarks.get(mark) ?? 0) + 1)
}

/** Begins to count into `marks`, or ends with null. For simulations and tests alone. */
export function countReached(marks: Map<CoverageMark, number> | null): void {
  reachedMarks = marks
}

/**
 * Mistakes that the crash explorer has to find, each behind a switch beside the rule that it breaks. A green run
 * proves little unless the same run turns red for every one of them.
 */
export const plantedBugs = [
  /** An append is acknowledged although nobody has asked for a sync. */
  'ackBeforeSync',
  /** An append is acknowledged although the name of its new file is not durable. */
  'ackBeforeName',
  /** A sync that failed is tried once more, and that one's success counts. */
  'retryFailedSync',
  /** What a failed sync left in the page cache is taken for stored at the next start. */
  'trustCacheAfterFailedSync',
  /** A rewritten segment takes its name before its bytes are synced. */
  'renameBeforeSync',
  /** A new log is reported as made before the name of its directory is durable. */
  'missingDirectorySync',
  /** A batch with a bad checksum below the recovery point ends the log there. */
  'cutAtBadChecksum',
  /** The recovery point is stored before the segments below it are synced. */
  'recoveryPointBeforeSync',
  /** A truncation is not in the journal before its bytes are overwritten. */
  'truncateNotJournaled',
  /** The producer snapshot at the end of a segment is written before the segment is synced. */
  'snapshotBeforeSegmentSync',
  /** An index is used although it does not fit its segment. */
  'trustDamagedIndex',
  /** Records are removed before the new start offset is durable. */
  'startOffsetNotStored',
  /** A file of the journal is used again before the segments that it covers are synced. */
  'recycleTooEarly',
  /** A frame of the journal claims that itself is durable. */
  'flushedSequenceTooHigh',
  /** Replay leaves out what the page cache seems to hold already. */
  'replayTrustsCache',
  /** Both copies of the node checkpoint are written at once. */
  'checkpointCopiesBothWritten',
  /** Frames of an earlier generation of a recycled journal file are replayed. */
  'staleGenerationReplayed',
  /** The first damaged frame ends the journal, even if a later one proves that it was durable. */
  'journalCutAtRot',
  /** What is appended under the journal policy is acknowledged once the frame is in the page cache. */
  'journalAckBeforeSync',
  /** A log that was deleted in the journal comes back. */
  'deletionNotJournaled',
  /** Raising a relaxed policy to a durable one does not wait for what came before. */
  'raisePolicyWithoutSync',
  /** What a clean shutdown noted of a segment's batches is taken for all of them, however it has grown since. */
  'grownSegmentAccused',
  /** A log is taken for one of its name that was set aside. */
  'strayKnownByName',
] as const

/** Mistakes of replication, which the simulation of whole clusters has to find. */
export const plantedReplicaBugs = [
  /** A snapshot gets its name before its bytes are synced. */
  'snapshotRenamedBeforeSync',
  /** Records are removed before the snapshot that has their place is durable. */
  'snapshotDeletesLogFirst',
  /** A snapshot that was being installed when the process died stays half installed. */
  'installNotFinished',
  /** Messages leave before the quorum state that they rest on is durable. */
  'sentBeforePersist',
  /** A write is told to be durable once the log has taken it. */
  'flushToldEarly',
  /** The start of an epoch is kept in memory alone. */
  'epochStartNotStored',
  /** A voter set is kept in memory alone. */
  'votersNotStored',
  /** A cut changes what the replica believes, and not its log. */
  'cutNotDone',
  /** Memory of records is given back after the first of several answers that have it. */
  'leaseGivenBackEarly',
  /** An append is acknowledged when the leader has taken it. */
  'ackBeforeCommit',
  /** Appends of a leader that lost its lead are acknowledged once others' records reach their offsets. */
  'ackAfterLeadershipLost',
  /** Consumers get what is not committed. */
  'readBeyondHighWatermark',
  /** A relaxed replica takes the page cache for whole whatever happened. */
  'forgettingForgotten',
  /** The page cache is taken for whole without a look at the mount and the start of the machine. */
  'mountNotCompared',
  /** At a start the whole log is taken for committed. */
  'logEndTakenForCommitted',
  /** A follower takes its leader for alive without having heard of it. */
  'contactInvented',
  /** An answer to an earlier question, of an earlier connection even, is taken for one to the last. */
  'lateAnswerTaken',
] as const

/** Mistakes that worlds of brokers have to find: in what brokers do with replicated logs. */
export const plantedBrokerBugs = [
  /** A produce request with acks=all is answered when the leader has stored the records. */
  'producedBeforeCommit',
  /** Consumers are shown what the leader has stored. */
  'uncommittedShown',
  /** A broker begins and removes replicas by an image from before its start. */
  'oldImageTrusted',
  /** A reassignment is over, and the old replicas removed, before the new ones vote. */
  'reassignedEarly',
  /** A topic that is made anew gets the id of the one that was deleted. */
  'topicIdReused',
  /** A commit of an offset is answered when the coordinator has stored it. */
  'offsetAckedEarly',
  /** A new coordinator loads what it knows to be committed, and not all that is. */
  'offsetsLoadedInPart',
  /** Whoever was a member in an earlier generation may commit. */
  'oldGenerationCommits',
  /** Members are told what they own before that is stored. */
  'assignmentToldEarly',
  /** A replica that could not be opened for lack of room or descriptors is not opened later. */
  'missingLeftOut',
  /** Of what a producer has under way a partition knows the last batch alone. */
  'lastBatchKnownAlone',
  /** A batch is taken whose predecessor is not there. */
  'gapTaken',
  /** What comes behind a batch that was refused is told of a gap, not to wait for it. */
  'refusedForgotten',
] as const

/** Any of the mistakes. */
export type PlantedBug =
  | (typeof plantedBugs)[number]
  | (typeof plantedReplicaBugs)[number]
  | (typeof plantedBrokerBugs)[number]

let active: PlantedBug | null = null

/** Whether the mistake is turned on: never, but in the runs that have to find it. */
export function planted(bug: PlantedBug): boolean {
  return active === bug
}

/** Turns one mistake on, or all off with null. For the crash explorer and tests alone. */
export function plant(bug: PlantedBug | null): void {
  active = bug
}

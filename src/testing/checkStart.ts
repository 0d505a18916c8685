import type { LogStart } from '../raft/logView.ts'
import type { RaftStart } from '../raft/raftReplica.ts'
import type { CommitChecks } from './checkCommits.ts'
import { check, isQuarantined, type LogFact } from './checkFacts.ts'
import { type Entries, type Entry, entryAt } from './checkLog.ts'
import type { CheckedReplica } from './checkReplica.ts'

/**
 * Compares what a replica starts with to what it held before: nothing that was durable is missing, nothing is there that
 * nobody appended, and what is taken for committed is. Takes the new state over. `facts` is null when the log cannot be
 * looked at beside the code; what was known is taken for it then.
 */
export function checkStart(
  replica: CheckedReplica,
  start: RaftStart,
  facts: readonly LogFact[] | null,
  entries: Entries,
  commits: CommitChecks,
  isNew: boolean,
): void {
  const { log } = start
  const { logStartOffset, logEndOffset } = log
  const before = lastOf(replica.entries) < lastOf(replica.lostEntries) ? replica.lostEntries : replica.entries
  const found = facts === null ? keptOf(before, log, commits) : recover(replica, facts, entries)
  // What damage has taken may be mended, and be there again when the replica takes part once more.
  replica.lostEntries = replica.hasRotted ? before : []
  const isTrusted = !isNew && !replica.isRolledBack && !replica.isDamaged
  check(
    facts === null || (found.at(-1)?.lastOffset ?? logStartOffset - 1) + 1 === logEndOffset,
    'I19',
    () =>
      `${replica.name} says that its log ends at ${logEndOffset}, the files at ${found.at(-1)?.lastOffset}`,
  )
  if (isTrusted) checkKept(replica, start, found)
  // A crash took records that a durable snapshot has: they were committed and applied before they were durable here.
  const isSnapshotAlone = logEndOffset === logStartOffset && log.snapshotId?.endOffset === logStartOffset
  const mayBegin = isSnapshotAlone || logStartOffset <= replica.allowedStart
  check(
    isNew || replica.isDamaged || replica.isRolledBack || mayBegin,
    'I20',
    () =>
      `${replica.name} begins at ${logStartOffset}, and records up to ${replica.allowedStart} may be gone`,
  )
  check(
    logStartOffset === 0 || (log.snapshotId !== null && log.snapshotId.endOffset >= logStartOffset),
    'I18',
    () => `${replica.name} begins at ${logStartOffset} without a snapshot of what was before`,
  )
  replica.entries = found.filter(({ lastOffset }) => lastOffset >= logStartOffset)
  replica.startOffset = logStartOffset
  replica.endOffset = logEndOffset
  replica.epochStarts = [...log.epochStarts]
  replica.voterSets = [...start.voters]
  replica.voters = start.voters.at(-1)!.voters
  replica.quorum = start.quorum
  replica.recorded = start.quorum.incarnations
  replica.state = 'stopped'
  // Damage stays in the files until somebody repairs it: a later start finds it again.
  replica.isDamaged = replica.hasRotted
  replica.allowedStart = Math.max(replica.allowedStart, logStartOffset)
  replica.committedAtStart = commits.end
  replica.claims.clear()
  replica.reads.clear()
  replica.transfers.clear()
  replica.settle()
  checkCommitted(replica, start, commits)
}

/** What was there before, as far as the log has it still: where that says another epoch, what is committed has been put in its place. */
function keptOf(before: readonly Entry[], log: LogStart, commits: CommitChecks): Entry[] {
  const { logEndOffset, epochStarts } = log
  const kept = before.filter(({ lastOffset }) => lastOffset < logEndOffset)
  const other = kept.findIndex(({ epoch, baseOffset }) => {
    const start = epochStarts.findLast(({ startOffset }) => startOffset <= baseOffset)
    return start !== undefined && start.epoch !== epoch
  })
  if (other < 0) return kept
  const found = kept.slice(0, other)
  for (let next = commits.at(kept[other]!.baseOffset); next !== null && next.lastOffset < logEndOffset; ) {
    found.push(next)
    next = commits.at(next.lastOffset + 1)
  }
  return found
}

function lastOf(entries: readonly Entry[]): number {
  return entries.at(-1)?.lastOffset ?? -1
}

/** The entries of what is in the log; each was appended by somebody. */
function recover(replica: CheckedReplica, facts: readonly LogFact[], entries: Entries): Entry[] {
  const found: Entry[] = []
  for (const fact of facts) {
    const own = entryAt(replica.entries, fact.baseOffset)
    const known = entries.find(fact.epoch, fact.baseOffset) ?? (own?.epoch === fact.epoch ? own : null)
    check(
      known !== null && known.lastOffset === fact.lastOffset && known.hash === fact.hash,
      'I2',
      () => `${replica.name} comes back with records at ${fact.baseOffset} that nobody appended`,
    )
    found.push(entries.intern(fact, found.at(-1) ?? null, replica.name))
  }
  return found
}

/** What was durable and is not there any more. A relaxed replica may forget, and then does not count. */
function checkKept(replica: CheckedReplica, start: RaftStart, found: readonly Entry[]): void {
  const surely = replica.surely
  const missing = replica.entries.find(
    (entry) =>
      entry.lastOffset < surely.endOffset &&
      entry.lastOffset >= start.log.logStartOffset &&
      entryAt(found, entry.baseOffset) !== entry,
  )
  const isKnownLoss = replica.isRelaxed && (start.mayHaveForgotten || isQuarantined(start.quorum))
  check(
    missing === undefined || isKnownLoss,
    replica.isRelaxed ? 'I16' : missing?.isCommitted ? 'I5' : 'I8',
    () => `${replica.name} comes back without ${missing?.baseOffset}, which was durable`,
  )
  const lastEpoch = start.log.epochStarts.at(-1)?.epoch ?? 0
  check(
    lastEpoch >= surely.epoch || isKnownLoss,
    'I5',
    () => `${replica.name} comes back without the start of epoch ${surely.epoch}, which was durable`,
  )
  check(
    replica.kind === 'metadata' || (start.voters.at(-1)?.version ?? 0) >= surely.votersVersion,
    'I17',
    () => `${replica.name} comes back without voter set ${surely.votersVersion}, which was durable`,
  )
  check(
    !isQuarantined(replica.quorum) ||
      isQuarantined(start.quorum) ||
      start.mayHaveForgotten ||
      !replica.isRelaxed,
    'I16',
    () => `${replica.name} comes back and has forgotten that it was quarantined`,
  )
}

/** What the replica takes for committed from the start on. */
function checkCommitted(replica: CheckedReplica, start: RaftStart, commits: CommitChecks): void {
  const highWatermark = Math.min(
    Math.max(start.highWatermark, start.log.logStartOffset),
    start.log.logEndOffset,
  )
  replica.highWatermark = 0
  // Whoever was away when the others lost records does not know yet.
  const last = replica.at(highWatermark - 1)
  check(
    highWatermark <= commits.end || last?.isLost === true,
    'I7',
    () => `${replica.name} comes back with a high watermark of ${highWatermark}, committed is ${commits.end}`,
  )
  for (const entry of replica.entries) {
    if (entry.baseOffset >= highWatermark) break
    check(
      entry.isCommitted || entry.isLost || commits.at(entry.baseOffset) === entry,
      'I4',
      () => `${replica.name} comes back with another record at ${entry.baseOffset}`,
    )
  }
  replica.highWatermark = highWatermark
}

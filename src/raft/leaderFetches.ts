import { assert } from '../model/assert.ts'
import { checkAddress, checkLeaderEpoch, isEpoch, isNodeId, isOffset } from './checks.ts'
import type { LogPosition } from './epochHistory.ts'
import type { EventOf } from './events.ts'
import { emptyFetchResponse } from './fetchResponse.ts'
import { settleHighWatermark } from './highWatermark.ts'
import { recordedOf, recordIncarnation } from './incarnations.ts'
import type { FetchRequest, FetchResponse } from './messages.ts'
import { planted } from './planted.ts'
import type { RaftReplica } from './raftReplica.ts'
import { type ReplicaKey, replicaText } from './replicaKey.ts'
import type { LeaderData, Progress } from './states.ts'
import { transferWhenCaughtUp } from './transfer.ts'
import { addWhenCaughtUp } from './voterChanges.ts'

/** What a leader knows of a replica that has not fetched yet. */
export function newProgress({ id, directoryId }: ReplicaKey, nowMs: number): Progress {
  return {
    key: { id, directoryId },
    claimOffset: -1,
    claimVersion: -1,
    fetchOffset: -1,
    isQuarantined: false,
    isDamaged: false,
    rolledBack: false,
    lastFetchMs: nowMs,
    round: -1,
    parked: null,
    incarnation: 0,
    beginAtMs: nowMs,
  }
}

/**
 * Answers a replica's Fetch: refuses what is of another epoch, finds where logs part, counts what the replica has flushed, and
 * brings what it lacks, at once or when there is something. Source: KIP-595.
 */
export function answerFetch(r: RaftReplica, event: EventOf<'fetchRequest'>, nowMs: number): void {
  const { request, replyTo } = event
  const error = checkFetch(r, request)
  if (error !== null || r.state.name !== 'leader') {
    r.respond(replyTo, { type: 'fetch', ...emptyFetchResponse(r, error ?? 'notLeaderOrFollower') })
    return
  }
  const leader = r.state
  // Observers that only fetch are not recorded: nothing rests on their memory.
  if (r.voters.current.has(request.replica) && !recordIncarnation(r, request.incarnation)) {
    const recorded = recordedOf(r, request.incarnation)
    r.respond(replyTo, { type: 'fetch', ...emptyFetchResponse(r, 'staleBrokerEpoch'), recorded })
    return
  }
  const progress = progressOf(r, leader, request.replica, nowMs)
  progress.lastFetchMs = nowMs
  progress.beginAtMs = nowMs + r.config.fetchTimeoutMs / 2
  noteStart(r, progress, request)
  progress.isDamaged = request.damaged
  const refusal = refusalOf(r, leader, progress, request)
  if (refusal !== null) {
    r.respond(replyTo, { type: 'fetch', ...refusal })
    return
  }
  count(r, leader, progress, request)
  addWhenCaughtUp(r, leader, progress, nowMs)
  settleHighWatermark(r, leader, nowMs)
  if (r.state === leader) transferWhenCaughtUp(r, leader, nowMs)
  // The leader may have gone by what it has just counted.
  if (r.state !== leader) {
    r.respond(replyTo, { type: 'fetch', ...emptyFetchResponse(r, 'notLeaderOrFollower') })
    return
  }
  if (request.claimOnly) {
    r.respond(replyTo, { type: 'fetch', ...emptyFetchResponse(r, 'none'), ...marksOf(r, leader, progress) })
    knowsHighWatermark(r, leader, progress)
    return
  }
  answerParked(r, leader, progress)
  progress.parked = {
    replyTo,
    request,
    deadlineMs: nowMs + Math.min(request.maxWaitMs, r.config.fetchMaxWaitMs),
  }
  if (request.maxWaitMs <= 0) answerParked(r, leader, progress)
  else wakeOne(r, leader, progress, nowMs)
}

/** What a replica has been told beside its waiting Fetch need not wake that. */
function knowsHighWatermark(r: RaftReplica, leader: LeaderData, progress: Progress): void {
  const { parked } = progress
  if (parked === null || !leader.highWatermarkKnown) return
  progress.parked = { ...parked, request: { ...parked.request, highWatermark: r.highWatermark } }
}

function checkFetch(r: RaftReplica, request: FetchRequest) {
  const error = checkAddress(r, request.clusterId, null) ?? checkLeaderEpoch(r, request.currentLeaderEpoch)
  if (error !== null) return error
  const { replica, fetchOffset, lastFetchedEpoch, flushedOffset, maxWaitMs, round } = request
  const isSound =
    isNodeId(replica.id) &&
    replica.id !== r.config.self.id &&
    isOffset(fetchOffset) &&
    isEpoch(lastFetchedEpoch) &&
    (flushedOffset === -1 || isOffset(flushedOffset)) &&
    Number.isFinite(maxWaitMs) &&
    Number.isSafeInteger(round)
  return isSound ? null : 'invalidRequest'
}

/** The progress of a replica; whoever is no voter is forgotten once it has not fetched for a long time. */
function progressOf(r: RaftReplica, leader: LeaderData, key: ReplicaKey, nowMs: number): Progress {
  const text = replicaText(key)
  let progress = leader.progress.get(text)
  if (progress === undefined) {
    progress = newProgress(key, nowMs)
    leader.progress.set(text, progress)
    for (const [other, { key: otherKey, lastFetchMs }] of leader.progress) {
      const isKept = r.voters.current.has(otherKey) || nowMs - lastFetchMs < 20 * r.config.fetchTimeoutMs
      if (!isKept) leader.progress.delete(other)
    }
  }
  return progress
}

/**
 * A voter that has started anew must still hold what it claimed in this epoch, unless it says that it may have
 * forgotten. Otherwise its disk went back. Source: fault model, section 2.
 */
function noteStart(r: RaftReplica, progress: Progress, request: FetchRequest): void {
  const { incarnation } = request.incarnation
  if (incarnation > progress.incarnation && !r.voters.current.has(progress.key)) {
    // Whoever is no voter has promised nothing: it may have been removed, and come back with nothing.
    progress.claimOffset = -1
    progress.claimVersion = -1
    progress.fetchOffset = -1
    progress.rolledBack = false
    progress.incarnation = incarnation
  } else if (incarnation > progress.incarnation) {
    const claimsLess =
      progress.claimOffset > request.fetchOffset ||
      (progress.claimOffset >= 0 && request.lastFetchedEpoch < r.epoch)
    if (claimsLess && !request.quarantined && !planted('rollbackUnnoticed')) {
      r.alarm(
        'rolledBack',
        progress.key.id,
        request.fetchOffset,
        `it had flushed up to ${progress.claimOffset}`,
      )
      progress.rolledBack = true
    }
    progress.incarnation = incarnation
  }
  progress.isQuarantined = request.quarantined || progress.rolledBack
}

/** The answer when the replica's log is no beginning of this one. */
function refusalOf(
  r: RaftReplica,
  leader: LeaderData,
  progress: Progress,
  request: FetchRequest,
): FetchResponse | null {
  const { log } = r
  const { fetchOffset, lastFetchedEpoch, votersVersion } = request
  const isBefore =
    log.startOffset > 0 &&
    (fetchOffset < log.startOffset || lastFetchedEpoch < log.epochs.epochBefore(log.startOffset))
  if (isBefore) {
    return { ...emptyFetchResponse(r, 'none'), ...marksOf(r, leader, progress), snapshotId: log.snapshotId }
  }
  if (planted('skipLastFetchedEpoch') && fetchOffset <= log.endOffset) return null
  const end = log.epochs.endOf(lastFetchedEpoch, log.end)
  const isWithin =
    end.epoch === lastFetchedEpoch &&
    (fetchOffset < end.endOffset || (fetchOffset === end.endOffset && votersVersion <= end.votersVersion))
  if (isWithin) return null
  const divergingEpoch: LogPosition = end
  return { ...emptyFetchResponse(r, 'none'), ...marksOf(r, leader, progress), divergingEpoch }
}

/** Counts a claim: what is flushed, only up to what is known to be alike, and only in this epoch. Claims never shrink. */
function count(r: RaftReplica, leader: LeaderData, progress: Progress, request: FetchRequest): void {
  const { fetchOffset, flushedOffset, flushedVotersVersion, lastFetchedEpoch } = request
  progress.fetchOffset = Math.max(progress.fetchOffset, fetchOffset)
  progress.round = Math.max(progress.round, Math.min(request.round, leader.round))
  if (lastFetchedEpoch !== r.epoch && !planted('commitOldEpoch')) return
  const claim = Math.min(flushedOffset, fetchOffset)
  if (claim > progress.claimOffset || (claim === progress.claimOffset && claim >= 0)) {
    progress.claimVersion = Math.max(progress.claimVersion, flushedVotersVersion)
  }
  progress.claimOffset = Math.max(progress.claimOffset, claim)
}

/** What every answer of a leader says besides records. */
function marksOf(
  r: RaftReplica,
  leader: LeaderData,
  progress: Progress,
): Pick<FetchResponse, 'highWatermark' | 'round' | 'rolledBack' | 'recorded'> {
  return {
    highWatermark: leader.highWatermarkKnown ? r.highWatermark : -1,
    round: leader.round,
    rolledBack: progress.rolledBack,
    recorded: recordedOf(r, progress.key),
  }
}

function hasNews(r: RaftReplica, leader: LeaderData, request: FetchRequest): boolean {
  return (
    r.log.endOffset > request.fetchOffset ||
    r.log.lastEpoch > request.lastFetchedEpoch ||
    r.log.votersVersion > request.votersVersion ||
    leader.round > request.round
  )
}

/** Whether more is committed than the replica knew when it asked. */
export function owesHighWatermark(r: RaftReplica, leader: LeaderData, request: FetchRequest): boolean {
  return leader.highWatermarkKnown && r.highWatermark > request.highWatermark
}

/** Answers a Fetch that waits, with whatever there is. */
export function answerParked(r: RaftReplica, leader: LeaderData, progress: Progress): void {
  const { parked } = progress
  if (parked === null) return
  progress.parked = null
  const { fetchOffset, lastFetchedEpoch, votersVersion } = parked.request
  assert(fetchOffset >= r.log.startOffset, 'I18: who waits for records does not lack earlier ones')
  const isPartition = r.config.kind === 'partition'
  const response: FetchResponse = {
    ...emptyFetchResponse(r, 'none'),
    ...marksOf(r, leader, progress),
    epochStarts: isPartition ? r.log.epochs.after(lastFetchedEpoch) : [],
    voterSets: isPartition ? setsAfter(r, votersVersion) : [],
  }
  r.respond(
    parked.replyTo,
    { type: 'fetch', ...response },
    { type: 'records', fromOffset: fetchOffset, toOffset: r.log.endOffset },
  )
}

function setsAfter(r: RaftReplica, votersVersion: number): FetchResponse['voterSets'] {
  if (r.voters.last.version <= votersVersion) return []
  return r.voters.entries
    .filter(({ version }) => version > votersVersion)
    .map(({ offset, version, voters }) => ({ offset, version, voters: voters.voters }))
}

/** Answers those who wait for something that is there now. */
export function wakeParked(r: RaftReplica, leader: LeaderData, nowMs: number): void {
  for (const progress of leader.progress.values()) wakeOne(r, leader, progress, nowMs)
}

/** That more is committed may wait a little: what is appended next takes it along. */
function wakeOne(r: RaftReplica, leader: LeaderData, progress: Progress, nowMs: number): void {
  const { parked } = progress
  if (parked === null) return
  const { highWatermarkLagMs } = r.config
  const isOwed = owesHighWatermark(r, leader, parked.request)
  if (hasNews(r, leader, parked.request) || (isOwed && highWatermarkLagMs <= 0)) {
    answerParked(r, leader, progress)
  } else if (isOwed && parked.deadlineMs > nowMs + highWatermarkLagMs) {
    progress.parked = { ...parked, deadlineMs: nowMs + highWatermarkLagMs }
  }
}

/** Answers those who have waited long enough. */
export function expireParked(r: RaftReplica, leader: LeaderData, nowMs: number): void {
  for (const progress of leader.progress.values()) {
    if (progress.parked !== null && nowMs >= progress.parked.deadlineMs) answerParked(r, leader, progress)
  }
}

import { assert } from '../model/assert.ts'
import { EngineError } from '../model/errors.ts'
import { isEpoch, isOffset } from './checks.ts'
import { compareLogs, type LogPosition } from './epochHistory.ts'
import type { EventOf } from './events.ts'
import { dropRequest, loopOf, startClaiming, startFetching } from './fetchLoop.ts'
import { leaderAnswered, learnRecorded, rolledBack } from './incarnations.ts'
import { fetchDeadline, learn, reconcileMembership, standDeadline } from './leadership.ts'
import type { Batch, FetchResponse } from './messages.ts'
import { planted } from './planted.ts'
import type { RaftReplica } from './raftReplica.ts'
import { beginSnapshot } from './snapshots.ts'
import type { FetchInFlight, FollowerData, ObserverData } from './states.ts'
import { VoterSet } from './voterSet.ts'

/**
 * Applies a leader's answer: cuts what diverges, appends what is new, learns what is committed. An answer to a question that
 * is no longer asked changes nothing. Source: KIP-595.
 */
export function applyFetch(r: RaftReplica, event: EventOf<'fetchResponse'>, nowMs: number): void {
  const { response, from, requestId } = event
  const loop = loopOf(r)!
  const asked = take(loop, requestId)
  learnRecorded(r, from, response.recorded, nowMs)
  const isLeaders = response.leaderId === from && response.leaderEpoch >= r.epoch
  if (isLeaders && response.rolledBack) {
    r.accusedBy.add(from)
    rolledBack(r, `leader ${from} knows that it had flushed more`, nowMs)
  }
  if (isLeaders) leaderAnswered(r, from)
  if (learn(r, response, nowMs)) return
  if (asked === null && !planted('staleFetchApplied')) return
  if (response.error !== 'none' || response.leaderEpoch !== r.epoch || response.leaderId !== loop.leaderId) {
    leaderGone(r, loop, response, nowMs)
    return
  }
  if (!isSoundResponse(response)) {
    r.alarm('malformed', from, r.log.endOffset, 'numbers that cannot be')
    loop.retryAtMs = nowMs + r.config.retryBackoffMs
    return
  }
  heard(r, loop, nowMs)
  loop.round = Math.max(loop.round, response.round)
  if (asked === null || isStill(r, asked)) apply(r, loop, response, nowMs)
  if (loopOf(r) === null) return
  reconcileMembership(r, nowMs)
  endQuarantine(r)
  startFetching(r, nowMs)
  startClaiming(r, nowMs)
}

function isSoundResponse({ highWatermark, round, logEndOffset }: FetchResponse): boolean {
  return (highWatermark === -1 || isOffset(highWatermark)) && isOffset(round) && isOffset(logEndOffset)
}

/** The question that an answer belongs to; each is answered once. */
function take(loop: FollowerData | ObserverData, requestId: number): FetchInFlight | null {
  const slot = loop.claim?.requestId === requestId ? 'claim' : 'fetch'
  const asked = loop[slot]
  if (asked?.requestId !== requestId) return null
  loop[slot] = null
  return asked
}

/** Whether the log still ends where it did. */
function isStill(r: RaftReplica, { fetchOffset, lastFetchedEpoch, votersVersion }: FetchInFlight): boolean {
  const { log } = r
  return (
    fetchOffset === log.endOffset && lastFetchedEpoch === log.lastEpoch && votersVersion === log.votersVersion
  )
}

/** The leader lives. */
function heard(r: RaftReplica, loop: FollowerData | ObserverData, nowMs: number): void {
  loop.hasFetched = true
  r.backUntilMs = -1
  loop.retryAtMs = nowMs
  if (loop.name === 'follower') loop.fetchDeadlineMs = fetchDeadline(r, nowMs)
  else loop.standAtMs = standDeadline(r, nowMs)
}

/** The one who was asked does not lead: wait for another one, or look elsewhere. */
function leaderGone(
  r: RaftReplica,
  loop: FollowerData | ObserverData,
  response: FetchResponse,
  nowMs: number,
): void {
  loop.retryAtMs = nowMs + r.config.retryBackoffMs
  if (response.error !== 'notLeaderOrFollower' || response.leaderEpoch !== r.epoch) return
  if (loop.name === 'observer') {
    loop.leaderId = -1
    loop.hasFetched = false
  } else if (loop.hasFetched) {
    loop.hasFetched = false
    loop.fetchDeadlineMs = Math.min(loop.fetchDeadlineMs, r.electionDeadline(nowMs))
  }
}

function apply(
  r: RaftReplica,
  loop: FollowerData | ObserverData,
  response: FetchResponse,
  nowMs: number,
): void {
  if (response.snapshotId !== null) {
    beginSnapshot(r, loop, response.snapshotId, nowMs)
    return
  }
  if (response.divergingEpoch !== null) {
    diverge(r, loop, response.divergingEpoch, nowMs)
    return
  }
  if (!append(r, response)) {
    r.alarm('malformed', response.leaderId, r.log.endOffset, 'records that do not follow the log')
    loop.retryAtMs = nowMs + r.config.retryBackoffMs
  }
  if (loop.catchUpOffset === null) loop.catchUpOffset = response.logEndOffset
  const highWatermark = planted('highWatermarkUncapped')
    ? response.highWatermark
    : Math.min(response.highWatermark, r.log.endOffset)
  r.advanceHighWatermark(highWatermark)
}

/** Cuts the log where the leader's parts from it, at the latest; the next Fetch may find an earlier place. */
function diverge(
  r: RaftReplica,
  loop: FollowerData | ObserverData,
  leaders: LogPosition,
  nowMs: number,
): void {
  const { log } = r
  const isSound = isEpoch(leaders.epoch) && isOffset(leaders.endOffset) && leaders.epoch <= r.epoch
  const own = isSound ? log.epochs.endOf(leaders.epoch, log.end) : log.end
  let to = own.epoch === leaders.epoch && compareLogs(leaders, own) < 0 ? leaders : own
  if (compareLogs(to, log.end) >= 0) {
    r.alarm('malformed', loop.leaderId, log.endOffset, 'a divergence beyond the end of the log')
    loop.retryAtMs = nowMs + r.config.retryBackoffMs
    return
  }
  if (planted('truncateTooLittle') && to.endOffset < log.endOffset)
    to = { ...to, endOffset: to.endOffset + 1 }
  if (planted('truncateEverything')) to = { epoch: 0, endOffset: log.startOffset, votersVersion: 0 }
  const isLoss = to.endOffset < r.highWatermark
  if (isLoss) loseCommitted(r, to.endOffset)
  r.emit({ type: 'truncate', sequence: log.truncate(to), to })
  if (isLoss) r.emit({ type: 'highWatermark', offset: to.endOffset })
  const isOther = r.voters.truncate(to, r.config.kind === 'partition')
  if (isOther) r.emit({ type: 'votersChanged', entry: r.voters.last })
}

/**
 * Where all voters of a relaxed group have forgotten records, they agree on a leader without them, and on nobody else: an observer,
 * or a voter that was removed, may hold more than they do. It says what is lost and follows. Source: fault model, section 2.
 */
function loseCommitted(r: RaftReplica, endOffset: number): void {
  const { startOffset, snapshotId } = r.log
  const { relaxed, isRelaxed = relaxed } = r.config
  const isInLog = endOffset >= startOffset && (snapshotId === null || snapshotId.endOffset <= endOffset)
  // Whoever voted for the leader had no more than it.
  const hasVoted = r.quorum.voted !== null && r.quorum.voted.id === r.leaderId
  assert(isRelaxed && isInLog && !hasVoted, 'I5: a committed record is never truncated')
  const detail = `it was committed up to ${r.highWatermark}, and the voters have forgotten it`
  r.alarm('recordsLost', r.config.self.id, endOffset, detail)
  r.lowerHighWatermark(endOffset)
}

/** Appends what came, epochs and voter sets without records in their places; false when it does not fit. */
function append(r: RaftReplica, response: FetchResponse): boolean {
  const starts = [...response.epochStarts]
  const sets = [...response.voterSets]
  const marksUpTo = (offset: number): boolean => {
    for (;;) {
      const start = starts[0]
      const set = sets[0]
      if (start !== undefined && start.startOffset <= offset && start.votersVersion <= r.log.votersVersion) {
        starts.shift()
        if (!beginEpoch(r, start)) return false
      } else if (set !== undefined && set.offset <= offset && set.version === r.log.votersVersion + 1) {
        sets.shift()
        if (!storeVoters(r, set)) return false
      } else return true
    }
  }
  for (const batch of response.batches) {
    if (!marksUpTo(batch.baseOffset) || !appendBatch(r, batch)) return false
  }
  return marksUpTo(r.log.endOffset)
}

function beginEpoch(r: RaftReplica, start: FetchResponse['epochStarts'][number]): boolean {
  const { log } = r
  if (!isEpoch(start.epoch) || start.epoch <= log.lastEpoch || start.epoch > r.epoch) return false
  if (start.startOffset < log.endOffset) return false
  r.emit({ type: 'markEpoch', sequence: log.markEpoch(start), start })
  return true
}

function storeVoters(r: RaftReplica, mark: FetchResponse['voterSets'][number]): boolean {
  const voters = readVoters(mark.voters)
  if (voters === null || mark.offset < r.voters.last.offset) return false
  r.emit({ type: 'storeVoters', sequence: r.log.addVoters(mark.version), mark })
  r.voters.append({ ...mark, voters })
  r.emit({ type: 'votersChanged', entry: r.voters.last })
  return true
}

function appendBatch(r: RaftReplica, batch: Batch): boolean {
  const { log } = r
  const { baseOffset, lastOffset, leaderEpoch, control } = batch
  const isSound =
    isOffset(baseOffset) &&
    isOffset(lastOffset) &&
    baseOffset >= log.endOffset &&
    lastOffset >= baseOffset &&
    leaderEpoch >= log.lastEpoch &&
    leaderEpoch <= r.epoch
  // In a partition an epoch is marked before its first record.
  if (!isSound || (r.config.kind === 'partition' && leaderEpoch !== log.lastEpoch)) return false
  const sets = control.map((record) => (record.type === 'voters' ? readVoters(record.voters) : undefined))
  if (sets.includes(null) || lastOffset - baseOffset + 1 < control.length) return false
  if (leaderEpoch > log.lastEpoch)
    log.beginEpoch({ epoch: leaderEpoch, startOffset: baseOffset, votersVersion: 0 })
  r.emit({ type: 'append', sequence: log.append(lastOffset + 1), batch })
  sets.forEach((voters, index) => {
    if (!voters) return
    r.voters.append({ offset: baseOffset + index, version: 0, voters })
    r.emit({ type: 'votersChanged', entry: r.voters.last })
  })
  return true
}

/** A voter set from outside, null when it cannot be one. */
export function readVoters(voters: readonly VoterSet['voters'][number][]): VoterSet | null {
  try {
    return voters.length === 0 ? null : new VoterSet(voters)
  } catch (error) {
    if (error instanceof EngineError) return null
    throw error
  }
}

/** Ends the quarantine of a replica that holds, durably, all that its leader held when it came back. */
function endQuarantine(r: RaftReplica): void {
  const loop = loopOf(r)
  if (r.quorum.quarantine !== 'forgotten' || loop === null || loop.catchUpOffset === null) return
  const isCurrent = r.log.flushedEpoch === r.epoch
  if (!(isCurrent && r.log.claimOffset >= loop.catchUpOffset) && !planted('quarantineEndsEarly')) return
  r.persist({ quarantine: 'none' })
}

/** Something of a follower's or observer's log is durable. */
export function fetcherFlushed(r: RaftReplica, _: EventOf<'flushed'>, nowMs: number): void {
  endQuarantine(r)
  startClaiming(r, nowMs)
}

/** A Fetch is lost. */
export function fetcherRequestFailed(r: RaftReplica, event: EventOf<'requestFailed'>, nowMs: number): void {
  if (dropRequest(r, event.requestId, nowMs)) startFetching(r, nowMs)
}

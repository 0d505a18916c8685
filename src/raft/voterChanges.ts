import { assert } from '../model/assert.ts'
import type { EngineErrorName } from '../model/errors.ts'
import { checkAddress, checkLeaderEpoch, isNodeId } from './checks.ts'
import type { EventOf } from './events.ts'
import { isVoterSetCommitted, settleHighWatermark } from './highWatermark.ts'
import { appendBatch } from './leader.ts'
import { answerParked, newProgress, wakeParked } from './leaderFetches.ts'
import { planted } from './planted.ts'
import type { RaftReplica } from './raftReplica.ts'
import { fitsReplica, replicaText, sameReplica } from './replicaKey.ts'
import { resign } from './resigned.ts'
import type { LeaderData, Progress, VoterChange } from './states.ts'
import { type Voter, VoterSet } from './voterSet.ts'

/*
 * The voter set changes by one voter at a time. A set applies as soon as it is appended and is committed by a majority
 * of itself; until then, and before the epoch has committed anything, no other change begins. Source: KIP-853, Raft
 * dissertation, section 4.1, and its correction of 2015.
 */

/** A replica wants to be a voter: it catches up first, then the set with it is appended. */
export function leaderAddVoter(r: RaftReplica, event: EventOf<'addVoterRequest'>, nowMs: number): void {
  const leader = r.state as LeaderData
  const { request, replyTo } = event
  const { voter, timeoutMs, ackWhenCommitted } = request
  const error =
    checkAddress(r, request.clusterId, null) ??
    (isNodeId(voter.id) && Number.isFinite(timeoutMs) ? null : 'invalidRequest') ??
    checkChange(r, leader) ??
    (r.voters.current.get(voter.id) === null ? null : 'duplicateVoter')
  if (error !== null) {
    r.respond(replyTo, { type: 'addVoter', ...r.currentLeader(error) })
    return
  }
  const joining = { voter, targetOffset: r.log.endOffset, deadlineMs: nowMs + Math.max(0, timeoutMs) }
  leader.change = { replyTo, kind: 'addVoter', joining, ackWhenCommitted }
  const progress = leader.progress.get(replicaText(voter))
  if (progress === undefined) return
  // It may have been a voter in another life: what counts is what it says from now on.
  progress.claimOffset = -1
  progress.claimVersion = -1
  answerParked(r, leader, progress)
}

/** Adds the voter that wants to join once it holds what the leader held when it asked. */
export function addWhenCaughtUp(r: RaftReplica, leader: LeaderData, progress: Progress, nowMs: number): void {
  const joining = leader.change?.joining
  if (!joining || !sameReplica(joining.voter, progress.key)) return
  if (progress.isQuarantined || progress.claimOffset < joining.targetOffset) return
  setVoters(r, leader, { ...leader.change!, joining: null }, r.voters.current.with(joining.voter), nowMs)
}

/** A voter is to go. A leader that removes itself leads on, without counting itself, until that is committed. */
export function leaderRemoveVoter(r: RaftReplica, event: EventOf<'removeVoterRequest'>, nowMs: number): void {
  const leader = r.state as LeaderData
  const { request, replyTo } = event
  const { voters } = r.voters.current
  const voter = r.voters.current.get(request.voter.id)
  const error =
    checkAddress(r, request.clusterId, null) ??
    checkChange(r, leader) ??
    (voter !== null && sameReplica(voter, request.voter) ? null : 'voterNotFound') ??
    // A group without voters could never be led again.
    (voters.length > 1 ? null : 'invalidRequest')
  if (error !== null) {
    r.respond(replyTo, { type: 'removeVoter', ...r.currentLeader(error) })
    return
  }
  const change: VoterChange = { replyTo, kind: 'removeVoter', joining: null, ackWhenCommitted: true }
  setVoters(r, leader, change, r.voters.current.without(request.voter), nowMs)
  settleHighWatermark(r, leader, nowMs)
}

/** A voter has other endpoints or versions now. */
export function leaderUpdateVoter(r: RaftReplica, event: EventOf<'updateVoterRequest'>, nowMs: number): void {
  const leader = r.state as LeaderData
  const { request, replyTo } = event
  const known = r.voters.current.get(request.voter.id)
  const error =
    checkAddress(r, request.clusterId, null) ??
    checkLeaderEpoch(r, request.currentLeaderEpoch) ??
    checkChange(r, leader) ??
    (known !== null && fitsReplica(known, request.voter) ? null : 'voterNotFound')
  if (error !== null) {
    r.respond(replyTo, { type: 'updateVoter', ...r.currentLeader(error) })
    return
  }
  const change: VoterChange = { replyTo, kind: 'updateVoter', joining: null, ackWhenCommitted: true }
  setVoters(r, leader, change, r.voters.current.replaced(request.voter), nowMs)
}

/** Writes a static voter set into the log, each voter with the directory that it fetches from. */
export function leaderUpgrade(r: RaftReplica, { token }: EventOf<'upgradeVersion'>, nowMs: number): void {
  const leader = r.state as LeaderData
  const voters: Voter[] = []
  for (const voter of r.voters.current.voters) {
    const { self } = r.config
    const fetched = [...leader.progress.values()].filter(
      ({ key, fetchOffset }) => key.id === voter.id && fetchOffset >= 0,
    )
    const key = voter.id === self.id ? self : fetched.length === 1 ? fetched[0]!.key : null
    if (key !== null) voters.push({ ...voter, directoryId: key.directoryId })
  }
  const isComplete = voters.length === r.voters.current.size
  const error: EngineErrorName | null = r.isDynamic
    ? 'invalidUpdateVersion'
    : isComplete && leader.highWatermarkKnown
      ? null
      : 'ineligibleReplica'
  if (error !== null) {
    r.refuse(token, error)
    return
  }
  const change: VoterChange = { replyTo: token, kind: 'upgrade', joining: null, ackWhenCommitted: true }
  setVoters(r, leader, change, new VoterSet(voters), nowMs)
}

/** What keeps a change from beginning; null when nothing does. */
function checkChange(r: RaftReplica, leader: LeaderData): EngineErrorName | null {
  if (!r.isDynamic) return 'unsupportedVersion'
  if (leader.transfer !== null) return 'notLeaderOrFollower'
  if (!leader.highWatermarkKnown && !planted('voterChangeBeforeCommit')) return 'requestTimedOut'
  const isFree = leader.change === null && isVoterSetCommitted(r, leader)
  return isFree || planted('twoVoterChanges') || planted('voterChangeBeforeCommit') ? null : 'requestTimedOut'
}

function setVoters(
  r: RaftReplica,
  leader: LeaderData,
  change: VoterChange,
  next: VoterSet,
  nowMs: number,
): void {
  if (!planted('twoVoterChanges') && !planted('voterChangeBeforeCommit')) {
    assert(isVoterSetCommitted(r, leader) || !r.isDynamic, 'I17: one voter change at a time')
    assert(leader.highWatermarkKnown, 'I17: a change begins after the epoch has committed something')
  }
  assert(r.voters.current.overlaps(next), 'I17: majorities of successive voter sets meet')
  if (r.config.kind === 'partition') {
    const mark = { offset: r.log.endOffset, version: r.log.votersVersion + 1, voters: next.voters }
    r.emit({ type: 'storeVoters', sequence: r.log.addVoters(mark.version), mark })
    r.voters.append({ ...mark, voters: next })
  } else {
    const control = [{ type: 'voters', voters: next.voters } as const]
    const version = r.isDynamic ? [] : [{ type: 'kraftVersion', version: 1 } as const]
    const { lastOffset } = appendBatch(r, version.length + 1, [...version, ...control], null)
    r.voters.append({ offset: lastOffset, version: 0, voters: next })
  }
  r.emit({ type: 'votersChanged', entry: r.voters.last })
  for (const voter of next.voters) {
    const text = replicaText(voter)
    if (voter.id === r.config.self.id || leader.progress.has(text)) continue
    leader.progress.set(text, newProgress(voter, lastHeardMs(leader)))
  }
  leader.change = change
  if (!change.ackWhenCommitted) reply(r, change)
  wakeParked(r, leader, nowMs)
}

/** A voter that nobody has heard of yet has as long to fetch as the others. */
function lastHeardMs(leader: LeaderData): number {
  let latestMs = 0
  for (const { lastFetchMs } of leader.progress.values()) latestMs = Math.max(latestMs, lastFetchMs)
  return latestMs
}

/** Ends the change whose set is committed, and the reign of a leader that is not in it. */
export function voterChangeCommitted(r: RaftReplica, leader: LeaderData, nowMs: number): void {
  if (!isVoterSetCommitted(r, leader)) return
  const { change } = leader
  if (change !== null && change.joining === null) {
    leader.change = null
    if (change.ackWhenCommitted) reply(r, change)
  }
  if (!r.isVoter && !planted('removedLeaderCounts')) resign(r, nowMs)
}

/** Gives up on a voter that does not catch up in time. */
export function expireChange(r: RaftReplica, leader: LeaderData, nowMs: number): void {
  const { change } = leader
  if (!change?.joining || nowMs < change.joining.deadlineMs) return
  leader.change = null
  r.respond(change.replyTo, { type: 'addVoter', ...r.currentLeader('requestTimedOut') })
}

function reply(r: RaftReplica, { kind, replyTo }: VoterChange): void {
  if (kind === 'upgrade') r.emit({ type: 'done', token: replyTo })
  else r.respond(replyTo, { type: kind, ...r.currentLeader('none') })
}

import type { EventOf } from './events.ts'
import { tickFetching } from './fetchLoop.ts'
import { fetchDeadline } from './leadership.ts'
import { askForMembership } from './membership.ts'
import { becomeProspective } from './prospective.ts'
import type { RaftReplica } from './raftReplica.ts'
import type { FollowerData } from './states.ts'

/*
 * Follower: a voter that fetches from the leader of its epoch, and asks for an election when that one is silent, gone, or
 * says that it stops.
 */

/** Fetches what is due; an election when the leader has been silent for too long. */
export function followerTimer(r: RaftReplica, _: EventOf<'timerFired'>, nowMs: number): void {
  const data = r.state as FollowerData
  // A snapshot that has arrived is being checked and stored: the leader has nothing to say meanwhile.
  if (nowMs >= data.fetchDeadlineMs && !data.snapshot?.isReceived) stand(r, data, nowMs)
  else {
    tickFetching(r, nowMs)
    askForMembership(r, nowMs)
  }
}

/**
 * The connection to the leader broke: whoever waited a whole timeout would learn nothing more. Others notice in the same
 * moment, so each takes a little time of its own, and votes for whoever is first.
 */
export function followerConnectionLost(
  r: RaftReplica,
  event: EventOf<'connectionLost'>,
  nowMs: number,
): void {
  const data = r.state as FollowerData
  if (event.id !== data.leaderId) return
  data.hasFetched = false
  const soonMs = nowMs + r.random.below(Math.ceil(r.config.electionTimeoutMs / 4))
  data.fetchDeadlineMs = Math.min(data.fetchDeadlineMs, soonMs)
}

/** The leader ends its epoch: the first of its list stands at once, the others later and later. Source: KIP-595. */
export function followerEndQuorum(
  r: RaftReplica,
  { request }: EventOf<'endQuorumEpochRequest'>,
  nowMs: number,
): void {
  const data = r.state as FollowerData
  if (request.leaderId !== data.leaderId) return
  data.hasFetched = false
  const { self, retryBackoffMs, electionTimeoutMs } = r.config
  const place = request.preferredCandidates.findIndex(({ id }) => id === self.id)
  if (place === 0) stand(r, data, nowMs)
  else {
    const steps = place < 0 ? request.preferredCandidates.length : place
    const backoffMs = Math.min(electionTimeoutMs, retryBackoffMs * 2 ** Math.min(steps, 10))
    data.fetchDeadlineMs = nowMs + backoffMs + r.random.below(electionTimeoutMs)
  }
}

/** The leader's node lives and has nothing new. */
export function followerContact(r: RaftReplica, event: EventOf<'contact'>, nowMs: number): void {
  const data = r.state as FollowerData
  if (event.id !== data.leaderId || event.leaderEpoch !== r.epoch || !data.hasFetched) return
  data.fetchDeadlineMs = fetchDeadline(r, nowMs)
  if (data.fetch !== null) data.fetch = { ...data.fetch, sentMs: nowMs }
}

/** Asks for an election, unless this replica must not lead. */
function stand(r: RaftReplica, data: FollowerData, nowMs: number): void {
  data.hasFetched = false
  if (!r.mayStand || r.standsBack(nowMs)) data.fetchDeadlineMs = fetchDeadline(r, nowMs)
  else becomeProspective(r, data.leaderId, false, nowMs)
}

import { isEpoch, isNodeId } from './checks.ts'
import { newFetchLoop, startFetching } from './fetchLoop.ts'
import { answerWaiting } from './leaderWaiters.ts'
import type { RaftReplica } from './raftReplica.ts'
import type { StateData } from './states.ts'

/** Goes to another state; whoever waited at a leader hears of it. */
export function move(r: RaftReplica, data: StateData): void {
  const old = r.state
  r.become(data)
  if (old.name === 'leader') answerWaiting(r, old)
}

/** Knows no leader in `epoch`, which is at least the own one. Whoever is no voter observes. */
export function becomeUnattached(
  r: RaftReplica,
  epoch: number,
  electionDeadlineMs: number,
  nowMs: number,
): void {
  if (epoch > r.epoch) r.persist({ leaderEpoch: epoch, leaderId: -1, voted: null })
  if (!r.isVoter) {
    becomeObserver(r, -1, nowMs)
    return
  }
  move(r, { name: r.quorum.voted === null ? 'unattached' : 'voted', electionDeadlineMs })
}

/**
 * Learns of a higher epoch without its leader. Whoever waits already waits no longer for that: only a vote that is given
 * is worth a whole timeout, or one replica that cannot win could keep all others from standing.
 */
export function raiseEpoch(r: RaftReplica, epoch: number, nowMs: number): void {
  const { state } = r
  const waitedFor = 'electionDeadlineMs' in state ? state.electionDeadlineMs : Number.POSITIVE_INFINITY
  becomeUnattached(r, epoch, Math.min(waitedFor, r.electionDeadline(nowMs)), nowMs)
}

/** Follows the leader of an epoch that is at least the own one. Whoever is no voter observes it. */
export function follow(r: RaftReplica, leaderId: number, epoch: number, nowMs: number): void {
  r.persist({ leaderEpoch: epoch, leaderId, voted: epoch > r.epoch ? null : r.quorum.voted })
  if (!r.isVoter) {
    becomeObserver(r, leaderId, nowMs)
    return
  }
  move(r, { name: 'follower', ...newFetchLoop(leaderId, nowMs), fetchDeadlineMs: fetchDeadline(r, nowMs) })
  startFetching(r, nowMs)
}

/** Fetches from a leader without being a voter, or looks for one (-1). */
export function becomeObserver(r: RaftReplica, leaderId: number, nowMs: number): void {
  move(r, { name: 'observer', ...newFetchLoop(leaderId, nowMs), standAtMs: standDeadline(r, nowMs) })
  startFetching(r, nowMs)
}

/** When a leader that is silent from now on is taken for dead. Spread out, so that followers do not all ask at once. */
export function fetchDeadline(r: RaftReplica, nowMs: number): number {
  const { fetchTimeoutMs, electionTimeoutMs } = r.config
  return nowMs + fetchTimeoutMs + r.random.below(electionTimeoutMs)
}

/** When an observer that hears of no leader from now on stands for election. */
export function standDeadline(r: RaftReplica, nowMs: number): number {
  return r.mayStand ? fetchDeadline(r, nowMs) : Number.POSITIVE_INFINITY
}

/** What every answer tells about leadership. True if this replica is in another state now. */
export function learn(
  r: RaftReplica,
  { leaderId, leaderEpoch }: { readonly leaderId: number; readonly leaderEpoch: number },
  nowMs: number,
): boolean {
  const isElse = isNodeId(leaderId) && leaderId !== r.config.self.id
  if (!isEpoch(leaderEpoch) || leaderEpoch < r.epoch) return false
  if (leaderEpoch > r.epoch) {
    if (isElse) follow(r, leaderId, leaderEpoch, nowMs)
    else raiseEpoch(r, leaderEpoch, nowMs)
    return true
  }
  if (!isElse || leaderId === r.leaderId) return false
  const known = r.quorum.leaderId
  if (known >= 0 && known !== leaderId) {
    r.alarm('twoLeaders', leaderId, r.log.endOffset, `epoch ${leaderEpoch} is led by ${known}`)
    return false
  }
  follow(r, leaderId, leaderEpoch, nowMs)
  return true
}

/** The voter set has changed: a voter may observe from now on, or an observer vote. */
export function reconcileMembership(r: RaftReplica, nowMs: number): void {
  const { state } = r
  if (state.name === 'follower' && !r.isVoter) {
    const { fetchDeadlineMs: _, ...loop } = state
    move(r, { standAtMs: standDeadline(r, nowMs), ...loop, name: 'observer' })
  } else if (state.name === 'observer' && r.isVoter) {
    const { standAtMs: _, ...loop } = state
    if (state.leaderId >= 0) move(r, { fetchDeadlineMs: fetchDeadline(r, nowMs), ...loop, name: 'follower' })
    else becomeUnattached(r, r.epoch, r.electionDeadline(nowMs), nowMs)
  }
}

import type { EventOf } from './events.ts'
import { wakeParked } from './leaderFetches.ts'
import type { RaftReplica } from './raftReplica.ts'
import { resign } from './resigned.ts'
import type { LeaderData, Progress } from './states.ts'

/**
 * Moves leadership in order: takes no appends until the successor has everything, then resigns in its favour.
 * Gives up after an election timeout. A damaged replica takes no lead: it would hand it over at once. Source: Raft dissertation, section 3.10.
 */
export function leaderTransfer(r: RaftReplica, event: EventOf<'transferLeadership'>, nowMs: number): void {
  const leader = r.state as LeaderData
  const { token, to } = event
  const candidates = [...leader.progress.values()].filter(
    ({ key, isQuarantined, isDamaged }) =>
      r.voters.current.has(key) && !isQuarantined && !isDamaged && (to < 0 || key.id === to),
  )
  const best = candidates.sort((a, b) => b.fetchOffset - a.fetchOffset || a.key.id - b.key.id)[0]
  if (best === undefined || leader.transfer !== null) {
    r.refuse(token, best === undefined ? 'ineligibleReplica' : 'notLeaderOrFollower')
    return
  }
  leader.transfer = { token, to: best.key, deadlineMs: nowMs + r.config.electionTimeoutMs }
  wakeParked(r, leader, nowMs)
  transferWhenCaughtUp(r, leader, nowMs)
}

/** Resigns once the successor holds the whole log. */
export function transferWhenCaughtUp(r: RaftReplica, leader: LeaderData, nowMs: number): void {
  if (leader.transfer === null) return
  const { to } = leader.transfer
  const holds = ({ key, fetchOffset, claimOffset }: Progress): boolean =>
    key.id === to.id &&
    key.directoryId === to.directoryId &&
    claimOffset >= 0 &&
    fetchOffset >= r.log.endOffset
  if ([...leader.progress.values()].some(holds)) resign(r, nowMs, to)
}

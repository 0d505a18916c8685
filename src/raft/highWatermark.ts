import { wakeParked } from './leaderFetches.ts'
import { planted } from './planted.ts'
import type { RaftReplica } from './raftReplica.ts'
import { answerReads } from './reads.ts'
import type { LeaderData, Progress } from './states.ts'
import { voterChangeCommitted } from './voterChanges.ts'

interface Claim {
  readonly endOffset: number
  readonly votersVersion: number
}

const nothing: Claim = { endOffset: -1, votersVersion: -1 }

/**
 * The largest position that a majority of the voters has flushed, in a log whose epoch is the current one; (-1, -1) when
 * there is none. Observers, quarantined voters and voters on another disk do not count. Source: Raft section 5.4.2.
 */
export function majorityClaim(r: RaftReplica, leader: LeaderData): Claim {
  const { voters, majority } = r.voters.current
  const claims: Claim[] = []
  for (const voter of voters) {
    claims.push(voter.id === r.config.self.id ? ownClaim(r) : claimOf(r, leader, voter.id))
  }
  if (planted('removedLeaderCounts') && !r.isVoter) claims.push(ownClaim(r))
  claims.sort((a, b) => b.endOffset - a.endOffset || b.votersVersion - a.votersVersion)
  return claims[(planted('halfIsMajority') ? voters.length >> 1 || 1 : majority) - 1] ?? nothing
}

/** A leader counts itself like everybody else: with what it has flushed. */
function ownClaim(r: RaftReplica): Claim {
  if (planted('leaderCountsUnflushed'))
    return { endOffset: r.log.endOffset, votersVersion: r.log.votersVersion }
  if (r.log.flushedEpoch !== r.epoch && !planted('commitOldEpoch')) return nothing
  return { endOffset: r.log.claimOffset, votersVersion: r.log.flushedVotersVersion }
}

function claimOf(r: RaftReplica, leader: LeaderData, id: number): Claim {
  let best: Progress | null = null
  for (const progress of leader.progress.values()) {
    if (progress.key.id !== id) continue
    if (!planted('newDirectoryCounts') && !r.voters.current.has(progress.key)) continue
    if (best === null || progress.claimOffset > best.claimOffset) best = progress
  }
  // I16: a replica that may have forgotten something has no weight.
  if (best === null || (best.isQuarantined && !planted('quarantinedCounts'))) return nothing
  return { endOffset: best.claimOffset, votersVersion: best.claimVersion }
}

/**
 * Moves the high watermark as far as a majority allows, once that covers the start of the own epoch, and tells everybody
 * who waits for it. May end the leader's reign: one that has been removed goes when its removal is committed.
 */
export function settleHighWatermark(r: RaftReplica, leader: LeaderData, nowMs: number): void {
  const claim = majorityClaim(r, leader)
  // Metadata: the LeaderChange record lies at the start of the epoch. Partitions: claims count in this epoch only.
  const first = leader.epochStartOffset + (r.config.kind === 'metadata' && !planted('commitOldEpoch') ? 1 : 0)
  if (claim.endOffset >= first || (planted('commitOldEpoch') && claim.endOffset > r.highWatermark)) {
    leader.highWatermarkKnown = true
    leader.committedVersion = Math.max(leader.committedVersion, claim.votersVersion)
    r.advanceHighWatermark(claim.endOffset)
    voterChangeCommitted(r, leader, nowMs)
    if (r.state !== leader) return
    answerReads(r, leader)
  }
  wakeParked(r, leader, nowMs)
}

/** Whether the voter set that applies is committed, so that another change may begin. */
export function isVoterSetCommitted(r: RaftReplica, leader: LeaderData): boolean {
  const { offset, version } = r.voters.last
  if (r.config.kind === 'partition') return leader.committedVersion >= version
  return offset < r.highWatermark
}

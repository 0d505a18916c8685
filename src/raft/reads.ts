import type { EventOf } from './events.ts'
import { wakeParked } from './leaderFetches.ts'
import { planted } from './planted.ts'
import type { RaftReplica } from './raftReplica.ts'
import type { LeaderData } from './states.ts'

/**
 * Begins a linearizable read: what is committed now may be read once a majority of voters has brought back a round that
 * began after this, which only replicas that still follow do. Source: Raft dissertation, section 6.4.
 */
export function leaderRead(r: RaftReplica, { token }: EventOf<'readIndex'>, nowMs: number): void {
  const leader = r.state as LeaderData
  if (!leader.highWatermarkKnown) {
    // Until something of its own epoch is committed a leader does not know what is.
    r.refuse(token, 'leaderNotAvailable')
    return
  }
  leader.round++
  leader.reads.push({ token, round: leader.round, offset: r.highWatermark })
  answerReads(r, leader)
  wakeParked(r, leader, nowMs)
}

/** Answers the reads that a majority has confirmed. */
export function answerReads(r: RaftReplica, leader: LeaderData): void {
  if (leader.reads.length === 0) return
  const confirmed = confirmedRound(r, leader)
  let done = 0
  for (const { token, round, offset } of leader.reads) {
    if (round > confirmed) break
    r.emit({ type: 'readReady', token, offset })
    done++
  }
  leader.reads.splice(0, done)
}

function confirmedRound(r: RaftReplica, leader: LeaderData): number {
  if (planted('readWithoutRound')) return leader.round
  const { voters, majority } = r.voters.current
  const rounds = voters.map((voter) => {
    if (voter.id === r.config.self.id) return leader.round
    let round = -1
    for (const progress of leader.progress.values()) {
      if (progress.key.id === voter.id && r.voters.current.has(progress.key))
        round = Math.max(round, progress.round)
    }
    return round
  })
  rounds.sort((a, b) => b - a)
  return rounds[majority - 1] ?? -1
}

import { becomeCandidate } from './candidate.ts'
import type { EventOf } from './events.ts'
import { becomeUnattached, follow, move } from './leadership.ts'
import type { RaftReplica } from './raftReplica.ts'
import type { VotingData } from './states.ts'
import { askForVotes, countVote, newRound, type Standing, standing } from './votingRound.ts'

/*
 * Prospective: asks everybody whether they would vote for it, and changes nobody's epoch, its own included, unless a
 * majority would. So a replica that was cut off does not depose a leader when it comes back. Source: KIP-996.
 */

/** Asks for pre-votes. `leaderId` is the leader to go back to, -1 for none. */
export function becomeProspective(r: RaftReplica, leaderId: number, unclean: boolean, nowMs: number): void {
  const data = newRound(r, 'prospective', leaderId, unclean, nowMs)
  move(r, data)
  askForVotes(r, data)
  settle(r, data, standing(r, data), nowMs)
}

/** Counts a pre-vote. */
export function prospectiveVote(r: RaftReplica, event: EventOf<'voteResponse'>, nowMs: number): void {
  const data = r.state as VotingData
  settle(r, data, countVote(r, data, event, nowMs), nowMs)
}

/** An operator accepts losses: what has been counted may be enough already. */
export function prospectiveUnclean(
  r: RaftReplica,
  { token }: EventOf<'uncleanElection'>,
  nowMs: number,
): void {
  const data = r.state as VotingData
  data.unclean = true
  r.emit({ type: 'done', token })
  settle(r, data, standing(r, data), nowMs)
}

/** Gives up after an election timeout. */
export function prospectiveTimer(r: RaftReplica, _: EventOf<'timerFired'>, nowMs: number): void {
  const data = r.state as VotingData
  if (nowMs >= data.electionDeadlineMs) giveUp(r, data, nowMs)
}

function settle(r: RaftReplica, data: VotingData, how: Standing | null, nowMs: number): void {
  if (how === 'won') {
    // A start that nobody has recorded waits: the answers that record it are on their way.
    if (r.isConfirmed || r.voters.current.isOnly(r.config.self)) becomeCandidate(r, data.unclean, nowMs)
  } else if (how === 'lost') giveUp(r, data, nowMs)
}

function giveUp(r: RaftReplica, { leaderId }: VotingData, nowMs: number): void {
  if (leaderId >= 0) follow(r, leaderId, r.epoch, nowMs)
  else becomeUnattached(r, r.epoch, r.standDeadline(nowMs), nowMs)
}

import type { EventOf } from './events.ts'
import { becomeLeader } from './leader.ts'
import { move } from './leadership.ts'
import { planted } from './planted.ts'
import { becomeProspective } from './prospective.ts'
import type { RaftReplica } from './raftReplica.ts'
import type { VotingData } from './states.ts'
import { askForVotes, countVote, newRound, type Standing, standing } from './votingRound.ts'

/* Candidate: has moved to the next epoch, voted for itself, and asks for the votes that make it leader. */

/** Begins an election: epoch and own vote are written before anybody is asked. Source: Raft section 5.2. */
export function becomeCandidate(r: RaftReplica, unclean: boolean, nowMs: number): void {
  r.persist({ leaderEpoch: r.epoch + 1, leaderId: -1, voted: r.config.self })
  const data = newRound(r, 'candidate', -1, unclean, nowMs)
  move(r, data)
  askForVotes(r, data)
  if (standing(r, data) === 'won') leadOnceVoteIsDurable(r, data, nowMs)
}

/**
 * Its own vote is enough. Whoever answers has seen the question, which leaves after that vote is durable; here nobody is asked,
 * and a crash would forget the vote while another replica may win the same epoch.
 */
function leadOnceVoteIsDurable(r: RaftReplica, data: VotingData, nowMs: number): void {
  if (planted('leadsBeforeOwnVote')) becomeLeader(r, data, nowMs)
  else r.emit({ type: 'confirmVote', epoch: r.epoch })
}

/** The vote that is enough counts now. */
export function candidateVoteDurable(r: RaftReplica, event: EventOf<'voteDurable'>, nowMs: number): void {
  const data = r.state as VotingData
  if (event.epoch === r.epoch) settle(r, data, standing(r, data), nowMs)
}

/** Asks again in the same epoch after a restart: the vote is its own, and whoever gave one gives it again. */
export function resumeCandidate(r: RaftReplica, nowMs: number): void {
  const data = newRound(r, 'candidate', -1, false, nowMs)
  r.enter(data)
  askForVotes(r, data)
}

/** Counts a vote. */
export function candidateVote(r: RaftReplica, event: EventOf<'voteResponse'>, nowMs: number): void {
  const data = r.state as VotingData
  settle(r, data, countVote(r, data, event, nowMs), nowMs)
}

/** An operator accepts losses: what has been counted may be enough already. */
export function candidateUnclean(r: RaftReplica, { token }: EventOf<'uncleanElection'>, nowMs: number): void {
  const data = r.state as VotingData
  data.unclean = true
  r.emit({ type: 'done', token })
  const how = standing(r, data)
  if (how === 'won') leadOnceVoteIsDurable(r, data, nowMs)
  else settle(r, data, how, nowMs)
}

/** Starts over by asking whether it would win; the epoch stays as it is meanwhile. */
export function candidateTimer(r: RaftReplica, _: EventOf<'timerFired'>, nowMs: number): void {
  const data = r.state as VotingData
  if (nowMs >= data.electionDeadlineMs) becomeProspective(r, -1, data.unclean, nowMs)
}

function settle(r: RaftReplica, data: VotingData, how: Standing | null, nowMs: number): void {
  if (how === 'won') becomeLeader(r, data, nowMs)
  else if (how === 'lost') {
    // Whoever else stood waits for another time than this one.
    const { electionTimeoutMs, retryBackoffMs } = r.config
    const retryMs = nowMs + retryBackoffMs + r.random.below(electionTimeoutMs)
    data.electionDeadlineMs = Math.min(data.electionDeadlineMs, retryMs)
  }
}

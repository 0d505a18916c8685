import { checkAddress, isEpoch, isNodeId, isOffset } from './checks.ts'
import { compareLogs } from './epochHistory.ts'
import type { EventOf } from './events.ts'
import { recordedOf, recordIncarnation } from './incarnations.ts'
import { move, raiseEpoch } from './leadership.ts'
import type { VoteRequest } from './messages.ts'
import { planted } from './planted.ts'
import type { RaftReplica } from './raftReplica.ts'
import { fitsReplica, sameReplica } from './replicaKey.ts'
import type { StateData } from './states.ts'
import { askForVote } from './votingRound.ts'

/**
 * Answers a request for a vote, binding or not. A higher epoch is taken over before anything else. A binding vote is
 * written before it is answered. Source: Raft section 5.2 and 5.4.1, KIP-595, KIP-996.
 */
export function answerVote(r: RaftReplica, event: EventOf<'voteRequest'>, nowMs: number): void {
  const { request, replyTo } = event
  const error = checkVote(r, request)
  if (error !== null) {
    r.respond(replyTo, {
      type: 'vote',
      ...r.currentLeader(error),
      voteGranted: false,
      quarantined: false,
      recorded: error === 'fencedLeaderEpoch' ? recordedOf(r, request.candidate) : null,
    })
    return
  }
  if (request.replicaEpoch > r.epoch) raiseEpoch(r, request.replicaEpoch, nowMs)
  const isLatestStart = recordIncarnation(r, request.incarnation)
  const voteGranted = isLatestStart && (request.preVote ? grantsPreVote(r, request) : grantsVote(r, request))
  const answer = (): void =>
    r.respond(replyTo, {
      type: 'vote',
      ...r.currentLeader('none'),
      voteGranted,
      quarantined: r.quorum.quarantine !== 'none' && !planted('quarantinedVotes'),
      recorded: recordedOf(r, request.incarnation),
    })
  if (planted('voteAnsweredBeforePersist')) answer()
  if (voteGranted && !request.preVote) vote(r, request, nowMs)
  if (!planted('voteAnsweredBeforePersist')) answer()
  if (!request.preVote && !r.isConfirmed) askForVote(r, request.candidate, true)
}

function checkVote(r: RaftReplica, request: VoteRequest) {
  const { candidate, replicaEpoch, lastOffset, lastOffsetEpoch } = request
  const addressee = planted('newDirectoryVotes') ? null : request.voter
  const error = checkAddress(r, request.clusterId, addressee)
  if (error !== null) return error
  if (
    !isEpoch(replicaEpoch) ||
    !isEpoch(lastOffsetEpoch) ||
    !isOffset(lastOffset) ||
    !isNodeId(candidate.id)
  ) {
    return 'invalidRequest'
  }
  // A log never has an epoch above that of its replica.
  if (candidate.id === r.config.self.id || lastOffsetEpoch > replicaEpoch) return 'invalidRequest'
  if (request.preVote ? false : lastOffsetEpoch >= replicaEpoch) return 'invalidRequest'
  return replicaEpoch < r.epoch ? 'fencedLeaderEpoch' : null
}

/** Whether the candidate's log is at least as long as the own one. */
function isLongEnough(r: RaftReplica, request: VoteRequest): boolean {
  if (planted('voteForShorterLog')) return true
  const { lastOffsetEpoch, lastOffset, votersVersion } = request
  return compareLogs({ epoch: lastOffsetEpoch, endOffset: lastOffset, votersVersion }, r.log.end) >= 0
}

/** A pre-vote binds nobody and changes nothing. Whoever has a leader that answers keeps it. */
function grantsPreVote(r: RaftReplica, request: VoteRequest): boolean {
  const { state } = r
  if (state.name === 'leader' || r.quorum.quarantine === 'rolledBack') return false
  if ('hasFetched' in state && state.hasFetched) return false
  return isLongEnough(r, request)
}

function grantsVote(r: RaftReplica, request: VoteRequest): boolean {
  // I16: a disk that went back may have forgotten votes; a start that nobody has recorded may be of such a disk.
  if (r.quorum.quarantine === 'rolledBack' || !r.isConfirmed) return false
  const { voted } = r.quorum
  if (voted !== null && !planted('voteTwice') && !sameReplica(voted, request.candidate)) return false
  // Compared again when the same candidate asks again: it may have restarted with less.
  const isLong = isLongEnough(r, request) || (voted !== null && planted('voteAgainUnchecked'))
  return mayVote(r.state) && isLong
}

/** Whether a replica in this state gives votes in its own epoch. */
function mayVote(state: StateData): boolean {
  switch (state.name) {
    case 'unattached':
    case 'voted':
      return true
    case 'prospective':
    case 'observer':
      return state.leaderId < 0
    default:
      return false
  }
}

function vote(r: RaftReplica, { candidate }: VoteRequest, nowMs: number): void {
  r.persist({ voted: candidate })
  if (r.state.name === 'observer') return
  if (!fitsReplica(candidate, r.config.self))
    move(r, { name: 'voted', electionDeadlineMs: r.electionDeadline(nowMs) })
}

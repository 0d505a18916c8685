import type { EventOf } from './events.ts'
import { learnRecorded } from './incarnations.ts'
import { learn } from './leadership.ts'
import { planted } from './planted.ts'
import type { RaftReplica } from './raftReplica.ts'
import type { ReplicaKey } from './replicaKey.ts'
import type { VotingData } from './states.ts'

/** How a round of votes stands. */
export type Standing = 'open' | 'won' | 'lost'

/** Begins a round with the own vote in it. The caller has written that vote if it binds, and sends the requests next. */
export function newRound(
  r: RaftReplica,
  name: VotingData['name'],
  leaderId: number,
  unclean: boolean,
  nowMs: number,
): VotingData {
  const self = new Set([r.config.self.id])
  const isQuarantined = r.quorum.quarantine !== 'none' && !planted('quarantinedVotes')
  return {
    name,
    electionDeadlineMs: r.electionDeadline(nowMs),
    leaderId,
    requests: new Set(),
    granted: isQuarantined ? new Set() : self,
    quarantinedGranted: isQuarantined ? self : new Set(),
    rejected: new Set(),
    unclean,
  }
}

/** Asks every other voter. */
export function askForVotes(r: RaftReplica, data: VotingData): void {
  const { self } = r.config
  for (const { id, directoryId } of r.voters.current.voters) {
    if (id === self.id) continue
    data.requests.add(askForVote(r, { id, directoryId }, data.name === 'prospective'))
  }
}

/**
 * Asks one voter. A pre-vote also has this start recorded: a replica that may not vote yet asks for one whoever wants its
 * vote, since it may be no voter as far as it knows, and would not ask on its own.
 */
export function askForVote(r: RaftReplica, voter: ReplicaKey, preVote: boolean): number {
  return r.send(voter.id, {
    type: 'vote',
    clusterId: r.config.clusterId,
    voter,
    replicaEpoch: r.epoch,
    candidate: r.config.self,
    lastOffsetEpoch: r.log.lastEpoch,
    lastOffset: r.log.endOffset,
    preVote,
    votersVersion: r.log.votersVersion,
    incarnation: r.incarnation,
  })
}

/** Counts an answer to this round once; null when it is none, or when it moved the replica to another state. */
export function countVote(
  r: RaftReplica,
  data: VotingData,
  event: EventOf<'voteResponse'>,
  nowMs: number,
): Standing | null {
  const { response, from, requestId } = event
  const isOfRound = data.requests.delete(requestId) || planted('staleVoteCounts')
  learnRecorded(r, from, response.recorded, nowMs)
  if (learn(r, response, nowMs) || r.state !== data || !isOfRound) return null
  if (response.error !== 'none' || !response.voteGranted) data.rejected.add(from)
  else if (response.quarantined) data.quarantinedGranted.add(from)
  else data.granted.add(from)
  return standing(r, data)
}

/**
 * A majority of those that have forgotten nothing wins. When there are not enough of them, everybody has to agree: then
 * nobody has a longer log, and nobody is left to elect another leader. Source: fault model, section 2.
 */
export function standing(r: RaftReplica, data: VotingData): Standing {
  const { voters, size, majority } = r.voters.current
  const needed = planted('halfIsMajority') ? size >> 1 || 1 : majority
  let granted = 0
  let agreed = 0
  let rejected = 0
  for (const { id } of voters) {
    if (data.granted.has(id)) granted++
    else if (data.quarantinedGranted.has(id)) agreed++
    else if (data.rejected.has(id)) rejected++
  }
  if (granted >= needed || granted + agreed === size || (data.unclean && granted + agreed >= needed))
    return 'won'
  const possible = size - rejected - (data.unclean ? 0 : agreed)
  return rejected > 0 && possible < needed ? 'lost' : 'open'
}

/** Whether the votes of those that may have forgotten something decided. */
export function wonByAll(r: RaftReplica, data: VotingData): boolean {
  const { voters, majority } = r.voters.current
  return voters.filter(({ id }) => data.granted.has(id)).length < majority
}

import { resumeCandidate } from './candidate.ts'
import { newFetchLoop, startFetching } from './fetchLoop.ts'
import { newLeader } from './leader.ts'
import { fetchDeadline, standDeadline } from './leadership.ts'
import { planted } from './planted.ts'
import { becomeProspective } from './prospective.ts'
import type { RaftReplica } from './raftReplica.ts'
import { sameReplica } from './replicaKey.ts'
import { askForVote } from './votingRound.ts'

/** How many starts a disk may go back, and be started anew, without a peer that takes it for a later one. */
const mostNonces = 16

/**
 * Takes up what the disk holds. A former leader comes back resigned, since it may not lead its epoch again; a candidate as
 * one; others as followers or with their vote. A single voter needs no timeout. Source: KIP-595.
 */
export function begin(r: RaftReplica, mayHaveForgotten: boolean, nowMs: number): void {
  // Written before anything is said or answered: the next start must not find it gone.
  const { incarnation, startNonce, earlierNonces } = r.incarnation
  r.persist({ incarnation, startNonces: [startNonce, ...earlierNonces].slice(0, mostNonces) })
  if (mayHaveForgotten && r.quorum.quarantine === 'none') r.persist({ quarantine: 'forgotten' })
  announce(r)
  const { leaderId, voted } = r.quorum
  const { self } = r.config
  const isFirst = r.config.standsFirst === true && r.epoch === 0
  const electionDeadlineMs = isFirst ? r.standDeadline(nowMs) : r.electionDeadline(nowMs)
  if (!r.isVoter) {
    r.enter({ name: 'observer', ...newFetchLoop(-1, nowMs), standAtMs: standDeadline(r, nowMs) })
    startFetching(r, nowMs)
  } else if (r.voters.current.isOnly(self) && r.quorum.quarantine !== 'rolledBack') {
    r.isConfirmed = true
    r.enter({ name: voted === null ? 'unattached' : 'voted', electionDeadlineMs })
    becomeProspective(r, -1, false, nowMs)
  } else if (leaderId === self.id) {
    r.enter(planted('leaderReturnsAsLeader') ? newLeader(r, nowMs) : { name: 'resigned', electionDeadlineMs })
  } else if (leaderId >= 0) {
    r.enter({ name: 'follower', ...newFetchLoop(leaderId, nowMs), fetchDeadlineMs: fetchDeadline(r, nowMs) })
    startFetching(r, nowMs)
  } else if (
    voted !== null &&
    sameReplica(voted, self) &&
    r.isConfirmed &&
    r.quorum.quarantine !== 'rolledBack'
  ) {
    resumeCandidate(r, nowMs)
  } else {
    r.enter({ name: voted === null ? 'unattached' : 'voted', electionDeadlineMs })
  }
}

/** Has this start recorded by every peer that answers. */
function announce(r: RaftReplica): void {
  if (r.config.confirmation !== 'peers') return
  for (const { id, directoryId } of r.voters.current.voters) {
    if (id !== r.config.self.id) askForVote(r, { id, directoryId }, true)
  }
}

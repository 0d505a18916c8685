import type { EventOf } from './events.ts'
import { becomeProspective } from './prospective.ts'
import type { RaftReplica } from './raftReplica.ts'
import type { FreeData } from './states.ts'

/*
 * Unattached: this epoch has no leader that the replica knows, and it has not voted in it. It waits to be asked, to
 * hear of a leader, or to run out of patience. `voted.ts` is the same after a vote.
 */

/** Asks whether it would win once nobody else has. */
export function unattachedTimer(r: RaftReplica, _: EventOf<'timerFired'>, nowMs: number): void {
  const data = r.state as FreeData
  if (nowMs < data.electionDeadlineMs) return
  if (!r.mayStand || r.standsBack(nowMs)) data.electionDeadlineMs = r.electionDeadline(nowMs)
  else becomeProspective(r, -1, false, nowMs)
}

/** An operator does not wait. */
export function uncleanElection(r: RaftReplica, event: EventOf<'uncleanElection'>, nowMs: number): void {
  if (!r.mayStand) {
    r.refuse(event.token, 'ineligibleReplica')
    return
  }
  r.emit({ type: 'done', token: event.token })
  becomeProspective(r, -1, true, nowMs)
}

import { emptyFetchResponse } from './fetchResponse.ts'
import type { RaftReplica } from './raftReplica.ts'
import type { LeaderData } from './states.ts'

/** Tells everybody who waits at a former leader that it leads no longer. */
export function answerWaiting(r: RaftReplica, leader: LeaderData): void {
  for (const { parked } of leader.progress.values()) {
    if (parked === null) continue
    r.respond(parked.replyTo, { type: 'fetch', ...emptyFetchResponse(r, 'notLeaderOrFollower') })
  }
  for (const { token } of leader.reads) r.refuse(token, 'notLeaderOrFollower')
  if (leader.transfer !== null) r.emit({ type: 'done', token: leader.transfer.token })
  const { change } = leader
  if (change === null) return
  if (change.kind === 'upgrade') r.refuse(change.replyTo, 'notLeaderOrFollower')
  else if (change.joining !== null || change.ackWhenCommitted) {
    r.respond(change.replyTo, { type: change.kind, ...r.currentLeader('notLeaderOrFollower') })
  }
}

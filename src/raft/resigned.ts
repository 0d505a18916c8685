import type { EventOf } from './events.ts'
import { becomeObserver, becomeUnattached, move } from './leadership.ts'
import type { RaftReplica } from './raftReplica.ts'
import type { ReplicaKey } from './replicaKey.ts'
import type { LeaderData, ResignedData } from './states.ts'

/* Resigned: led this epoch and does so no longer. It votes for nobody in it; voters are told to elect another leader. */

/** Gives the lead up and says who should have it next: whoever holds most and can read it. Source: KIP-595. */
export function resign(r: RaftReplica, nowMs: number, first: ReplicaKey | null = null): void {
  const leader = r.state as LeaderData
  const successors = [...leader.progress.values()]
    .filter(({ key, isQuarantined }) => r.voters.current.has(key) && !isQuarantined)
    .sort(
      (a, b) =>
        Number(a.isDamaged) - Number(b.isDamaged) ||
        b.claimOffset - a.claimOffset ||
        b.fetchOffset - a.fetchOffset ||
        a.key.id - b.key.id,
    )
    .map(({ key }) => key)
  const preferredCandidates =
    first === null ? successors : [first, ...successors.filter(({ id }) => id !== first.id)]
  for (const { id } of r.voters.current.voters) {
    if (id === r.config.self.id) continue
    r.send(id, {
      type: 'endQuorumEpoch',
      clusterId: r.config.clusterId,
      leaderId: r.config.self.id,
      leaderEpoch: r.epoch,
      preferredCandidates,
    })
  }
  move(r, { name: 'resigned', electionDeadlineMs: r.electionDeadline(nowMs) })
}

/** Leaves the resigned state after an election timeout: the epoch that was led is over for good. */
export function resignedTimer(r: RaftReplica, _: EventOf<'timerFired'>, nowMs: number): void {
  const { electionDeadlineMs } = r.state as ResignedData
  if (nowMs < electionDeadlineMs) return
  if (r.isVoter) becomeUnattached(r, r.epoch + 1, r.electionDeadline(nowMs), nowMs)
  else becomeObserver(r, -1, nowMs)
}

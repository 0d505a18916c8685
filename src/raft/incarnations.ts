import { planted } from './planted.ts'
import type { Incarnation } from './quorumState.ts'
import type { RaftReplica } from './raftReplica.ts'
import { fitsReplica, type ReplicaKey, sameReplica } from './replicaKey.ts'

/** What is recorded of a replica, null for nothing. */
export function recordedOf(r: RaftReplica, seen: ReplicaKey): Incarnation | null {
  return r.quorum.incarnations.find((known) => sameReplica(known, seen)) ?? null
}

/**
 * Records a peer's start, durably and before anything is answered. False for a start that is not the latest: an old
 * request that comes late, or a disk that went back. Observers are not recorded: nothing rests on their memory.
 */
export function recordIncarnation(r: RaftReplica, seen: Incarnation): boolean {
  const voter = r.voters.current.get(seen.id)
  if (voter === null || !fitsReplica(voter, seen)) return true
  const known = recordedOf(r, seen)
  if (known !== null && known.incarnation >= seen.incarnation) {
    return known.incarnation === seen.incarnation && known.startNonce === seen.startNonce
  }
  const others = r.quorum.incarnations.filter(({ id }) => id !== seen.id)
  const { id, directoryId, incarnation, startNonce } = seen
  r.persist({ incarnations: [...others, { id, directoryId, incarnation, startNonce }] })
  return true
}

/** Learns what a peer has recorded of this replica: its consent to this start, or that the disk went back. */
export function learnRecorded(r: RaftReplica, from: number, recorded: Incarnation | null): void {
  if (recorded === null || !sameReplica(recorded, r.config.self)) return
  const { incarnation, startNonce } = r.incarnation
  if (
    recorded.incarnation > incarnation ||
    (recorded.incarnation === incarnation && recorded.startNonce !== startNonce)
  ) {
    if (!planted('rollbackUnnoticed')) {
      rolledBack(
        r,
        `start ${incarnation} comes after start ${recorded.incarnation}, which node ${from} has seen`,
      )
    }
  } else if (recorded.incarnation === incarnation) {
    r.confirmedBy.add(from)
    // Half of the others and this one: more would let one dead node of three keep a second one from voting.
    if (r.confirmedBy.size >= r.voters.current.size >> 1) r.isConfirmed = true
  }
}

/** The disk is an earlier state of itself: no vote, no candidacy, no claim until the replica is rebuilt. */
export function rolledBack(r: RaftReplica, detail: string): void {
  if (r.quorum.quarantine === 'rolledBack') return
  r.persist({ quarantine: 'rolledBack' })
  r.alarm('rolledBack', r.config.self.id, r.log.endOffset, detail)
}

import { becomeUnattached } from './leadership.ts'
import { planted } from './planted.ts'
import type { Incarnation } from './quorumState.ts'
import type { RaftReplica } from './raftReplica.ts'
import { type ReplicaKey, sameReplica } from './replicaKey.ts'
import { resign } from './resigned.ts'

/** What is recorded of a replica, null for nothing. */
export function recordedOf(r: RaftReplica, seen: ReplicaKey): Incarnation | null {
  return r.quorum.incarnations.find((known) => sameReplica(known, seen)) ?? null
}

/** How many starts of replicas that are no voters, as far as is known here, are remembered. */
const mostStrangers = 16

/**
 * Records a peer's start, durably and before anything is answered. False for a start that is not the latest: an old
 * request that comes late, or a disk that went back. Whoever asks for votes is recorded although it may be no voter as
 * far as this replica knows: the set with it may not have come here yet.
 */
export function recordIncarnation(r: RaftReplica, seen: Incarnation): boolean {
  const known = recordedOf(r, seen)
  if (known !== null) {
    if (isSameStart(known, seen)) return true
    if (!isBefore(known, seen) && !planted('rollbackUnnoticed')) return false
  }
  const others = r.quorum.incarnations.filter((other) => !sameReplica(other, seen))
  const strangers = others.filter((other) => !r.voters.current.has(other))
  const kept = strangers.length < mostStrangers ? others : others.filter((other) => other !== strangers[0])
  const { id, directoryId, incarnation, startNonce } = seen
  r.persist({ incarnations: [...kept, { id, directoryId, incarnation, startNonce, earlierNonces: [] }] })
  return true
}

function isSameStart(a: Incarnation, b: Incarnation): boolean {
  return a.incarnation === b.incarnation && a.startNonce === b.startNonce
}

/** Whether `later` is a start of the disk that `known` was one of: it has that one among its own, if it still can. */
function isBefore(known: Incarnation, later: Incarnation): boolean {
  const ago = later.incarnation - known.incarnation
  const nonce = later.earlierNonces[ago - 1]
  return ago > 0 && (nonce === undefined || nonce === known.startNonce)
}

/** Learns what a peer has recorded of this replica: its consent to this start, or that the disk went back. */
export function learnRecorded(
  r: RaftReplica,
  from: number,
  recorded: Incarnation | null,
  nowMs: number,
): void {
  if (recorded === null || !sameReplica(recorded, r.config.self)) return
  const own = r.incarnation
  const isOwn = isSameStart(recorded, own)
  if (!isOwn && !isBefore(recorded, own) && !planted('rollbackUnnoticed')) {
    r.accusedBy.add(from)
    const detail = `start ${own.incarnation} does not follow start ${recorded.incarnation}, which node ${from} has seen`
    rolledBack(r, detail, nowMs)
  } else if (isOwn || planted('rollbackUnnoticed')) {
    r.confirmedBy.add(from)
    // Half of the others and this one: more would let one dead node of three keep a second one from voting.
    if (r.confirmedBy.size >= r.voters.current.size >> 1) r.isConfirmed = true
  }
}

/**
 * The leader of this epoch, or of a later one, has answered: there is a majority without this replica, if it is quarantined for
 * good. Then it is known whether the disk has to begin anew, which one word alone does not prove: the leader's own does, those of as
 * many voters as confirm a start do, and so does what the replica knew of itself when it started.
 */
export function leaderAnswered(r: RaftReplica, leaderId: number): void {
  if (r.quorum.quarantine !== 'rolledBack' || r.mustBeginAnew) return
  const { accusedBy } = r
  const isProven =
    r.wasRolledBack ||
    accusedBy.has(leaderId) ||
    (accusedBy.size > 0 && accusedBy.size >= r.voters.current.size >> 1)
  if (!isProven) return
  r.mustBeginAnew = true
  const detail = `the disk has forgotten what others know of it; node ${leaderId} leads without it`
  r.alarm('mustBeginAnew', r.config.self.id, r.log.endOffset, detail)
}

/** The disk is an earlier state of itself (I16): no vote, no candidacy, no lead, no claim until the replica is rebuilt. */
export function rolledBack(r: RaftReplica, detail: string, nowMs: number): void {
  if (r.quorum.quarantine === 'rolledBack') return
  r.persist({ quarantine: 'rolledBack' })
  r.alarm('rolledBack', r.config.self.id, r.log.endOffset, detail)
  const { name } = r.state
  if (name === 'leader') resign(r, nowMs)
  else if (name === 'prospective' || name === 'candidate') {
    becomeUnattached(r, r.epoch, r.electionDeadline(nowMs), nowMs)
  }
}

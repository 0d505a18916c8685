import { reached } from '../model/reached.ts'
import { zeroUuid } from '../model/uuid.ts'
import type { RaftRequest, RaftResponse } from '../raft/messages.ts'
import { type ReplicaKey, replicaText } from '../raft/replicaKey.ts'
import { check, isQuarantined } from './checkFacts.ts'
import type { Entries } from './checkLog.ts'
import type { CheckedReplica } from './checkReplica.ts'

interface Reign {
  readonly leader: string
  readonly session: number
  /** Somebody has been told, so that nobody may lead the epoch again. */
  isKnown: boolean
  isOver: boolean
}

/** Who votes for whom and who leads: I1, I9 and the part of I16 that is about votes. */
export class ElectionChecks {
  readonly #reigns = new Map<number, Reign>()
  /** Votes that count, by epoch and voter; true for those that a quarantined replica gave. */
  readonly #grants = new Map<number, Map<string, boolean>>()
  readonly #votes = new Map<number, Map<string, string>>()
  /** An operator lets doubtful votes count. */
  isLossAccepted = false

  /** A replica says that it leads `epoch` now. */
  leading(replica: CheckedReplica, epoch: number, entries: Entries): void {
    const { text, session } = replica
    const other = this.#reigns.get(epoch)
    if (other !== undefined) {
      check(
        other.leader === text && !other.isKnown && other.isOver,
        'I1',
        () => `${replica.name} leads epoch ${epoch}, which ${other.leader} leads or led`,
      )
      entries.forget(epoch, replica.endOffset)
    }
    this.#reigns.set(epoch, { leader: text, session, isKnown: false, isOver: false })
    check(!isQuarantined(replica.quorum), 'I16', () => `${replica.name} leads while it is quarantined`)
    this.#checkVotes(replica, epoch)
  }

  #checkVotes(replica: CheckedReplica, epoch: number): void {
    const { voters } = replica
    const grants = this.#grants.get(epoch)
    let granted = 0
    let doubtful = 0
    for (const voter of voters.voters) {
      const isSelf = voter.id === replica.node && voters.has(replica.key)
      const grant = isSelf ? replica.wasQuarantined : grantOf(grants, voter)
      if (grant === false) granted++
      else if (grant === true) doubtful++
    }
    // Whoever else voted had seen the question, which leaves when the own vote is durable.
    check(
      voters.size > 1 || !voters.has(replica.key) || replica.durableVote === epoch,
      'I1',
      () => `${replica.name} leads epoch ${epoch} by its own vote alone, which it may forget`,
    )
    const needed = this.isLossAccepted ? voters.majority : voters.size
    check(
      granted >= voters.majority || granted + doubtful >= needed,
      'I16',
      () => `${replica.name} leads epoch ${epoch} with ${granted} votes and ${doubtful} doubtful ones`,
    )
  }

  /** A message leaves a replica; `asked` is the request that it answers. */
  left(replica: CheckedReplica, message: RaftRequest | RaftResponse, asked: RaftRequest | null): void {
    const epoch = epochOf(message)
    // What is read from a disk for an answer may come when another epoch has begun.
    const isRead = asked !== null && (message.type === 'fetch' || message.type === 'fetchSnapshot')
    if (epoch >= 0 && (!isRead || epoch > replica.sentEpoch)) {
      check(
        epoch >= replica.sentEpoch,
        'I9',
        () => `${replica.text} goes back from epoch ${replica.sentEpoch} to ${epoch}`,
      )
      replica.sentEpoch = epoch
    }
    if ('leaderId' in message && message.leaderId === replica.node && epoch >= 0) {
      const reign = this.#reigns.get(epoch)
      if (reign !== undefined && reign.leader === replica.text) reign.isKnown = true
    }
    if (message.type !== 'vote') return
    if (asked === null) {
      if ('candidate' in message && !message.preVote)
        this.#voted(replica, message.replicaEpoch, replicaText(message.candidate))
    } else if (
      asked.type === 'vote' &&
      !asked.preVote &&
      'candidate' in asked &&
      'voteGranted' in message &&
      message.voteGranted
    ) {
      this.#granted(replica, asked.replicaEpoch, replicaText(asked.candidate))
    }
  }

  #granted(replica: CheckedReplica, epoch: number, candidate: string): void {
    this.#voted(replica, epoch, candidate)
    check(
      !replica.isRolledBack,
      'I16',
      () => `${replica.name} votes in epoch ${epoch} after its disk went back`,
    )
    let grants = this.#grants.get(epoch)
    if (grants === undefined) {
      grants = new Map()
      this.#grants.set(epoch, grants)
    }
    // A vote that was given before it was in doubt stays good: the log was compared then.
    if (grants.has(replica.text)) reached('voteAgain')
    if (grants.get(replica.text) !== false) grants.set(replica.text, isQuarantined(replica.quorum))
  }

  #voted(replica: CheckedReplica, epoch: number, candidate: string): void {
    let votes = this.#votes.get(epoch)
    if (votes === undefined) {
      votes = new Map()
      this.#votes.set(epoch, votes)
    }
    const before = votes.get(replica.text)
    check(
      before === undefined || before === candidate,
      'I9',
      () => `${replica.text} votes for ${before} and for ${candidate} in epoch ${epoch}`,
    )
    votes.set(replica.text, candidate)
    if (epoch >= replica.votedEpoch) {
      replica.votedEpoch = epoch
      replica.votedFor = candidate
    }
  }

  /** A replica starts; what it said before its end it still has to know. */
  started(replica: CheckedReplica): void {
    const { leaderEpoch, voted } = replica.quorum
    if (replica.isRolledBack) return
    check(
      leaderEpoch >= replica.sentEpoch,
      'I9',
      () => `${replica.text} comes back in epoch ${leaderEpoch} after it was in ${replica.sentEpoch}`,
    )
    check(
      leaderEpoch > replica.votedEpoch ||
        (leaderEpoch === replica.votedEpoch && voted !== null && replicaText(voted) === replica.votedFor),
      'I9',
      () => `${replica.text} comes back without its vote of epoch ${replica.votedEpoch}`,
    )
  }

  /** A replica ends: what nobody has heard of has not happened. */
  stopped(replica: CheckedReplica): void {
    for (const reign of this.#reigns.values()) {
      if (reign.leader === replica.text && reign.session === replica.session) reign.isOver = true
    }
  }
}

/** The vote of a voter, who is known by the id alone in a static set. */
function grantOf(grants: ReadonlyMap<string, boolean> | undefined, voter: ReplicaKey): boolean | undefined {
  if (grants === undefined || voter.directoryId !== zeroUuid) return grants?.get(replicaText(voter))
  const prefix = `${voter.id}/`
  for (const [key, grant] of grants) if (key.startsWith(prefix)) return grant
  return undefined
}

function epochOf(message: RaftRequest | RaftResponse): number {
  if ('replicaEpoch' in message) return message.replicaEpoch
  if ('currentLeaderEpoch' in message) return message.currentLeaderEpoch
  return 'leaderEpoch' in message ? message.leaderEpoch : -1
}

import type { SnapshotId } from '../raft/logView.ts'
import { type ReplicaKey, replicaText } from '../raft/replicaKey.ts'
import type { VotersEntry } from '../raft/voterHistory.ts'
import type { VoterSet } from '../raft/voterSet.ts'
import { check } from './checkFacts.ts'
import { type Entry, entryAt, indexFrom } from './checkLog.ts'
import type { CheckedReplica } from './checkReplica.ts'

/** What is committed in a group, and by whom: I3 to I8, I16 to I18. */
export class CommitChecks {
  /** Committed batches, one after the other. */
  readonly committed: Entry[] = []
  /** The epoch in which each of them was seen to be committed. */
  readonly #committedIn: number[] = []
  /** Epochs of which something is committed, and so their start. */
  readonly #epochs = new Set<number>()
  /** Replicas by node and directory. */
  readonly #replicas: ReadonlyMap<string, CheckedReplica>
  /** Replicas that run, or ran last, by node. */
  readonly #nodes: ReadonlyMap<number, CheckedReplica>

  constructor(replicas: ReadonlyMap<string, CheckedReplica>, nodes: ReadonlyMap<number, CheckedReplica>) {
    this.#replicas = replicas
    this.#nodes = nodes
  }

  /** Exclusive end of what is committed anywhere. */
  get end(): number {
    return (this.committed.at(-1)?.lastOffset ?? -1) + 1
  }

  at(offset: number): Entry | null {
    return entryAt(this.committed, offset)
  }

  /** A replica is about to cut its log. */
  dropping(replica: CheckedReplica, endOffset: number, epoch: number): void {
    // What is left of a log on a damaged disk is not known.
    if (replica.isDamaged) return
    for (let at = replica.epochStarts.length - 1; at >= 0; at--) {
      const start = replica.epochStarts[at]!
      if (start.epoch <= epoch) break
      check(
        !this.#epochs.has(start.epoch),
        'I5',
        () => `${replica.name} drops the start of epoch ${start.epoch}, which is committed`,
      )
    }
    const { entries } = replica
    for (let at = entries.length - 1; at >= 0 && entries[at]!.lastOffset >= endOffset; at--) {
      const { isCommitted, baseOffset } = entries[at]!
      check(!isCommitted, 'I5', () => `${replica.name} drops committed ${baseOffset}`)
    }
  }

  /** A replica is about to put a snapshot in the place of its log. */
  installing(replica: CheckedReplica, { endOffset, epoch }: SnapshotId): void {
    check(
      replica.state !== 'leader',
      'I18',
      () => `${replica.name} leads and loads the snapshot of ${endOffset}`,
    )
    check(
      endOffset <= this.end,
      'I18',
      () => `${replica.name} loads a snapshot of ${endOffset}, committed is ${this.end}`,
    )
    const last = this.at(endOffset - 1)
    check(
      last === null || last.epoch === epoch,
      'I18',
      () => `a snapshot of ${endOffset} names epoch ${epoch}, the log ${last?.epoch}`,
    )
    this.dropping(replica, endOffset, epoch)
  }

  /** The state machine of a replica has taken a snapshot. */
  snapshotTaken(replica: CheckedReplica, { endOffset }: SnapshotId, logStartOffset: number): void {
    check(
      logStartOffset <= endOffset,
      'I18',
      () => `${replica.name} cuts its log to ${logStartOffset} behind a snapshot of ${endOffset}`,
    )
    check(
      endOffset <= this.end,
      'I18',
      () => `${replica.name} takes a snapshot of ${endOffset}, committed is ${this.end}`,
    )
  }

  /** A replica learns that everything below `offset` is committed. */
  committing(replica: CheckedReplica, offset: number): void {
    const { name, highWatermark, endOffset, entries } = replica
    check(
      offset >= highWatermark,
      'I7',
      () => `the high watermark of ${name} goes back from ${highWatermark} to ${offset}`,
    )
    check(offset <= endOffset, 'I7', () => `the high watermark of ${name} is ${offset}, its log ${endOffset}`)
    const end = this.end
    const from = Math.max(highWatermark, replica.startOffset)
    for (let at = indexFrom(entries, from); at < entries.length; at++) {
      const entry = entries[at]!
      if (entry.baseOffset >= offset) break
      if (entry.baseOffset >= end) this.#commit(entry, replica.quorum.leaderEpoch)
      else {
        check(
          entry.isCommitted || this.at(entry.baseOffset) === entry,
          'I4',
          () => `${name} applies another record at ${entry.baseOffset}`,
        )
      }
    }
    check(
      offset <= this.end,
      'I4',
      () => `${name} takes ${offset} for committed and has no record at ${this.end}`,
    )
    replica.highWatermark = offset
    if (replica.state === 'leader') {
      this.#epochs.add(replica.quorum.leaderEpoch)
      this.#majority(replica, offset)
    }
  }

  #commit(entry: Entry, epoch: number): void {
    entry.isCommitted = true
    entry.isLost = false
    this.committed.push(entry)
    this.#committedIn.push(epoch)
  }

  /** I8 and I16: who holds it, and who has said so. */
  #majority(leader: CheckedReplica, offset: number): void {
    const { voters } = leader
    const last = leader.at(offset - 1)
    if (last === null) return
    let durable = 0
    let claimed = 0
    for (const voter of voters.voters) {
      if (this.#isDurable(voter, offset, last)) durable++
      const isSelf = voter.id === leader.node && voters.has(leader.key)
      const own = leader.isRelaxed ? leader.endOffset : leader.durableEnd
      const claim = isSelf ? own : this.#claimOf(leader, voter)
      if (claim >= offset) claimed++
    }
    check(
      leader.isRelaxed || durable >= voters.majority,
      'I8',
      () => `${leader.name} commits ${offset}, durable on ${durable} of ${voters.size}`,
    )
    check(
      claimed >= voters.majority,
      'I16',
      () => `${leader.name} commits ${offset} by ${claimed} claims of ${voters.size}`,
    )
  }

  #isDurable(voter: ReplicaKey, offset: number, last: Entry): boolean {
    const replica = this.#replicaOf(voter)
    return replica?.holdsDurably(offset, last) ?? false
  }

  #claimOf(leader: CheckedReplica, voter: ReplicaKey): number {
    const replica = this.#replicaOf(voter)
    return leader.claims.get(replica?.text ?? replicaText(voter)) ?? -1
  }

  /** The replica of a voter; in a static set every directory of the node fits. */
  #replicaOf(voter: ReplicaKey): CheckedReplica | null {
    return this.#replicas.get(replicaText(voter)) ?? this.#static(voter)
  }

  #static(voter: ReplicaKey): CheckedReplica | null {
    const replica = this.#nodes.get(voter.id)
    return replica !== undefined && replica.voters.get(voter.id)?.directoryId === voter.directoryId
      ? replica.voters.has(replica.key)
        ? replica
        : null
      : null
  }

  /** I3: a replica that leads has all that was committed before its epoch. */
  leading(leader: CheckedReplica, epoch: number): void {
    // A leader that was elected late, after a later epoch has begun, leads nobody.
    let at = this.committed.length - 1
    while (at >= 0 && this.#committedIn[at]! >= epoch) at--
    const last = at < 0 ? null : this.committed[at]!
    check(
      last === null ||
        last.lastOffset < leader.startOffset ||
        entryAt(leader.entries, last.baseOffset) === last,
      'I3',
      () => `${leader.name} leads epoch ${epoch} without ${last?.baseOffset}, which is committed`,
    )
    if (leader.kind !== 'partition') return
    for (const committed of this.#epochs) {
      check(
        committed >= epoch ||
          committed <= (leader.epochStarts[0]?.epoch ?? 0) ||
          leader.epochStarts.some((start) => start.epoch === committed),
        'I3',
        () => `${leader.name} leads epoch ${epoch} without the start of epoch ${committed}`,
      )
    }
  }

  /** I17: the set before is committed, and the new one differs from it by one voter. */
  changing(leader: CheckedReplica, entry: VotersEntry): void {
    const previous = leader.voterSets.findLast(
      ({ offset, version }) => offset < entry.offset || version < entry.version,
    )
    if (previous === undefined || previous.voters.size === 0) return
    check(
      previous.voters.overlaps(entry.voters) || isUpgrade(previous.voters, entry.voters),
      'I17',
      () => `the sets at ${previous.offset} and ${entry.offset} may miss each other`,
    )
    if (previous.offset < 0) return
    let holders = 0
    for (const voter of previous.voters.voters) {
      const replica = this.#replicaOf(voter)
      if (replica !== null && hasVoters(replica, previous)) holders++
    }
    check(
      holders >= previous.voters.majority,
      'I17',
      () => `a second change begins while the one at ${previous.offset} is on ${holders} disks`,
    )
  }

  /** Everybody who may have forgotten something agreed: what their longest log lacks is lost, from the offset given on. */
  losing(leader: CheckedReplica): number | null {
    const { committed } = this
    let lost: number | null = null
    const first = committed.findIndex(
      (entry) =>
        entry.lastOffset >= leader.startOffset && entryAt(leader.entries, entry.baseOffset) !== entry,
    )
    if (first >= 0) {
      lost = committed[first]!.baseOffset
      for (const entry of committed.splice(first)) {
        entry.isCommitted = false
        entry.isLost = true
      }
      this.#committedIn.splice(first)
    }
    for (const epoch of this.#epochs) {
      if (!leader.epochStarts.some((start) => start.epoch === epoch)) this.#epochs.delete(epoch)
    }
    return lost
  }
}

/** A static set becomes one with directories. */
function isUpgrade(before: VoterSet, after: VoterSet): boolean {
  return before.size === after.size && before.voters.every(({ id }) => after.get(id) !== null)
}

function hasVoters(replica: CheckedReplica, { offset, version }: VotersEntry): boolean {
  const has = (endOffset: number, votersVersion: number): boolean =>
    replica.kind === 'partition' ? votersVersion >= version : endOffset > offset
  return (
    has(replica.durableEnd, replica.durableVersion) ||
    replica.lost.some((log) => has(log.endOffset, log.votersVersion))
  )
}

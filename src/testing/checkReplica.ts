import type { Effect } from '../raft/effects.ts'
import type { EpochStart } from '../raft/epochHistory.ts'
import { type Incarnation, initialQuorumState, type QuorumState } from '../raft/quorumState.ts'
import { type ReplicaKey, replicaText, sameReplica } from '../raft/replicaKey.ts'
import type { RaftState } from '../raft/states.ts'
import type { VotersEntry } from '../raft/voterHistory.ts'
import { VoterSet } from '../raft/voterSet.ts'
import { check } from './checkFacts.ts'
import { type Entry, entryAt, indexFrom } from './checkLog.ts'

interface Pending {
  readonly sequence: number
  endOffset: number
  epoch: number
  votersVersion: number
}

/** What was durable of a replica at one moment. */
export interface DurableLog {
  readonly startOffset: number
  readonly endOffset: number
  readonly votersVersion: number
  readonly entries: readonly Entry[]
}

/** What a replica is known to hold: everything it did to its log, and what of that it was told to be durable. */
export class CheckedReplica {
  readonly node: number
  readonly key: ReplicaKey
  readonly text: string
  readonly kind: 'metadata' | 'partition'
  readonly isRelaxed: boolean
  /** Grows with every start. */
  session = 0
  isRunning = false
  state: RaftState = 'stopped'
  quorum: QuorumState = initialQuorumState
  /** Starts of others that its disk surely has: it began with them, or has told of them. */
  recorded: readonly Incarnation[] = []
  /** Whether it was quarantined before the step under way. */
  wasQuarantined = false
  /** Exclusive end of what it knows to be committed. */
  highWatermark = 0
  startOffset = 0
  endOffset = 0
  entries: Entry[] = []
  /** What it had before damage took its end, until it is used again; none while it is not damaged. */
  lostEntries: readonly Entry[] = []
  epochStarts: EpochStart[] = []
  voterSets: VotersEntry[] = []
  /** The set that applies. */
  voters: VoterSet = VoterSet.empty
  /** The highest log start that anybody allowed. */
  allowedStart = 0
  /** Where the log began, exclusive, when the replica was last told to take what it held as committed. */
  committedAtStart = 0
  /** The greatest epoch in a message that left. */
  sentEpoch = 0
  /** The latest epoch for which it was told that its own vote is durable. */
  durableVote = -1
  /** The latest binding vote that left. */
  votedEpoch = -1
  votedFor = ''
  /** Claims of others that reached it as the leader of its epoch. */
  readonly claims = new Map<string, number>()
  /** What was committed when a read was asked for, by token. */
  readonly reads = new Map<unknown, number>()
  /** Transfers of leadership that were asked for, by token. */
  readonly transfers = new Set<unknown>()
  isRolledBack = false
  /** Whether the group has taken it out since it began, so that its node may have deleted it. */
  mayBeGone = false
  /** Whether its power was cut, or its disk harmed, so that it may be in doubt about itself. */
  mayDoubt = false
  /** Faults within the budget may have taken what was durable. */
  isDamaged = false
  /** What was damaged once stays in its files, unserved, until somebody repairs it. */
  hasRotted = false
  /** Something was damaged that no start has seen yet. */
  hasRottedSinceStart = false
  durableEnd = 0
  durableEpoch = 0
  durableVersion = 0
  /** Disks of it that are gone, as they were. */
  readonly lost: DurableLog[] = []
  #pending: Pending[] = []
  #receivedVoters: VotersEntry | null = null

  constructor(node: number, key: ReplicaKey, kind: 'metadata' | 'partition', isRelaxed: boolean) {
    this.node = node
    this.key = key
    this.text = replicaText(key)
    this.kind = kind
    this.isRelaxed = isRelaxed
  }

  get lastEpoch(): number {
    return this.epochStarts.at(-1)?.epoch ?? 0
  }

  get last(): Entry | null {
    return this.entries.at(-1) ?? null
  }

  get name(): string {
    return `node ${this.node}`
  }

  at(offset: number): Entry | null {
    return entryAt(this.entries, offset)
  }

  /** What is durable of it now. */
  get durable(): DurableLog {
    return {
      startOffset: this.startOffset,
      endOffset: this.durableEnd,
      votersVersion: this.durableVersion,
      entries: this.entries,
    }
  }

  /** It says that it has recorded a start, which is durable then. */
  told(start: Incarnation): void {
    this.recorded = [...this.recorded.filter((other) => !sameReplica(other, start)), start]
  }

  /** The disk is gone, or an earlier one takes its place: what was on it counted until now. */
  loseDisk(): void {
    this.lost.push({ ...this.durable, entries: [...this.entries] })
  }

  /** Its epochs and votes may be gone with what held them: the next start is not asked for them. */
  forgetElections(): void {
    this.sentEpoch = 0
    this.votedEpoch = -1
  }

  /** Whether what it holds durably, or held on a disk that is gone, reaches `offset` by way of `last`. */
  holdsDurably(offset: number, last: Entry): boolean {
    if (holds(this.durable, offset, last)) return true
    for (const log of this.lost) if (holds(log, offset, last)) return true
    return false
  }

  append(entry: Entry, sequence: number): void {
    check(entry.baseOffset >= this.endOffset, 'I12', () => `${this.name} appends ${entry.baseOffset} again`)
    check(entry.lastOffset >= entry.baseOffset, 'I12', () => `${this.name} appends an empty batch`)
    this.entries.push(entry)
    this.lostEntries = []
    this.endOffset = entry.lastOffset + 1
    if (entry.epoch > this.lastEpoch) {
      this.epochStarts.push({ epoch: entry.epoch, startOffset: entry.baseOffset, votersVersion: 0 })
    }
    this.#write(sequence)
  }

  appendVoters(offset: number, voters: VoterSet): void {
    this.voterSets.push({ offset, version: 0, voters })
  }

  markEpoch({ start, sequence }: Extract<Effect, { type: 'markEpoch' }>): void {
    check(start.epoch > this.lastEpoch, 'I2', () => `${this.name} begins epoch ${start.epoch} again`)
    this.epochStarts.push(start)
    this.#write(sequence)
  }

  storeVoters({ mark, sequence }: Extract<Effect, { type: 'storeVoters' }>): void {
    this.voterSets.push({ ...mark, voters: new VoterSet(mark.voters) })
    this.#write(sequence)
  }

  truncate({ to, sequence }: Extract<Effect, { type: 'truncate' }>): void {
    this.entries.length = indexFrom(this.entries, to.endOffset)
    this.lostEntries = []
    this.endOffset = to.endOffset
    // What is cut below it was lost by those who vote: otherwise the cut is refused.
    this.highWatermark = Math.min(this.highWatermark, to.endOffset)
    this.epochStarts = this.epochStarts.filter(
      ({ epoch, startOffset }) => epoch <= to.epoch && startOffset <= to.endOffset,
    )
    const isPartition = this.kind === 'partition'
    while (this.voterSets.length > 1) {
      const { version, offset } = this.voterSets.at(-1)!
      if (isPartition ? version <= to.votersVersion : offset < to.endOffset) break
      this.voterSets.pop()
    }
    this.#cap(to.endOffset, this.lastEpoch, to.votersVersion)
    this.#write(sequence)
  }

  received(voters: VotersEntry): void {
    this.#receivedVoters = voters
  }

  install({ snapshotId, sequence }: Extract<Effect, { type: 'installSnapshot' }>): void {
    const { endOffset, epoch } = snapshotId
    this.entries = []
    this.startOffset = endOffset
    this.endOffset = endOffset
    this.allowedStart = Math.max(this.allowedStart, endOffset)
    const voters = this.#receivedVoters
    const votersVersion = voters?.version ?? 0
    this.epochStarts = epoch === 0 ? [] : [{ epoch, startOffset: Math.max(0, endOffset - 1), votersVersion }]
    if (voters !== null) this.voterSets = [{ ...voters, offset: endOffset - 1 }]
    this.#cap(0, 0, 0)
    this.#write(sequence)
  }

  /** Records below are in a snapshot, and may be gone. */
  cutBefore(offset: number): void {
    this.allowedStart = Math.max(this.allowedStart, offset)
    if (offset <= this.startOffset) return
    this.startOffset = offset
    this.entries.splice(0, indexFrom(this.entries, offset))
    const epoch = this.epochStarts.findLastIndex((start) => start.startOffset < offset)
    if (epoch > 0) this.epochStarts.splice(0, epoch)
    const voters = this.voterSets.findLastIndex((entry) => entry.offset < offset)
    if (voters > 0) this.voterSets.splice(0, voters)
  }

  flushed(sequence: number): void {
    const pending = this.#pending
    let done = 0
    while (done < pending.length && pending[done]!.sequence <= sequence) done++
    if (done === 0) return
    const { endOffset, epoch, votersVersion } = pending[done - 1]!
    this.durableEnd = endOffset
    this.durableEpoch = epoch
    this.durableVersion = votersVersion
    pending.splice(0, done)
  }

  /** What is durable and would stay so whatever of the writes under way happens. */
  get surely(): { readonly endOffset: number; readonly epoch: number; readonly votersVersion: number } {
    let { durableEnd: endOffset, durableEpoch: epoch, durableVersion: votersVersion } = this
    for (const write of this.#pending) {
      endOffset = Math.min(endOffset, write.endOffset)
      epoch = Math.min(epoch, write.epoch)
      votersVersion = Math.min(votersVersion, write.votersVersion)
    }
    return { endOffset, epoch, votersVersion }
  }

  /** Everything that the log holds is durable, as at a start, and no write is under way. */
  settle(): void {
    this.#pending = []
    this.durableEnd = this.endOffset
    this.durableEpoch = this.lastEpoch
    this.durableVersion = this.voterSets.at(-1)?.version ?? 0
  }

  #write(sequence: number): void {
    const votersVersion = this.kind === 'partition' ? (this.voterSets.at(-1)?.version ?? 0) : 0
    this.#pending.push({ sequence, endOffset: this.endOffset, epoch: this.lastEpoch, votersVersion })
  }

  #cap(endOffset: number, epoch: number, votersVersion: number): void {
    this.durableEnd = Math.min(this.durableEnd, endOffset)
    this.durableEpoch = Math.min(this.durableEpoch, epoch)
    this.durableVersion = Math.min(this.durableVersion, votersVersion)
    for (const write of this.#pending) {
      write.endOffset = Math.min(write.endOffset, endOffset)
      write.epoch = Math.min(write.epoch, epoch)
      write.votersVersion = Math.min(write.votersVersion, votersVersion)
    }
  }
}

function holds(log: DurableLog, offset: number, last: Entry): boolean {
  return log.endOffset >= offset && (offset <= log.startOffset || entryAt(log.entries, offset - 1) === last)
}

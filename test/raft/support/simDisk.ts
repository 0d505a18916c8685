import type { Effect } from '../../../src/raft/effects.ts'
import type { EpochStart } from '../../../src/raft/epochHistory.ts'
import type { SnapshotId } from '../../../src/raft/logView.ts'
import type { Batch } from '../../../src/raft/messages.ts'
import { initialQuorumState, type QuorumState } from '../../../src/raft/quorumState.ts'
import type { VotersEntry } from '../../../src/raft/voterHistory.ts'
import { VoterSet } from '../../../src/raft/voterSet.ts'
import type { Prng } from './prng.ts'

/** A snapshot: which records it stands for, by the values that were appended, and the voters. */
export interface SimSnapshot {
  readonly id: SnapshotId
  readonly voters: VotersEntry
}

/** What an effect writes. */
export type Write =
  | Extract<
      Effect,
      { type: 'persist' | 'append' | 'markEpoch' | 'storeVoters' | 'truncate' | 'installSnapshot' }
    >
  | { readonly type: 'snapshotTaken'; readonly snapshot: SimSnapshot; readonly startOffset: number }

/** What a disk holds, or the memory above it. */
export class LogState {
  quorum: QuorumState = initialQuorumState
  startOffset = 0
  batches: Batch[] = []
  endOffset = 0
  epochStarts: EpochStart[] = []
  snapshot: SimSnapshot | null = null
  voters: VotersEntry[]

  readonly kind: 'metadata' | 'partition'

  constructor(kind: 'metadata' | 'partition', voters: VotersEntry) {
    this.kind = kind
    this.voters = [voters]
  }

  get votersVersion(): number {
    return this.voters.at(-1)!.version
  }

  get lastEpoch(): number {
    return this.epochStarts.at(-1)?.epoch ?? 0
  }

  clone(): LogState {
    const copy = new LogState(this.kind, this.voters[0]!)
    Object.assign(copy, this)
    copy.batches = [...this.batches]
    copy.epochStarts = [...this.epochStarts]
    copy.voters = [...this.voters]
    return copy
  }

  /** The batch that holds `offset`. */
  batchAt(offset: number): Batch | null {
    let low = 0
    let high = this.batches.length - 1
    while (low <= high) {
      const middle = (low + high) >> 1
      const batch = this.batches[middle]!
      if (batch.lastOffset < offset) low = middle + 1
      else if (batch.baseOffset > offset) high = middle - 1
      else return batch
    }
    return null
  }

  /** Batches from `fromOffset` on, a bounded number of them. */
  read(fromOffset: number, most: number): Batch[] {
    const first = this.batches.findIndex(({ lastOffset }) => lastOffset >= fromOffset)
    return first < 0 ? [] : this.batches.slice(first, first + most)
  }

  apply(write: Write, received: SimSnapshot | null): void {
    switch (write.type) {
      case 'persist':
        this.quorum = write.state
        break
      case 'append': {
        const { batch } = write
        this.batches.push(batch)
        this.endOffset = batch.lastOffset + 1
        if (batch.leaderEpoch > this.lastEpoch) {
          this.epochStarts.push({ epoch: batch.leaderEpoch, startOffset: batch.baseOffset, votersVersion: 0 })
        }
        batch.control.forEach((record, index) => {
          if (record.type !== 'voters') return
          const offset = batch.baseOffset + index
          this.voters.push({ offset, version: 0, voters: new VoterSet(record.voters) })
        })
        break
      }
      case 'markEpoch':
        this.epochStarts.push(write.start)
        break
      case 'storeVoters': {
        const { offset, version, voters } = write.mark
        this.voters.push({ offset, version, voters: new VoterSet(voters) })
        break
      }
      case 'truncate':
        this.#truncate(write)
        break
      case 'installSnapshot': {
        const { endOffset, epoch } = write.snapshotId
        this.snapshot = received
        this.batches = []
        this.startOffset = endOffset
        this.endOffset = endOffset
        const { voters } = received!
        this.epochStarts =
          epoch === 0
            ? []
            : [{ epoch, startOffset: Math.max(0, endOffset - 1), votersVersion: voters.version }]
        this.voters = [{ ...voters, offset: endOffset - 1 }]
        break
      }
      case 'snapshotTaken':
        this.snapshot = write.snapshot
        this.cutBefore(write.startOffset)
    }
  }

  #truncate({ to }: Extract<Write, { type: 'truncate' }>): void {
    while (this.batches.length > 0 && this.batches.at(-1)!.lastOffset >= to.endOffset) this.batches.pop()
    this.endOffset = to.endOffset
    this.epochStarts = this.epochStarts.filter(
      ({ epoch, startOffset }) => epoch <= to.epoch && startOffset <= to.endOffset,
    )
    while (this.voters.length > 1 && this.#isBeyond(this.voters.at(-1)!, to)) this.voters.pop()
  }

  #isBeyond(entry: VotersEntry, to: { readonly endOffset: number; readonly votersVersion: number }): boolean {
    return this.kind === 'partition' ? entry.version > to.votersVersion : entry.offset >= to.endOffset
  }

  /** Drops whole batches below `startOffset`. */
  cutBefore(startOffset: number): void {
    this.startOffset = startOffset
    this.batches = this.batches.filter(({ lastOffset }) => lastOffset >= startOffset)
    const epoch = this.epochStarts.findLastIndex((start) => start.startOffset < startOffset)
    if (epoch > 0) this.epochStarts.splice(0, epoch)
    const voters = this.voters.findLastIndex(({ offset }) => offset < startOffset)
    if (voters > 0) this.voters.splice(0, voters)
  }

  /** Loses records from `endOffset` on, as an unsynced page cache does; marks are in the journal and stay. */
  forgetFrom(endOffset: number): void {
    while (this.batches.length > 0 && this.batches.at(-1)!.lastOffset >= endOffset) this.batches.pop()
    this.endOffset = Math.max(this.startOffset, (this.batches.at(-1)?.lastOffset ?? this.startOffset - 1) + 1)
    this.epochStarts = this.epochStarts.filter(({ startOffset }) => startOffset <= this.endOffset)
    this.voters = this.voters.map((entry) => ({ ...entry, offset: Math.min(entry.offset, this.endOffset) }))
  }
}

/** A write with what it needs to be applied later. */
interface Pending {
  readonly write: Write
  readonly received: SimSnapshot | null
}

/** A disk with a journal: writes become durable in order, when a sync is done. */
export class SimDisk {
  /** What programs read. */
  cache: LogState
  /** What a power cut leaves. */
  durable: LogState
  /** Number of writes so far, and of durable ones. */
  written = 0
  synced = 0
  /** Relaxed logs: records below are synced behind. */
  recordsSyncedTo = 0
  #pending: Pending[] = []

  constructor(kind: 'metadata' | 'partition', voters: VotersEntry) {
    this.cache = new LogState(kind, voters)
    this.durable = this.cache.clone()
  }

  get hasPending(): boolean {
    return this.#pending.length > 0
  }

  write(write: Write, received: SimSnapshot | null): void {
    this.written++
    this.cache.apply(write, received)
    this.#pending.push({ write, received })
  }

  /** Makes the writes up to number `upTo` durable; the sequence of the last one that has one, else 0. */
  sync(upTo: number): number {
    let sequence = 0
    while (this.synced < upTo) {
      const { write, received } = this.#pending.shift()!
      this.durable.apply(write, received)
      if ('sequence' in write) sequence = write.sequence
      this.synced++
    }
    return sequence
  }

  /** A power cut: some of the writes under way have reached the disk, in order. Relaxed logs may lose more. */
  crash(random: Prng, relaxed: boolean): void {
    const kept = random.chance(0.3) ? this.#pending.length : random.below(this.#pending.length + 1)
    this.sync(this.synced + kept)
    this.#pending = []
    this.written = this.synced
    if (relaxed && random.chance(0.7)) {
      const { durable } = this
      const least = Math.max(durable.startOffset, Math.min(this.recordsSyncedTo, durable.endOffset))
      durable.forgetFrom(least + random.below(durable.endOffset - least + 1))
    }
    this.cache = this.durable.clone()
  }

  /** The process dies and the machine lives: nothing is lost. */
  kill(): void {
    this.sync(this.written)
  }

  copy(): SimDisk {
    const copy = new SimDisk(this.durable.kind, this.durable.voters[0]!)
    copy.durable = this.durable.clone()
    copy.cache = this.durable.clone()
    return copy
  }
}

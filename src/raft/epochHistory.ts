import { assert } from '../model/assert.ts'
import { planted } from './planted.ts'

/** An epoch and where it begins: before the record at `startOffset`, after voter set `votersVersion`. */
export interface EpochStart {
  readonly epoch: number
  readonly startOffset: number
  readonly votersVersion: number
}

/**
 * A place between two entries of a log: after all entries of `epoch` below `endOffset` and up to voter set
 * `votersVersion`. By log matching it names everything before it. Voter sets take no offset in partitions, so offsets
 * alone would not; in the metadata log `votersVersion` is always 0.
 */
export interface LogPosition {
  readonly epoch: number
  readonly endOffset: number
  readonly votersVersion: number
}

/** Below 0 when `a` is the shorter log, above 0 when `b` is. Source: Raft section 5.4.1. */
export function compareLogs(a: LogPosition, b: LogPosition): number {
  return a.epoch - b.epoch || a.endOffset - b.endOffset || a.votersVersion - b.votersVersion
}

/**
 * Which epochs a log has and where they begin. Epochs grow; several may begin at one offset, since an epoch that wrote
 * nothing is still part of the log: dropping its start would make the log lose against one that it beat before.
 * Everything before the first entry belongs to epoch 0. Source: KIP-101, KIP-595.
 */
export class EpochHistory {
  #starts: EpochStart[]

  constructor(starts: readonly EpochStart[]) {
    this.#starts = []
    for (const start of starts) this.assign(start)
  }

  get starts(): readonly EpochStart[] {
    return this.#starts
  }

  /** The latest epoch, 0 for none. */
  get lastEpoch(): number {
    return this.#starts.length === 0 ? 0 : this.#starts[this.#starts.length - 1]!.epoch
  }

  /** Begins an epoch at the end of the log. */
  assign(start: EpochStart): void {
    const last = this.#starts.at(-1)
    if (last !== undefined) {
      assert(start.epoch > last.epoch, 'I2 log matching: epochs grow along the log')
      assert(start.startOffset >= last.startOffset, 'I2 log matching: epochs begin in order')
      if (planted('epochStartsReplaced') && start.startOffset === last.startOffset) this.#starts.pop()
    }
    // Pushing makes room for sixteen more, and there are thousands of short histories.
    if (this.#starts.length < 4) this.#starts = this.#starts.concat(start)
    else this.#starts.push(start)
  }

  /** The end of the greatest epoch up to `epoch` in a log that ends at `end`. */
  endOf(epoch: number, end: LogPosition): LogPosition {
    const starts = this.#starts
    let next = starts.length
    while (next > 0 && starts[next - 1]!.epoch > epoch) next--
    const found = next === 0 ? 0 : starts[next - 1]!.epoch
    if (next === starts.length) {
      return { epoch: found, endOffset: end.endOffset, votersVersion: end.votersVersion }
    }
    const { startOffset, votersVersion } = starts[next]!
    return { epoch: found, endOffset: startOffset, votersVersion }
  }

  /** The epoch of the record before `offset`; 0 when nothing is known. */
  epochBefore(offset: number): number {
    return this.#starts.findLast(({ startOffset }) => startOffset < offset)?.epoch ?? 0
  }

  /** The starts of later epochs. */
  after(epoch: number): readonly EpochStart[] {
    return this.lastEpoch <= epoch ? [] : this.#starts.filter((start) => start.epoch > epoch)
  }

  /** Forgets epochs after `epoch`, and those that begin above `endOffset`. */
  truncate(epoch: number, endOffset: number): void {
    this.#starts = this.#starts.filter((start) => start.epoch <= epoch && start.startOffset <= endOffset)
  }

  /** Forgets epochs that ended before `offset`; the last one that began up to there stays. */
  cutBefore(offset: number): void {
    const holder = this.#starts.findLastIndex(({ startOffset }) => startOffset < offset)
    if (holder > 0) this.#starts.splice(0, holder)
  }

  /** Forgets everything: what comes follows a snapshot that ends in `epoch`. */
  reset(start: EpochStart): void {
    this.#starts = start.epoch === 0 ? [] : [start]
  }
}

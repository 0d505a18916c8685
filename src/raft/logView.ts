import { assert } from '../model/assert.ts'
import { EpochHistory, type EpochStart, type LogPosition } from './epochHistory.ts'
import { planted } from './planted.ts'

/** Which log a snapshot replaces: everything below `endOffset`, whose last record is of `epoch`. Source: KIP-630. */
export interface SnapshotId {
  readonly endOffset: number
  readonly epoch: number
}

/** What the core has to know of a log at the start. */
export interface LogStart {
  readonly logStartOffset: number
  readonly logEndOffset: number
  readonly epochStarts: readonly EpochStart[]
  /** The latest snapshot. There is one whenever `logStartOffset` is above 0. */
  readonly snapshotId: SnapshotId | null
}

interface PendingWrite {
  readonly sequence: number
  endOffset: number
  epoch: number
  votersVersion: number
}

/**
 * Where a log begins and ends, what of it is durable, and which writes are under way. The records are elsewhere: the
 * core orders every write and is told, in the same order, when they are durable.
 */
export class LogView {
  readonly epochs: EpochHistory
  #startOffset: number
  #endOffset: number
  #votersVersion: number
  #snapshotId: SnapshotId | null
  #sequence = 0
  #pending: PendingWrite[] = []
  #flushed: { endOffset: number; epoch: number; votersVersion: number }
  /** Claims need no flush of records: the topic's policy is a relaxed one. Epoch starts and voter sets do always. */
  readonly #relaxed: boolean

  constructor(start: LogStart, votersVersion: number, relaxed: boolean) {
    this.epochs = new EpochHistory(start.epochStarts)
    this.#startOffset = start.logStartOffset
    this.#endOffset = start.logEndOffset
    this.#snapshotId = start.snapshotId
    this.#votersVersion = votersVersion
    this.#relaxed = relaxed
    this.#flushed = this.#position()
    assert(start.logStartOffset <= start.logEndOffset, 'a log begins before it ends')
    assert(
      start.logStartOffset === 0 ||
        (start.snapshotId !== null && start.snapshotId.endOffset >= start.logStartOffset),
      'I18: what is missing at the start of a log is in a snapshot',
    )
  }

  /** First offset that is there, inclusive. */
  get startOffset(): number {
    return this.#startOffset
  }

  /** Offset of the next record, exclusive end. */
  get endOffset(): number {
    return this.#endOffset
  }

  get votersVersion(): number {
    return this.#votersVersion
  }

  get lastEpoch(): number {
    return this.epochs.lastEpoch
  }

  get snapshotId(): SnapshotId | null {
    return this.#snapshotId
  }

  /** The end of the log. */
  get end(): LogPosition {
    return this.#position()
  }

  /** Exclusive end of what this replica may claim to hold. Counts only in the epoch of `flushedEpoch`. */
  get claimOffset(): number {
    if (planted('claimUnflushed')) return this.#endOffset
    return this.#relaxed ? this.#endOffset : this.#flushed.endOffset
  }

  /** The last epoch whose start is durable. */
  get flushedEpoch(): number {
    return planted('claimUnflushed') ? this.lastEpoch : this.#flushed.epoch
  }

  get flushedVotersVersion(): number {
    return this.#flushed.votersVersion
  }

  /** Adds records that end at `endOffset`; the number of the write. */
  append(endOffset: number): number {
    assert(endOffset > this.#endOffset, 'I12: offsets grow')
    this.#endOffset = endOffset
    return this.#write()
  }

  /** Begins an epoch at the end of the log without a write of its own. */
  beginEpoch(start: EpochStart): void {
    assert(start.startOffset >= this.#endOffset, 'an epoch begins at the end of the log')
    this.epochs.assign(start)
  }

  /** Begins an epoch by a mark that takes no offset. */
  markEpoch(start: EpochStart): number {
    this.beginEpoch(start)
    return this.#write()
  }

  /** Adds a voter set that takes no offset. */
  addVoters(version: number): number {
    assert(version === this.#votersVersion + 1, 'versions of voter sets are consecutive')
    this.#votersVersion = version
    return this.#write()
  }

  /** Cuts the log. What was to be flushed above the cut is not there any more, and its flush claims nothing. */
  truncate(to: LogPosition): number {
    this.#endOffset = to.endOffset
    this.#votersVersion = to.votersVersion
    this.epochs.truncate(to.epoch, to.endOffset)
    const { epoch } = this.#position()
    cap(this.#flushed, to, epoch)
    for (const write of this.#pending) cap(write, to, epoch)
    return this.#write()
  }

  /** Replaces everything by a snapshot. */
  replace(snapshotId: SnapshotId, votersVersion: number): number {
    const { endOffset, epoch } = snapshotId
    this.#startOffset = endOffset
    this.#endOffset = endOffset
    this.#votersVersion = votersVersion
    this.#snapshotId = snapshotId
    this.epochs.reset({ epoch, startOffset: Math.max(0, endOffset - 1), votersVersion })
    const nothing = { endOffset: 0, votersVersion: 0 }
    cap(this.#flushed, nothing, 0)
    for (const write of this.#pending) cap(write, nothing, 0)
    return this.#write()
  }

  /** A snapshot is there, and records below `startOffset` may be gone. */
  tookSnapshot(snapshotId: SnapshotId, startOffset: number): void {
    assert(startOffset <= snapshotId.endOffset, 'I18: log start is not above the end of the snapshot')
    if (this.#snapshotId === null || snapshotId.endOffset > this.#snapshotId.endOffset) {
      this.#snapshotId = snapshotId
    }
    if (startOffset > this.#startOffset) {
      this.#startOffset = startOffset
      this.epochs.cutBefore(startOffset)
    }
  }

  /** All writes up to `sequence` are durable. */
  flushed(sequence: number): void {
    const pending = this.#pending
    let done = 0
    while (done < pending.length && pending[done]!.sequence <= sequence) done++
    if (planted('flushCountsLaterWrites')) done = pending.length
    if (done === 0) return
    const { endOffset, epoch, votersVersion } = pending[done - 1]!
    this.#flushed = { endOffset, epoch, votersVersion }
    pending.splice(0, done)
  }

  #write(): number {
    this.#sequence++
    this.#pending.push({ sequence: this.#sequence, ...this.#position() })
    return this.#sequence
  }

  #position(): { epoch: number; endOffset: number; votersVersion: number } {
    return {
      epoch: this.epochs.lastEpoch,
      endOffset: this.#endOffset,
      votersVersion: this.#votersVersion,
    }
  }
}

function cap(
  write: { endOffset: number; epoch: number; votersVersion: number },
  to: { readonly endOffset: number; readonly votersVersion: number },
  epoch: number,
): void {
  write.endOffset = Math.min(write.endOffset, to.endOffset)
  write.epoch = Math.min(write.epoch, epoch)
  write.votersVersion = Math.min(write.votersVersion, to.votersVersion)
}

import { EngineError } from '../model/errors.ts'
import { planted } from '../model/planted.ts'
import { type Dirtiness, dirtinessOf } from './compaction/compactLog.ts'
import type { LeaderEpochs } from './leaderEpochs.ts'
import type { LogConfig } from './logConfig.ts'
import type { LogState } from './logState.ts'
import type { SealedSegment } from './logTypes.ts'
import type { ProducerState } from './producerState.ts'

/** What can be asked of an open log at any time. */
export abstract class LogFacts {
  protected readonly state: LogState

  protected constructor(state: LogState) {
    this.state = state
  }

  get config(): LogConfig {
    return this.state.config
  }

  /** First readable offset, inclusive. */
  get logStartOffset(): number {
    return this.state.logStartOffset
  }

  /** The offset that the next record gets. */
  get logEndOffset(): number {
    return this.state.logEndOffset
  }

  /** Exclusive end of what the policy has made true: in the page cache, or durable. Never goes back. */
  get flushedOffset(): number {
    return this.state.flush.flushedOffset
  }

  /** Exclusive end of what a crash cannot take, and of what recovery need not scan. */
  get recoveryPoint(): number {
    if (planted('recoveryPointBeforeSync')) return this.state.flush.flushedOffset
    return Math.min(this.state.flush.syncedOffset, this.state.sealer.oldestOffset ?? Number.MAX_SAFE_INTEGER)
  }

  /** What compaction has to do below `endOffset`. */
  dirtiness(endOffset: number): Promise<Dirtiness> {
    return dirtinessOf(this.state, endOffset)
  }

  /** Exclusive end of what was compacted. */
  get cleanedOffset(): number {
    return this.state.cleanedOffset
  }

  /** Exclusive end of what survives the loss of power, being in the journal or in the log's files. */
  get durableOffset(): number {
    return this.state.flush.durableOffset
  }

  /** Why the log takes and gives nothing any more; null while it does. */
  get offline(): EngineError | null {
    return this.state.offline
  }

  get leaderEpochs(): LeaderEpochs {
    return this.state.epochs
  }

  get producerState(): ProducerState {
    return this.state.producers
  }

  get segmentCount(): number {
    return this.state.segments.all.length
  }

  get sealedSegments(): readonly SealedSegment[] {
    return this.state.sealedSegments()
  }

  /** Bytes of all batches, those on their way to the disk included. */
  get sizeBytes(): number {
    return this.state.segments.sizeBytes
  }

  /** The greatest epoch up to `epoch` that wrote here, and the exclusive end of what it wrote; -1 and -1 for none. */
  offsetForLeaderEpoch(epoch: number): { epoch: number; endOffset: number } {
    return this.state.epochs.endOffsetFor(epoch, this.state.logEndOffset)
  }

  /** Resolves once everything below `endOffset` is flushed; rejects when it was undone or the log failed. */
  whenFlushed(endOffset: number): Promise<void> {
    if (endOffset <= this.flushedOffset) return Promise.resolve()
    if (this.state.offline !== null) return Promise.reject(this.state.offline)
    if (endOffset > this.state.logEndOffset) {
      return Promise.reject(
        this.state.refusal ?? new EngineError('offsetOutOfRange', `nothing has offset ${endOffset - 1}`),
      )
    }
    return this.state.flush.wait(endOffset)
  }
}

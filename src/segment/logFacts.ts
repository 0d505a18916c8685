import { EngineError, toEngineError } from '../model/errors.ts'
import type { FileRange } from '../model/fileRange.ts'
import { planted } from '../model/planted.ts'
import type { BadRange } from './badRanges.ts'
import { type Dirtiness, dirtinessOf } from './compaction/compactLog.ts'
import type { EpochStart, LeaderEpochs } from './leaderEpochs.ts'
import type { LogConfig } from './logConfig.ts'
import { forgetInJournal } from './logRepair.ts'
import type { LogState } from './logState.ts'
import type { SealedSegment } from './logTypes.ts'
import { findDamage } from './mendChecks.ts'
import { beginMending, type Mending } from './mending.ts'
import { mendOffline, readOffline } from './mendOffline.ts'
import { damageIn } from './noteDamage.ts'
import type { Cut } from './ownStates.ts'
import type { ProducerState } from './producerState.ts'
import { isUnreadable } from './readingAround.ts'
import { findUnreadable, type UnreadableFinding } from './unreadable.ts'

/** What can be asked of an open log at any time. */
export abstract class LogFacts {
  protected readonly state: LogState

  protected constructor(state: LogState) {
    this.state = state
  }

  /** The log takes and gives nothing any more. */
  protected abstract goOffline(error: EngineError): void

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

  /** A cut that may not have been carried out; null for none. */
  get unfinishedCut(): Cut | null {
    return this.state.unfinishedCut
  }

  /** What compaction has to do below `endOffset`. */
  dirtiness(endOffset: number): Promise<Dirtiness> {
    return dirtinessOf(this.state, endOffset)
  }

  /** Exclusive end of what was compacted. */
  get cleanedOffset(): number {
    return this.state.cleanedOffset
  }

  /** Below it offsets may be gone without damage. What is stored of compaction: after a crash all of it counts as compacted. */
  get gapsBelow(): number {
    return this.state.gapsBelow
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

  /** The part of the active segment that can be checked; null for none. */
  get flushedPart(): SealedSegment | null {
    return this.state.flushedPart()
  }

  /** Resolves when no segment that the log has rolled is being finished. */
  whenFinished(): Promise<void> {
    return this.state.sealer.idle()
  }

  /** Whether its end was torn when it was opened, and cut. */
  get wasCut(): boolean {
    return this.state.wasCut
  }

  /** How often the log was cut. */
  get cuts(): number {
    return this.state.cuts
  }

  /** Whether the active segment has batches that were there when the log was opened. */
  get isResumed(): boolean {
    return this.state.segments.active.resumedBytes > 0
  }

  /** A sealed segment whose digest nobody knew was found to be whole. */
  adopt(segment: SealedSegment, digest: number, firstDigest: number): void {
    this.state.adopt(segment, digest, firstDigest)
  }

  /** Bytes of all batches, those on their way to the disk included. */
  get sizeBytes(): number {
    return this.state.segments.sizeBytes
  }

  /** What is known to be damaged in the log's files. */
  get damage(): readonly BadRange[] {
    return this.state.badRanges.isEmpty
      ? []
      : this.state.badRanges.all().filter(({ file }) => file.startsWith(`${this.state.directory}/`))
  }

  /** Takes note of what is damaged in `range`, read at `firstOffset`, so that reads end before it; null for nothing. */
  async noteDamage(range: FileRange, firstOffset: number): Promise<BadRange | null> {
    const { badRanges, runtime, segments, cuts } = this.state
    if (cuts === 0) {
      const found = await damageIn(runtime, range, firstOffset)
      // Its files' names may be another log's by now.
      if (this.state.isClosing) return null
      if (this.state.cuts === 0) {
        for (const bad of found) badRanges.add(bad)
        return found[0] ?? null
      }
    }
    // What was read may have been cut since, and others be in its place: the segment tells from its beginning on.
    const { path } = range.file
    const segment = segments.all.find(({ file }) => file.path === path)
    if (segment === undefined) return null
    await findDamage(this.state, segment.baseOffset)
    return badRanges.firstIn(path, range.position, range.position + range.lengthBytes)
  }

  /** Whether what is stored at `offset` is damaged; if that is not known, its whole segment is checked. */
  async findDamage(offset: number): Promise<boolean> {
    if (this.isDamagedAt(offset)) return true
    await findDamage(this.state, offset)
    return this.isDamagedAt(offset)
  }

  /** A read of one of the log's files has failed with `error`: whoever mends finds out whether that is for good. */
  noteUnreadable(error: unknown, path: string): void {
    if (isUnreadable(error)) this.state.badRanges.onUnreadable?.(path)
  }

  /** Has what cannot be read of a segment's file for good noted as damage; see `findUnreadable`. */
  findUnreadable(path: string, pause: () => Promise<boolean>): Promise<UnreadableFinding> {
    return findUnreadable(this.state, path, pause)
  }

  /** Whether what is stored at `offset` is known to be damaged. */
  isDamagedAt(offset: number): boolean {
    return this.damage.some(({ baseOffset, nextOffset }) => baseOffset <= offset && offset < nextOffset)
  }

  /**
   * Begins to mend a damaged range with batches from elsewhere; null when nothing is wrong there any more. `isWhole`: the whole
   * segment is written again. Rejects with `kafkaStorageError` while the log is being changed.
   */
  mending(range: BadRange, isWhole = false): Promise<Mending | null> {
    return beginMending(this.state, range, isWhole, (cause) =>
      this.goOffline(toEngineError(cause, 'diskFailed', 'a mended segment could not be put in place')),
    )
  }

  /**
   * What has to be mended before a damaged log that is offline can be opened again; `epochs`: which epoch wrote what, if known;
   * `misfits`: files to be written again as a whole.
   */
  mendOffline(
    epochs: readonly EpochStart[] | null,
    misfits: ReadonlySet<string>,
  ): Promise<readonly Mending[]> {
    return mendOffline(this.state, epochs, misfits)
  }

  /** Keeps later starts from missing what the log was opened without; durable when it resolves. */
  async forgetBeyondEnd(): Promise<void> {
    const { segments, logEndOffset, options, offline } = this.state
    if (offline !== null) return
    await forgetInJournal(this.state, logEndOffset, segments.active)
    await options.persistRecoveryPoint?.()
  }

  /** As far as they are good, batches of a log that is offline, from the one that begins at `fromOffset` on; null for none. */
  readOffline(fromOffset: number, toOffset: number, maxBytes: number): Promise<Uint8Array | null> {
    return readOffline(this.state, fromOffset, toOffset, maxBytes)
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

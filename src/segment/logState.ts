import { EngineError } from '../model/errors.ts'
import type { Runtime } from '../runtime/runtime.ts'
import { BadRanges } from './badRanges.ts'
import { leaderEpochFile } from './fileNames.ts'
import { FlushTracker } from './flushTracker.ts'
import type { LeaderEpochs } from './leaderEpochs.ts'
import type { LogConfig } from './logConfig.ts'
import type { RecoveredLog } from './logFiles.ts'
import type { LogOptions, SealedSegment } from './logTypes.ts'
import { noteDamage } from './noteDamage.ts'
import type { Cut } from './ownStates.ts'
import { whenReadable, whenRoom } from './patiently.ts'
import type { ProducerState } from './producerState.ts'
import { RecentBatches } from './recentBatches.ts'
import { Sealer } from './sealer.ts'
import type { Replacement, Segment } from './segment.ts'
import { IndexCache, type SegmentIndexes } from './segmentIndexes.ts'
import { SegmentList } from './segmentList.ts'
import { TroubleLog } from './troubleLog.ts'

/** What the parts of one open log share: only `Log` and the files that carry out its methods see it. */
export class LogState {
  readonly runtime: Runtime
  readonly options: LogOptions
  readonly directory: string
  readonly segments: SegmentList
  readonly sealer: Sealer
  readonly flush: FlushTracker
  readonly producers: ProducerState
  readonly epochs: LeaderEpochs
  /** Where the latest batches of the active segment begin. */
  readonly recent = new RecentBatches()
  /** Damage that is known, and not served. */
  readonly badRanges: BadRanges
  readonly troubles: TroubleLog
  config: LogConfig
  /** First readable offset, inclusive. */
  logStartOffset: number
  /** The offset that the next record gets. */
  logEndOffset: number
  /** Why the log takes and gives nothing any more. */
  offline: EngineError | null
  /** Why appends are refused for now: the tail is being undone or cut. */
  refusal: EngineError | null = null
  /** A cut that may not have been carried out durably; it stays when that fails. */
  unfinishedCut: Cut | null = null
  /** Whether its end was torn when it was opened. */
  readonly wasCut: boolean
  /** How often the log was cut. */
  cuts = 0
  /** How often appends were taken back. */
  undos = 0
  /** How often a file was about to take the place of a segment's. */
  replacements = 0
  /** Everything below it was compacted. */
  cleanedOffset: number
  /** Below it offsets may be gone: from before a compacted segment is put in place, also after a crash. At least `cleanedOffset`. */
  gapsBelow: number
  /** Resolves when no segment is being put in the place of others, or mended. */
  swapping: Promise<void> = Promise.resolve()
  isClosing = false
  /** The epochs differ from the checkpoint file. */
  epochsChanged: boolean
  #epochsStoring: Promise<void> | null = null
  /** Start offset that is stored. */
  #storedStart: number
  /** The index files of the active segment are complete. */
  indexFilesCurrent: boolean

  constructor(runtime: Runtime, options: LogOptions, found: RecoveredLog) {
    const { directory, logger } = options
    const cache = options.indexCache ?? new IndexCache()
    const indexIntervalBytes = (): number => this.config.indexIntervalBytes
    this.runtime = runtime
    this.options = options
    this.directory = directory
    this.config = options.config
    this.badRanges = options.badRanges ?? new BadRanges()
    this.troubles = options.troubles ?? new TroubleLog(runtime.clock, logger)
    const list = new SegmentList(runtime, { directory, logger, cache, indexIntervalBytes }, found.segments)
    this.segments = list
    const indexes = (segment: Segment): Promise<SegmentIndexes> =>
      whenReadable(this, () => list.indexes(segment))
    this.sealer = new Sealer(runtime, directory, cache, indexes, {
      isKnown: ({ file, sizeBytes }) => this.badRanges.firstIn(file.path, 0, sizeBytes) !== null,
      note: async ({ file, sizeBytes: lengthBytes, baseOffset }) => {
        const range = { file, position: 0, lengthBytes }
        return (await noteDamage(runtime, this.badRanges, range, baseOffset)) !== null
      },
    })
    this.logStartOffset = found.logStartOffset
    this.#storedStart = options.logStartOffset
    this.logEndOffset = found.logEndOffset
    this.cleanedOffset = Math.min(options.cleanedOffset ?? 0, found.logEndOffset)
    this.gapsBelow = this.cleanedOffset
    this.producers = found.producers
    this.epochs = found.leaderEpochs
    this.epochsChanged = found.leaderEpochsChanged
    this.indexFilesCurrent = found.indexFilesCurrent
    this.offline = found.corruption
    this.wasCut = found.wasCut === true
    for (const { segment, endOffset, producers } of found.unfinished) {
      this.sealer.add(segment, endOffset, producers)
    }
    const { logEndOffset, durableOffset, syncedOffset } = found
    this.flush = new FlushTracker(logEndOffset, durableOffset, syncedOffset, list.active)
  }

  /** Changes whenever what was noted of the log's segments may not hold any more. */
  get shape(): number {
    return this.cuts + this.replacements
  }

  /** Throws `offsetOutOfRange`. */
  outOfRange(offset: number): never {
    throw new EngineError(
      'offsetOutOfRange',
      `offset ${offset} is outside [${this.logStartOffset}, ${this.logEndOffset}]`,
    )
  }

  /** Where segment `index` ends, exclusive. */
  endOffsetOf(index: number): number {
    return this.segments.all[index + 1]?.baseOffset ?? this.logEndOffset
  }

  /** Whether a segment is sealed and finished, or is the log's no more: nothing of it is ever taken back. */
  isFinished(segment: Segment): boolean {
    return segment !== this.segments.active && !this.sealer.segments().includes(segment)
  }

  /** Segments that get no more batches and whose bytes are all durable. */
  sealedSegments(): SealedSegment[] {
    const { all } = this.segments
    const durable = Math.min(this.flush.durableOffset, this.sealer.oldestOffset ?? Number.MAX_SAFE_INTEGER)
    return all.slice(0, -1).flatMap(({ file, baseOffset, sizeBytes, digest }, index) => {
      const endOffset = this.endOffsetOf(index)
      return endOffset <= durable ? [{ file, baseOffset, endOffset, sizeBytes, digest }] : []
    })
  }

  /** The part of the active segment that is flushed; null while there is none, or nobody knows its digest. */
  flushedPart(): SealedSegment | null {
    const { active } = this.segments
    const [first] = this.flush.pending
    if (first !== undefined && first.startSegment !== active) return null
    const { sizeBytes, digest } = first === undefined ? active : first.startMark
    const endOffset = first?.startOffset ?? this.logEndOffset
    if (sizeBytes === 0 || endOffset > this.flush.durableOffset) return null
    const { file, baseOffset } = active
    return { file, baseOffset, endOffset, sizeBytes, digest }
  }

  /** What is known of the bytes of a segment that are flushed; null for nothing. */
  storedOf(segment: Segment): Pick<SealedSegment, 'sizeBytes' | 'digest'> | null {
    if (segment === this.segments.active) return this.flushedPart()
    return segment.digest < 0 ? null : segment
  }

  /** Segment `baseOffset`, of which nobody knew the digest, was found to be whole. */
  adopt({ file, sizeBytes }: SealedSegment, digest: number, firstDigest: number): void {
    const segment = this.segments.all.find((each) => each.file === file)
    if (segment === undefined || segment === this.segments.active || segment.digest >= 0) return
    if (segment.sizeBytes !== sizeBytes || segment.isBeingReplaced) return
    segment.digest = digest
    segment.firstDigest = firstDigest
    this.replacements++
  }

  /**
   * A file is about to take the place of these neighbours: whatever a crash leaves, the checkpoint tells what must be there
   * when this resolves, and nothing is written into them again.
   */
  async replacing(segments: readonly Segment[], by: Omit<Replacement, 'endOffset'>): Promise<void> {
    const endOffset = this.endOffsetOf(this.segments.all.indexOf(segments.at(-1)!))
    segments[0]!.replacement = { ...by, endOffset }
    this.replacements++
    await this.options.persistRecoveryPoint?.()
  }

  /** Nothing takes their place any more, if they are still there. */
  stay(segments: readonly Segment[]): void {
    segments[0]!.replacement = null
    this.replacements++
  }

  /** Has the checkpoint of leader epochs stored, durably. Whoever comes while it is being written waits for the same end. */
  async storeEpochs(): Promise<void> {
    while (this.#epochsStoring !== null) await this.#epochsStoring
    if (!this.epochsChanged) return
    this.#epochsStoring = this.#writeEpochs()
    try {
      await this.#epochsStoring
    } finally {
      this.#epochsStoring = null
    }
  }

  async #writeEpochs(): Promise<void> {
    this.epochsChanged = false
    try {
      const path = `${this.directory}/${leaderEpochFile}`
      await this.runtime.disk.replaceFile(path, Buffer.from(this.epochs.encode()))
    } catch (error) {
      this.epochsChanged = true
      throw error
    }
  }

  /** The start offset that is stored: what lies below it may go. */
  get storedStart(): number {
    return this.#storedStart
  }

  /** Stores the start offset unless a stored one is as far: nothing below it is removed before. */
  async storeStart(): Promise<void> {
    const { logStartOffset, options } = this
    if (logStartOffset <= this.#storedStart) return
    await options.persistStartOffset?.(logStartOffset)
    this.#storedStart = Math.max(this.#storedStart, logStartOffset)
  }

  /** `work` changes files of the log: cuts and the end wait for it. */
  busyWith(work: Promise<unknown>): void {
    const settled = work.then(
      () => {},
      () => {},
    )
    this.swapping = Promise.all([this.swapping, settled]).then(() => {})
  }

  /** Resolves when nothing is being synced before it counts, put in the place of others, or sealed. */
  async quiet(): Promise<void> {
    await this.flush.barrier
    await this.swapping
    await this.sealer.idle()
  }

  /** Resolves when no derived file is being written. */
  async idle(): Promise<void> {
    await this.sealer.idle()
    await this.#epochsStoring?.catch(() => {})
  }

  /** Moves `logStartOffset` forward; not durable yet. */
  setStartOffset(offset: number): void {
    if (offset <= this.logStartOffset) return
    this.logStartOffset = offset
    if (this.epochs.truncateFromStart(offset)) this.epochsChanged = true
  }

  /**
   * Syncs every file that may hold bytes which are not durable, and their names; what is not even begun, for want of a descriptor
   * or behind a write that finds no room, is tried again.
   */
  async syncWritten(): Promise<void> {
    await whenRoom(this, async () => {
      for (const segment of [...this.sealer.segments(), this.segments.active]) {
        // It may be gone by now with what was undone.
        if (!segment.isNew && !this.isFinished(segment)) await segment.file.sync()
      }
      await this.runtime.disk.syncDirectory(this.directory)
    })
  }
}

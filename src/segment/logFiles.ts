import { type CorruptionError, EngineError } from '../model/errors.ts'
import type { Logger } from '../model/logger.ts'
import type { Uuid } from '../model/uuid.ts'
import type { Runtime } from '../runtime/runtime.ts'
import type { ClosedLog, ClosedPlace } from './closedLog.ts'
import { takeUpSwaps } from './compaction/takeUpSwaps.ts'
import {
  leaderEpochFile,
  parseSegmentFileName,
  partitionMetadataFile,
  type SegmentFileKind,
  segmentFileName,
} from './fileNames.ts'
import { LeaderEpochs } from './leaderEpochs.ts'
import type { LogConfig } from './logConfig.ts'
import { writeMetadata } from './partitionMetadata.ts'
import { decodeProducerSnapshot } from './producerSnapshot.ts'
import { type ProducerEntry, ProducerState } from './producerState.ts'
import type { ReplayedTail } from './replayedTail.ts'
import type { ResumedLog } from './resumePoint.ts'
import { Segment } from './segment.ts'
import { buildIndexes, reportRebuilt, writeIndexes } from './segmentIndexes.ts'
import type { SegmentScanner } from './segmentScanner.ts'

/** What recovery is told. */
export interface RecoveryInput {
  readonly directory: string
  readonly config: LogConfig
  readonly logger: Logger
  /** Exclusive end of what is known to be durable: below it nothing is ever cut. */
  readonly recoveryPoint: number
  readonly logStartOffset: number
  readonly cleanShutdown: boolean
  readonly producerIdExpirationMs: number
  /** What the clean shutdown noted of this log; null when it noted nothing. */
  readonly closedState?: ClosedLog | null
  /** What the log was at an offset up to `recoveryPoint`. */
  readonly resume?: ResumedLog | null
  /** What a resume point has noted of segments that cannot be gone on from. */
  readonly noted?: readonly ClosedPlace[]
  /** What replay has written behind `resume`. */
  readonly tail?: ReplayedTail | null
  /** The leader epochs below `recoveryPoint`, where no resume point has them. */
  readonly epochs?: LeaderEpochs | null
  /** Exclusive end of what the log must have, being in the journal. */
  readonly provenEnd?: number | null
  readonly damage?: CorruptionError | null
  /** The journal has lost what it held: nobody can tell what must be there. */
  readonly journalIsDamaged?: boolean
  /** Whose log it is, where the journal says so. */
  readonly topicId?: Uuid
  /** `logStartOffset` was stored before any segment below it went: the first one begins there or before. */
  readonly startIsKnown?: boolean
  readonly scanner?: SegmentScanner
  /** Told before records are cut off that may have been acknowledged; durable when it resolves. */
  readonly mayLackEnd?: () => Promise<void>
}

/** A segment that was full and is not finished: its indexes and the snapshot at its end are not written. */
export interface Unfinished {
  readonly segment: Segment
  /** Exclusive. */
  readonly endOffset: number
  /** Producers as they were there; null where only later ones are known. */
  readonly producers: readonly ProducerEntry[] | null
}

/** A log as it was found on disk. */
export interface RecoveredLog {
  /** Ascending; at least one, the last is the active one and has its indexes in memory. */
  readonly segments: Segment[]
  readonly logStartOffset: number
  readonly logEndOffset: number
  readonly leaderEpochs: LeaderEpochs
  /** The epochs differ from the checkpoint file. */
  readonly leaderEpochsChanged: boolean
  /** The index files of the active segment are complete. */
  readonly indexFilesCurrent: boolean
  readonly producers: ProducerState
  /** Damage below the recovery point; the log can only be offline. */
  readonly corruption: CorruptionError | null
  /** Whether the end that was found was none, and was cut. */
  readonly wasCut?: boolean
  /** Exclusive end of what the files hold durably. */
  readonly syncedOffset: number
  /** Exclusive end of what survives the loss of power: the journal may hold what the files do not. */
  readonly durableOffset: number
  readonly unfinished: readonly Unfinished[]
}

/** The files of one log. */
export interface Listing {
  readonly segmentOffsets: number[]
  /** Offsets of `.snapshot` files, ascending. */
  readonly snapshotOffsets: number[]
  /** Names of all files. */
  readonly present: ReadonlySet<string>
  readonly hasEpochFile: boolean
}

/** What lies in the log's directory, after what interrupted work left there has been removed or taken up. */
export async function listLog(runtime: Runtime, input: RecoveryInput): Promise<Listing> {
  const { disk } = runtime
  const { directory, logger } = input
  const list = async (): Promise<string[]> => {
    return (await disk.list(directory)).filter(({ kind }) => kind === 'file').map(({ name }) => name)
  }
  let names = await list()
  if (await takeUpSwaps(disk, directory, names, logger)) names = await list()
  const present = new Set(names)
  if (input.startIsKnown === true && input.topicId !== undefined && !present.has(partitionMetadataFile)) {
    logger.warn('partition.metadata was missing and has been made again', { directory })
    await unlessFull(writeMetadata(disk, directory, input.topicId))
  }
  for (const name of names) {
    const parsed = parseSegmentFileName(name)
    if (parsed === null || parsed.leftover === null) continue
    const path = `${directory}/${name}`
    present.delete(name)
    logger.info('removed a file left over from a deletion or compaction', { file: path })
    await disk.remove(path)
  }
  const offsetsOf = (wanted: SegmentFileKind): number[] => {
    const offsets: number[] = []
    for (const name of present) {
      const parsed = parseSegmentFileName(name)
      if (parsed !== null && parsed.kind === wanted) offsets.push(parsed.baseOffset)
    }
    return offsets.sort((left, right) => left - right)
  }
  return {
    segmentOffsets: offsetsOf('log'),
    snapshotOffsets: offsetsOf('snapshot'),
    present,
    hasEpochFile: present.has(leaderEpochFile),
  }
}

/** The segments of the `.log` files with these base offsets, with their sizes. */
export async function findSegments(
  runtime: Runtime,
  input: RecoveryInput,
  offsets: readonly number[],
): Promise<Segment[]> {
  const { directory } = input
  return Promise.all(
    offsets.map(async (baseOffset) => {
      const path = `${directory}/${segmentFileName(baseOffset, 'log')}`
      const stat = await runtime.disk.stat(path)
      if (stat === null) throw new EngineError('diskFailed', `${path} went away while the log was opened`)
      return new Segment(baseOffset, runtime.disk.file(path), stat.modifiedMs, stat.sizeBytes, false)
    }),
  )
}

/** The epochs of the checkpoint file; null when it is missing or damaged, so that only the batches can tell. */
export async function readEpochs(
  runtime: Runtime,
  input: RecoveryInput,
  listing: Listing,
): Promise<LeaderEpochs | null> {
  if (!listing.hasEpochFile) return null
  const path = `${input.directory}/${leaderEpochFile}`
  const bytes = await runtime.disk.readFile(path)
  const decoded = LeaderEpochs.decode(Buffer.from(bytes).toString())
  if (decoded === null)
    input.logger.warn('the leader epoch checkpoint is damaged; made again', { file: path })
  return decoded
}

/** Drops segments that hold nothing but deleted records: a crash came before their files could go. Gives what is left. */
export async function removeBelowStart(
  runtime: Runtime,
  input: RecoveryInput,
  listing: Listing,
): Promise<Listing> {
  const { segmentOffsets } = listing
  let count = 0
  while (count < segmentOffsets.length - 1 && segmentOffsets[count + 1]! <= input.logStartOffset) count++
  if (count === 0) return listing
  const gone = segmentOffsets.slice(0, count)
  const present = new Set(listing.present)
  for (const baseOffset of gone) {
    for (const kind of ['log', 'index', 'timeindex', 'txnindex', 'snapshot'] as const) {
      const name = segmentFileName(baseOffset, kind)
      if (present.delete(name)) await runtime.disk.remove(`${input.directory}/${name}`)
    }
  }
  return {
    ...listing,
    segmentOffsets: segmentOffsets.slice(count),
    snapshotOffsets: listing.snapshotOffsets.filter((offset) => !gone.includes(offset)),
    present,
  }
}

/** A log without any file. */
export function freshLog(runtime: Runtime, input: RecoveryInput, epochs: LeaderEpochs): RecoveredLog {
  const { directory, logStartOffset } = input
  const file = runtime.disk.file(`${directory}/${segmentFileName(logStartOffset, 'log')}`)
  return {
    segments: [new Segment(logStartOffset, file, runtime.clock.wallMs(), 0, true)],
    logStartOffset,
    logEndOffset: logStartOffset,
    leaderEpochs: epochs,
    leaderEpochsChanged: false,
    indexFilesCurrent: false,
    producers: new ProducerState(),
    corruption: null,
    syncedOffset: logStartOffset,
    durableOffset: logStartOffset,
    unfinished: [],
  }
}

/** The producers in the `.snapshot` at `offset`; null when it is missing or damaged. */
export async function readSnapshot(
  runtime: Runtime,
  directory: string,
  offset: number,
): Promise<ProducerState | null> {
  let bytes: Uint8Array
  try {
    bytes = await runtime.disk.readFile(`${directory}/${segmentFileName(offset, 'snapshot')}`)
  } catch (error) {
    if (error instanceof EngineError && error.code === 'notFound') return null
    throw error
  }
  const entries = decodeProducerSnapshot(bytes, runtime.checksum)
  return entries === null ? null : new ProducerState(entries)
}

/** Lets go of sealed segments' indexes, which are files; those whose files are missing are made again. */
export async function restoreMissingIndexes(
  runtime: Runtime,
  input: RecoveryInput,
  listing: Listing,
  sealed: readonly Segment[],
): Promise<void> {
  for (const segment of sealed) {
    segment.offsetIndex = null
    segment.timeIndex = null
    const has = (kind: SegmentFileKind): boolean =>
      listing.present.has(segmentFileName(segment.baseOffset, kind))
    if (has('index') && has('timeindex')) continue
    const made = await buildIndexes(segment, segment.sizeBytes, input.config.indexIntervalBytes)
    await unlessFull(writeIndexes(runtime.disk, segment, made, 'none'))
    reportRebuilt(input.logger, segment)
  }
}

/** A full disk does not keep a log from opening: indexes are made again when they are asked for. */
export async function unlessFull(writing: Promise<void>): Promise<void> {
  try {
    await writing
  } catch (error) {
    if (!(error instanceof EngineError) || error.code !== 'diskFull') throw error
  }
}

/** Removes the files of segments, but for the producers as they were where they begin. */
export async function removeSegments(
  { disk }: Pick<Runtime, 'disk'>,
  directory: string,
  segments: readonly Segment[],
): Promise<void> {
  for (const { baseOffset } of segments) {
    for (const kind of ['log', 'index', 'timeindex', 'txnindex'] as const) {
      await disk.remove(`${directory}/${segmentFileName(baseOffset, kind)}`)
    }
  }
}

import { CorruptionError, EngineError } from '../model/errors.ts'
import type { Logger } from '../model/logger.ts'
import type { Runtime } from '../runtime/runtime.ts'
import { type Damage, verifyBatches, walkHeaders } from './batchScan.ts'
import type { ClosedLog } from './closedLog.ts'
import { leaderEpochFile, parseSegmentFileName, type SegmentFileKind, segmentFileName } from './fileNames.ts'
import { LeaderEpochs } from './leaderEpochs.ts'
import type { LogConfig } from './logConfig.ts'
import { decodeProducerSnapshot } from './producerSnapshot.ts'
import { ProducerState } from './producerState.ts'
import { Segment } from './segment.ts'
import { buildIndexes, loadIndexes, reportRebuilt, writeIndexes } from './segmentIndexes.ts'

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
}

interface Listing {
  readonly segmentOffsets: number[]
  /** Offsets of `.snapshot` files, ascending. */
  readonly snapshotOffsets: number[]
  /** Names of all files. */
  readonly present: ReadonlySet<string>
  readonly hasEpochFile: boolean
}

/**
 * Opens the files of one log. After a clean shutdown only the tail of the last segment is looked at. After a
 * crash every batch from the segment of the recovery point on is checked: above the recovery point the first
 * bad one ends the log and what follows is cut, below it nothing is changed and `corruption` says what is bad.
 */
export async function recoverLog(runtime: Runtime, input: RecoveryInput): Promise<RecoveredLog> {
  if (input.cleanShutdown && input.closedState) {
    const resumed = await resumeLog(runtime, input, input.closedState)
    if (resumed !== null) return resumed
  }
  const listing = await listLog(runtime, input)
  const segments = await findSegments(runtime, input, listing)
  await removeBelowStart(runtime, input, segments)
  const epochs = await readEpochs(runtime, input, listing)
  if (input.cleanShutdown && epochs !== null) {
    const opened = await openClean(runtime, input, listing, segments, epochs)
    if (opened !== null) return opened
    input.logger.warn('the log is not as the clean shutdown left it and is checked as after a crash', {
      directory: input.directory,
    })
  }
  return scanLog(runtime, input, listing, segments, epochs)
}

/** Drops segments that hold nothing but deleted records: a crash came before their files could go. */
async function removeBelowStart(runtime: Runtime, input: RecoveryInput, segments: Segment[]): Promise<void> {
  let count = 0
  while (count < segments.length - 1 && segments[count + 1]!.baseOffset <= input.logStartOffset) count++
  for (const { baseOffset } of segments.splice(0, count)) {
    for (const kind of ['log', 'index', 'timeindex', 'txnindex', 'snapshot'] as const) {
      await runtime.disk.remove(`${input.directory}/${segmentFileName(baseOffset, kind)}`)
    }
  }
}

async function listLog(runtime: Runtime, input: RecoveryInput): Promise<Listing> {
  const { disk } = runtime
  const { directory, logger } = input
  const names = (await disk.list(directory)).filter(({ kind }) => kind === 'file').map(({ name }) => name)
  const present = new Set(names)
  for (const name of names) {
    const parsed = parseSegmentFileName(name)
    if (parsed === null || parsed.leftover === null) continue
    const original = segmentFileName(parsed.baseOffset, parsed.kind)
    const path = `${directory}/${name}`
    present.delete(name)
    // A `.swap` is complete; it is the only copy when the crash came after the original had gone.
    if (parsed.leftover === 'swap' && !present.has(original)) {
      logger.warn('took up a segment file that an interrupted compaction had finished', { file: path })
      await disk.rename(path, `${directory}/${original}`)
      present.add(original)
    } else {
      logger.info('removed a file left over from a deletion or compaction', { file: path })
      await disk.remove(path)
    }
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

async function findSegments(runtime: Runtime, input: RecoveryInput, listing: Listing): Promise<Segment[]> {
  const { directory } = input
  return Promise.all(
    listing.segmentOffsets.map(async (baseOffset) => {
      const path = `${directory}/${segmentFileName(baseOffset, 'log')}`
      const stat = await runtime.disk.stat(path)
      if (stat === null) throw new EngineError('diskFailed', `${path} went away while the log was opened`)
      return new Segment(baseOffset, runtime.disk.file(path), stat.modifiedMs, stat.sizeBytes, false)
    }),
  )
}

/** The epochs of the checkpoint file; null when it is missing or damaged, so that only the batches can tell. */
async function readEpochs(
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

/** Takes a log up where a clean shutdown left it; null when its segments are not as they were. */
async function resumeLog(
  runtime: Runtime,
  input: RecoveryInput,
  closed: ClosedLog,
): Promise<RecoveredLog | null> {
  const segments: Segment[] = []
  const stats = await Promise.all(
    closed.segments.map(([baseOffset]) => {
      return runtime.disk.stat(`${input.directory}/${segmentFileName(baseOffset, 'log')}`)
    }),
  )
  for (const [index, [baseOffset, sizeBytes]] of closed.segments.entries()) {
    const stat = stats[index]!
    // An active segment that nothing was written to has no file yet.
    if (stat === null ? sizeBytes > 0 : stat.sizeBytes !== sizeBytes) return null
    const file = runtime.disk.file(`${input.directory}/${segmentFileName(baseOffset, 'log')}`)
    const createdMs = stat?.modifiedMs ?? runtime.clock.wallMs()
    const segment = new Segment(baseOffset, file, createdMs, sizeBytes, stat === null)
    segment.offsetIndex = null
    segment.timeIndex = null
    segments.push(segment)
  }
  segments.at(-1)!.resume(closed.active)
  let producers: ProducerState | null = new ProducerState()
  if (closed.hasProducers) producers = await readSnapshot(runtime, input.directory, closed.logEndOffset)
  if (producers === null) return null
  producers.expire(runtime.clock.wallMs(), input.producerIdExpirationMs)
  return {
    segments,
    logStartOffset: closed.logStartOffset,
    logEndOffset: closed.logEndOffset,
    leaderEpochs: new LeaderEpochs(closed.leaderEpochs),
    leaderEpochsChanged: false,
    indexFilesCurrent: true,
    producers,
    corruption: null,
  }
}

/** Opens a log whose end is known; null when the files contradict the recovery point. */
async function openClean(
  runtime: Runtime,
  input: RecoveryInput,
  listing: Listing,
  segments: Segment[],
  epochs: LeaderEpochs,
): Promise<RecoveredLog | null> {
  const { directory, recoveryPoint } = input
  const active = segments.at(-1)
  if (active === undefined) {
    if (recoveryPoint > input.logStartOffset) return null
    return freshLog(runtime, input, epochs)
  }
  if (!(await openTail(runtime, input, active))) return null
  try {
    await restoreMissingIndexes(runtime, input, listing, segments.slice(0, -1))
  } catch (error) {
    if (error instanceof CorruptionError) return null
    throw error
  }
  const snapshot = listing.snapshotOffsets.at(-1)
  let producers = new ProducerState()
  if (snapshot === recoveryPoint) {
    const entries = await readSnapshot(runtime, directory, snapshot)
    if (entries === null) return null
    producers = entries
  } else if (recoveryPoint > 0 && listing.snapshotOffsets.length > 0) {
    return null
  }
  producers.expire(runtime.clock.wallMs(), input.producerIdExpirationMs)
  return {
    segments,
    logStartOffset: Math.max(input.logStartOffset, segments[0]!.baseOffset),
    logEndOffset: recoveryPoint,
    leaderEpochs: epochs,
    leaderEpochsChanged: false,
    indexFilesCurrent: false,
    producers,
    corruption: null,
  }
}

/** Lets go of sealed segments' indexes, which are files; those whose files are missing are made again. */
async function restoreMissingIndexes(
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

/** Loads the active segment's indexes and walks the batches after the last indexed one; false if they do not add up. */
async function openTail(runtime: Runtime, input: RecoveryInput, active: Segment): Promise<boolean> {
  if (active.sizeBytes === 0) return active.baseOffset === input.recoveryPoint
  const indexes = await loadIndexes(runtime.disk, active)
  if (indexes === null) return false
  const { offsetIndex, timeIndex } = indexes
  const position = offsetIndex.boundaryFor(active.sizeBytes)
  active.offsetIndex = offsetIndex
  active.timeIndex = timeIndex
  active.maxTimestampMs = timeIndex.lastTimestampMs
  active.offsetOfMaxTimestamp = active.baseOffset + timeIndex.lastRelativeOffset
  let endOffset = -1
  try {
    await walkTail(active, position, (lastOffset) => {
      endOffset = lastOffset + 1
    })
  } catch (error) {
    if (error instanceof CorruptionError) return false
    throw error
  }
  active.bytesSinceIndexEntry = active.sizeBytes - position
  return endOffset === input.recoveryPoint
}

async function walkTail(
  active: Segment,
  position: number,
  visit: (lastOffset: number) => void,
): Promise<void> {
  await walkHeaders(active.file, 0, active.sizeBytes, (header) => {
    active.firstTimestampMs = header.maxTimestampMs
    return false
  })
  await walkHeaders(active.file, position, active.sizeBytes, (header) => {
    visit(header.lastOffset)
    return true
  })
}

function freshLog(runtime: Runtime, input: RecoveryInput, epochs: LeaderEpochs): RecoveredLog {
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
  }
}

async function readSnapshot(
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

/** The newest valid snapshot; bad ones are removed, they can be made again. */
async function newestSnapshot(
  runtime: Runtime,
  input: RecoveryInput,
  listing: Listing,
): Promise<{ offset: number; producers: ProducerState } | null> {
  for (const offset of listing.snapshotOffsets.toReversed()) {
    const producers = await readSnapshot(runtime, input.directory, offset)
    if (producers !== null) return { offset, producers }
    const file = `${input.directory}/${segmentFileName(offset, 'snapshot')}`
    input.logger.warn('removed a damaged snapshot of producer state; it is made again', { file })
    await runtime.disk.remove(file)
  }
  return null
}

/** Checks every batch from the recovery point's segment on (earlier when producer state has to be made again). */
async function scanLog(
  runtime: Runtime,
  input: RecoveryInput,
  listing: Listing,
  segments: Segment[],
  knownEpochs: LeaderEpochs | null,
): Promise<RecoveredLog> {
  const { config, recoveryPoint, logger, directory } = input
  if (segments.length === 0) {
    const fresh = freshLog(runtime, input, new LeaderEpochs())
    if (recoveryPoint <= input.logStartOffset) return fresh
    return { ...fresh, corruption: missing(`${directory}/`, input.logStartOffset, recoveryPoint) }
  }
  const snapshot = await newestSnapshot(runtime, input, listing)
  const producers = snapshot?.producers ?? new ProducerState()
  // A snapshot is written only after everything below it was synced: it is a recovery point of its own.
  const durableOffset = Math.max(recoveryPoint, snapshot?.offset ?? 0)
  const epochs = knownEpochs?.clone() ?? new LeaderEpochs()
  const producersFrom = snapshot?.offset ?? 0
  const scanFrom = knownEpochs === null ? 0 : Math.min(recoveryPoint, producersFrom)
  const first = Math.max(
    0,
    segments.findLastIndex(({ baseOffset }) => baseOffset <= scanFrom),
  )
  for (const segment of segments.slice(0, first)) {
    segment.offsetIndex = null
    segment.timeIndex = null
  }
  // Epochs above the recovery point come from the batches themselves.
  epochs.truncateFromEnd(Math.max(recoveryPoint, 1))
  let nextOffset = segments[first]!.baseOffset
  const wallMs = runtime.clock.wallMs()
  let torn: { index: number; damage: Damage } | null = null
  for (let index = first; index < segments.length; index++) {
    const { baseOffset, file, createdMs, sizeBytes } = segments[index]!
    if (baseOffset !== nextOffset) {
      const damage = { position: 0, expected: `offset ${nextOffset}`, found: `offset ${baseOffset}` }
      torn = { index, damage }
      break
    }
    // Made anew: an attempt to open the log without a scan may have read indexes into the old one.
    const segment = new Segment(baseOffset, file, createdMs, 0, false)
    segments[index] = segment
    const range = { file, position: 0, end: sizeBytes, offset: nextOffset }
    const end = await verifyBatches(range, runtime.checksum, (header) => {
      segment.add(header.lastOffset, header.maxTimestampMs, header.sizeBytes, config.indexIntervalBytes)
      epochs.assign(header.partitionLeaderEpoch, header.baseOffset)
      if (header.producerId >= 0 && header.baseOffset >= producersFrom) {
        producers.append(header, header.baseOffset, header.maxTimestampMs, wallMs)
      }
    })
    nextOffset = end.nextOffset
    if (end.damage === null) continue
    torn = { index, damage: end.damage }
    segment.sizeBytes = sizeBytes
    break
  }
  const logStartOffset = Math.max(input.logStartOffset, segments[0]!.baseOffset)
  const base = { segments, logStartOffset, logEndOffset: nextOffset, producers }
  const found = { ...base, leaderEpochs: epochs, leaderEpochsChanged: true, indexFilesCurrent: false }
  if (nextOffset <= input.logStartOffset && durableOffset <= input.logStartOffset) {
    // All that is left was deleted; what followed it never became durable.
    return startOver(runtime, input, listing, segments, epochs)
  }
  if (nextOffset < durableOffset) {
    // What was durable is not there: report, change nothing.
    const corruption =
      torn === null
        ? missing(segments.at(-1)!.file.path, segments.at(-1)!.sizeBytes, durableOffset, nextOffset)
        : new CorruptionError({ file: segments[torn.index]!.file.path, ...torn.damage })
    logger.error('the log is damaged below its recovery point and stays offline; nothing was cut', {
      directory,
      error: corruption.message,
      damagedOffset: nextOffset,
      recoveryPoint: durableOffset,
    })
    return { ...found, corruption }
  }
  if (torn !== null) await cutTail(runtime, input, segments, torn.index, torn.damage, nextOffset)
  await settle(runtime, input, listing, segments, first, nextOffset)
  producers.expire(wallMs, input.producerIdExpirationMs)
  logger.info('recovered a log', {
    directory,
    logEndOffset: nextOffset,
    scannedSegments: segments.length - first,
  })
  return { ...found, corruption: null }
}

function missing(
  file: string,
  position: number,
  recoveryPoint: number,
  nextOffset = position,
): CorruptionError {
  return new CorruptionError({
    file,
    position,
    expected: `records up to offset ${recoveryPoint}`,
    found: `none from offset ${nextOffset} on`,
  })
}

/** Removes every file of a log whose records are all deleted, and begins again at its start offset. */
async function startOver(
  runtime: Runtime,
  input: RecoveryInput,
  listing: Listing,
  segments: readonly Segment[],
  epochs: LeaderEpochs,
): Promise<RecoveredLog> {
  if (
    segments.length === 1 &&
    segments[0]!.sizeBytes === 0 &&
    segments[0]!.baseOffset === input.logStartOffset
  ) {
    return { ...freshLog(runtime, input, epochs), segments: [...segments] }
  }
  for (const { baseOffset } of segments) {
    for (const kind of ['log', 'index', 'timeindex', 'txnindex'] as const) {
      await runtime.disk.remove(`${input.directory}/${segmentFileName(baseOffset, kind)}`)
    }
  }
  for (const offset of listing.snapshotOffsets) {
    await runtime.disk.remove(`${input.directory}/${segmentFileName(offset, 'snapshot')}`)
  }
  await runtime.disk.syncDirectory(input.directory)
  return { ...freshLog(runtime, input, epochs), leaderEpochsChanged: true }
}

/** Cuts the log after its last good batch. Only ever called when that is at or above the recovery point. */
async function cutTail(
  runtime: Runtime,
  input: RecoveryInput,
  segments: Segment[],
  index: number,
  damage: Damage,
  endOffset: number,
): Promise<void> {
  const { disk } = runtime
  const segment = segments[index]!
  input.logger.warn('cut the torn end of a log: nothing of it was acknowledged as durable', {
    file: segment.file.path,
    position: damage.position,
    logEndOffset: endOffset,
    expected: damage.expected,
    found: damage.found,
  })
  // A segment that does not begin where the log ends is wholly beyond a hole.
  const keep = damage.position > 0 || segment.baseOffset === endOffset ? index + 1 : index
  for (const dropped of segments.splice(keep)) {
    for (const kind of ['log', 'index', 'timeindex', 'txnindex'] as const) {
      await disk.remove(`${input.directory}/${segmentFileName(dropped.baseOffset, kind)}`)
    }
  }
  if (keep === index) return
  segment.sizeBytes = damage.position
  await segment.file.truncate(damage.position)
}

/** A full disk does not keep a log from opening: indexes are made again when they are asked for. */
async function unlessFull(writing: Promise<void>): Promise<void> {
  try {
    await writing
  } catch (error) {
    if (!(error instanceof EngineError) || error.code !== 'diskFull') throw error
  }
}

/** Makes what was found durable, so that it becomes the new recovery point; writes the scanned segments' indexes. */
async function settle(
  runtime: Runtime,
  input: RecoveryInput,
  listing: Listing,
  segments: Segment[],
  first: number,
  endOffset: number,
): Promise<void> {
  const { disk } = runtime
  for (let index = first; index < segments.length; index++) {
    const segment = segments[index]!
    await segment.file.sync()
    if (index === segments.length - 1) break
    segment.completeTimeIndex()
    const indexes = { offsetIndex: segment.offsetIndex!, timeIndex: segment.timeIndex! }
    await unlessFull(writeIndexes(disk, segment, indexes, 'data'))
    segment.offsetIndex = null
    segment.timeIndex = null
  }
  for (const offset of listing.snapshotOffsets) {
    if (offset > endOffset) await disk.remove(`${input.directory}/${segmentFileName(offset, 'snapshot')}`)
  }
  await disk.syncDirectory(input.directory)
}

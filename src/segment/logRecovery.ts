import { CorruptionError } from '../model/errors.ts'
import { isDurable } from '../model/flushPolicy.ts'
import type { Runtime } from '../runtime/runtime.ts'
import { type Damage, verifyBatches } from './batchScan.ts'
import { openClean, resumeLog } from './cleanOpen.ts'
import { segmentFileName } from './fileNames.ts'
import { LeaderEpochs } from './leaderEpochs.ts'
import {
  findSegments,
  freshLog,
  type Listing,
  listLog,
  type RecoveredLog,
  type RecoveryInput,
  readEpochs,
  readSnapshot,
  removeBelowStart,
  unlessFull,
} from './logFiles.ts'
import { ProducerState } from './producerState.ts'
import { Segment } from './segment.ts'
import { writeIndexes } from './segmentIndexes.ts'

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
  const suspect = segments.findLastIndex(({ baseOffset }) => baseOffset <= durableOffset)
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
    // What a failed sync left in the page cache would look stored, and be acknowledged.
    if (index >= suspect) await file.dropCached?.()
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
  // Under `batch` only synced records are deleted: damage below the start offset is no torn end, and there may be
  // acknowledged records beyond it.
  const isBelowStart = torn !== null && nextOffset < input.logStartOffset && isDurable(config.flush)
  if (nextOffset <= input.logStartOffset && durableOffset <= input.logStartOffset && !isBelowStart) {
    // All that is left was deleted; what followed it never became durable.
    return startOver(runtime, input, listing, segments, epochs)
  }
  if (nextOffset < durableOffset || isBelowStart) {
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
      logStartOffset,
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

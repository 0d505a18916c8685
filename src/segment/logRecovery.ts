import { CorruptionError } from '../model/errors.ts'
import { isDurable } from '../model/flushPolicy.ts'
import { planted } from '../model/planted.ts'
import type { Runtime } from '../runtime/runtime.ts'
import type { Damage } from './batchScan.ts'
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
  removeSegments,
  type Unfinished,
} from './logFiles.ts'
import { ProducerState } from './producerState.ts'
import { notedPlaces } from './resumePoint.ts'
import { resumeStart, type ScanStart, startBehind, takeDigests } from './scanStart.ts'
import { Segment } from './segment.ts'
import { syncFound } from './segmentRewrite.ts'
import { SegmentScanner } from './segmentScanner.ts'
import { announceCut, cutTail } from './tornEnd.ts'

/**
 * Opens the files of one log. After a clean shutdown nothing is read. After a crash every batch from the resume point on
 * is checked, without one from the beginning of the recovery point's segment on: above what must be there the first bad
 * one ends the log and what follows is cut, below it nothing is changed and `corruption` says what is bad.
 */
export async function recoverLog(runtime: Runtime, input: RecoveryInput): Promise<RecoveredLog> {
  if (input.damage) return damagedLog(runtime, input, input.damage)
  const { resume = null, closedState = null } = input
  if (input.cleanShutdown) {
    const closed = closedState ?? resume?.closed ?? null
    const producers = closedState === null && resume !== null ? new ProducerState(resume.producers) : null
    if (closed !== null) {
      const resumed = await resumeLog(runtime, input, closed, producers)
      if (resumed !== null) return resumed
    }
  }
  let listing: Listing
  try {
    listing = await removeBelowStart(runtime, input, await listLog(runtime, input))
  } catch (error) {
    if (!(error instanceof CorruptionError)) throw error
    return damagedLog(runtime, input, error)
  }
  if (resume !== null) {
    try {
      const start = await resumeStart(runtime, input, listing, resume)
      if (start !== null) return await scanLog(runtime, input, listing, start)
    } catch (error) {
      if (!(error instanceof CorruptionError)) throw error
      return damagedLog(runtime, input, error)
    }
    input.logger.warn('the log is not as the last checkpoint says and is checked from further back', {
      directory: input.directory,
    })
  }
  const segments = await findSegments(runtime, input, listing.segmentOffsets)
  const epochs = await knownEpochs(runtime, input, listing)
  if (input.cleanShutdown && epochs !== null && !lacksStart(input, segments)) {
    const opened = await openClean(runtime, input, listing, segments, epochs)
    if (opened !== null) return opened
    input.logger.warn('the log is not as the clean shutdown left it and is checked as after a crash', {
      directory: input.directory,
    })
  }
  if (segments.length === 0) return emptyLog(runtime, input, listing, epochs)
  return scanLog(runtime, input, listing, await coldStart(runtime, input, listing, segments, epochs))
}

/** A log of which it is known that its files are not what they must be. Nothing is read. */
function damagedLog(runtime: Runtime, input: RecoveryInput, corruption: CorruptionError): RecoveredLog {
  input.logger.error('the log is damaged and stays offline; nothing was changed', {
    directory: input.directory,
    error: corruption.message,
    recoveryPoint: input.recoveryPoint,
    logStartOffset: input.logStartOffset,
  })
  const fresh = freshLog(runtime, { ...input, logStartOffset: input.recoveryPoint }, new LeaderEpochs())
  return { ...fresh, logStartOffset: input.logStartOffset, corruption }
}

/** A log that has no segment. */
async function emptyLog(
  runtime: Runtime,
  input: RecoveryInput,
  listing: Listing,
  known: LeaderEpochs | null,
): Promise<RecoveredLog> {
  const epochs = known?.clone() ?? new LeaderEpochs()
  epochs.truncateFromEnd(Math.max(input.recoveryPoint, 1))
  const producers = await lastProducers(runtime, input, listing)
  const fresh = { ...freshLog(runtime, input, epochs), producers }
  const mustHave = Math.max(input.recoveryPoint, input.provenEnd ?? 0)
  if (mustHave <= input.logStartOffset) return fresh
  return { ...fresh, corruption: missing(`${input.directory}/`, input.logStartOffset, mustHave) }
}

/** Where to begin without a resume point: at the recovery point's segment, earlier when producers have to be made again. */
async function coldStart(
  runtime: Runtime,
  input: RecoveryInput,
  listing: Listing,
  segments: Segment[],
  found: LeaderEpochs | null,
): Promise<ScanStart> {
  const { recoveryPoint, resume } = input
  const snapshot = await newestSnapshot(runtime, input, listing)
  const epochs = found?.clone() ?? new LeaderEpochs()
  const producersFrom = snapshot?.offset ?? 0
  const epochsEnd = resume?.closed.logEndOffset ?? recoveryPoint
  const scanFrom = found === null ? 0 : Math.min(recoveryPoint, producersFrom, epochsEnd)
  // What lacks its beginning is looked at from there.
  const first = lacksStart(input, segments)
    ? 0
    : Math.max(
        0,
        segments.findLastIndex(({ baseOffset }) => baseOffset <= scanFrom),
      )
  for (const segment of segments.slice(0, first)) {
    segment.offsetIndex = null
    segment.timeIndex = null
  }
  const { baseOffset, file, createdMs } = segments[first]!
  // Epochs from there on come from the batches themselves: one that begins before must not seem to begin with the first of them.
  epochs.truncateFromEnd(Math.max(Math.min(recoveryPoint, baseOffset), 1))
  return {
    segments,
    first,
    // Made anew: an attempt to open the log without a scan may have read indexes into the old one.
    makeFirst: () => new Segment(baseOffset, file, createdMs, 0, false),
    offset: baseOffset,
    epochs,
    // A snapshot is written only after everything below it was synced: it is a recovery point of its own.
    durableOffset: Math.max(recoveryPoint, snapshot?.offset ?? 0),
    producers: snapshot?.producers ?? new ProducerState(),
    producersFrom,
    unfinished: [],
  }
}

/** Whether the segment is gone in which the log begins. */
function lacksStart(input: RecoveryInput, [first]: readonly Segment[]): boolean {
  return input.startIsKnown === true && first !== undefined && first.baseOffset > input.logStartOffset
}

/** The leader epochs as far as recovery need not make them again from the batches; null when nobody knows them. */
async function knownEpochs(
  runtime: Runtime,
  input: RecoveryInput,
  listing: Listing,
): Promise<LeaderEpochs | null> {
  if (input.resume) return new LeaderEpochs(input.resume.closed.leaderEpochs)
  return input.epochs ?? readEpochs(runtime, input, listing)
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

/** The idempotent producers of a log whose records are all deleted: they may still send what they have sent before. */
async function lastProducers(
  runtime: Runtime,
  input: RecoveryInput,
  listing: Listing,
): Promise<ProducerState> {
  if (input.resume) return new ProducerState(input.resume.producers)
  const snapshotOffsets = listing.snapshotOffsets.filter((offset) => offset <= input.logStartOffset)
  const newest = await newestSnapshot(runtime, input, { ...listing, snapshotOffsets })
  return newest?.producers ?? new ProducerState()
}

/** What a scan has found. */
interface Scanned {
  readonly segments: Segment[]
  readonly endOffset: number
  readonly torn: { readonly index: number; readonly damage: Damage } | null
  readonly epochs: LeaderEpochs
  readonly producers: ProducerState
  readonly unfinished: readonly Unfinished[]
}

/** Checks every batch from `start` on, as the disk has it: what replay has written stays in the page cache. */
async function scan(runtime: Runtime, input: RecoveryInput, start: ScanStart): Promise<Scanned> {
  const wallMs = runtime.clock.wallMs()
  const scanner = input.scanner ?? new SegmentScanner(runtime)
  const { indexIntervalBytes } = input.config
  const segments = [...start.segments]
  const epochs = start.epochs.clone()
  const producers = new ProducerState(start.producers.entries())
  const unfinished: Unfinished[] = [...start.unfinished]
  const suspect = segments.findLastIndex(({ baseOffset }) => baseOffset <= start.durableOffset)
  let nextOffset = start.offset
  let torn: Scanned['torn'] = null
  for (let index = start.first; index < segments.length; index++) {
    const { baseOffset, file, createdMs, sizeBytes } = segments[index]!
    const isFirst = index === start.first
    // Nothing is deleted before the new start is stored: what begins later lies beyond a hole.
    const isBeyondStart = index === 0 && lacksStart(input, segments)
    if (isBeyondStart) nextOffset = input.logStartOffset
    if (isBeyondStart || (!isFirst && baseOffset !== nextOffset)) {
      const damage = { position: 0, expected: `offset ${nextOffset}`, found: `offset ${baseOffset}` }
      torn = { index, damage }
      break
    }
    const segment = isFirst ? start.makeFirst() : new Segment(baseOffset, file, createdMs, 0, false)
    segments[index] = segment
    // What a failed sync left in the page cache would look stored, and be acknowledged.
    const mustDrop = index >= suspect && sizeBytes > segment.sizeBytes
    if (mustDrop && !planted('trustCacheAfterFailedSync')) await file.dropCached?.()
    const { producersFrom } = start
    const target = { segment, epochs, producers, producersFrom, indexIntervalBytes, wallMs }
    const end = await scanner.scan(target, sizeBytes, nextOffset)
    nextOffset = end.nextOffset
    if (end.damage !== null) {
      torn = { index, damage: end.damage }
      segment.sizeBytes = sizeBytes
      break
    }
    if (index < segments.length - 1) {
      const isKnown = nextOffset >= start.producersFrom
      unfinished.push({ segment, endOffset: nextOffset, producers: isKnown ? producers.entries() : null })
    }
  }
  return { segments, endOffset: nextOffset, torn, epochs, producers, unfinished }
}

async function scanLog(
  runtime: Runtime,
  input: RecoveryInput,
  listing: Listing,
  start: ScanStart,
): Promise<RecoveredLog> {
  const { config, logger, directory } = input
  const proven = input.provenEnd ?? 0
  const isInJournal = proven > input.recoveryPoint
  const replayed = input.tail ? startBehind(start, input.tail, proven) : null
  const scanned = await scan(runtime, input, replayed ?? start)
  const { segments, endOffset, torn, epochs, producers } = scanned
  await takeDigests(segments.slice(0, torn?.index ?? -1), notedPlaces(input))
  const durableOffset = Math.max(start.durableOffset, proven)
  const firstOffset = Math.min(segments[0]!.baseOffset, endOffset)
  const logStartOffset = Math.max(input.logStartOffset, firstOffset)
  const found = {
    segments,
    logStartOffset,
    logEndOffset: endOffset,
    producers,
    leaderEpochs: epochs,
    leaderEpochsChanged: true,
    indexFilesCurrent: false,
  }
  const announce = ({ index, damage }: NonNullable<Scanned['torn']>): Promise<void> =>
    announceCut(input, segments[index]!, damage, endOffset, runtime.checksum)
  // Under a durable policy only synced records are deleted: damage below the start offset is no torn end, and there may
  // be acknowledged records beyond it.
  const isBelowStart = torn !== null && endOffset < input.logStartOffset && isDurable(config.flush)
  if (endOffset <= input.logStartOffset && durableOffset <= input.logStartOffset && !isBelowStart) {
    // All that is left was deleted; what followed it never became durable.
    if (torn !== null) await announce(torn)
    const empty = await startOver(runtime, input, listing, segments, start.epochs)
    return { ...empty, wasCut: torn !== null }
  }
  // Where the journal has lost something, what looks like a torn end may have been acknowledged.
  const isUnknown = torn !== null && input.journalIsDamaged === true && config.flush === 'journal'
  const isCut = planted('cutAtBadChecksum') && torn !== null
  if ((endOffset < durableOffset || isBelowStart || isUnknown) && !isCut) {
    // What was durable is not there: report, change nothing.
    const corruption =
      torn === null
        ? missing(segments.at(-1)!.file.path, segments.at(-1)!.sizeBytes, durableOffset, endOffset)
        : new CorruptionError({ file: segments[torn.index]!.file.path, ...torn.damage })
    logger.error('the log is damaged below its recovery point and stays offline; nothing was cut', {
      directory,
      error: corruption.message,
      damagedOffset: endOffset,
      recoveryPoint: durableOffset,
      logStartOffset,
    })
    const syncedOffset = input.recoveryPoint
    return { ...found, corruption, syncedOffset, durableOffset, unfinished: [] }
  }
  if (torn !== null) {
    await announce(torn)
    await cutTail(runtime, directory, segments, torn.index, torn.damage, endOffset)
  }
  const unfinished = scanned.unfinished.filter(({ segment }) => segment !== segments.at(-1))
  const hasTail = torn !== null || endOffset > durableOffset
  // Without a journal what was found becomes the recovery point; with one, only what nobody would have otherwise.
  const isSynced = input.provenEnd === undefined || input.provenEnd === null || torn !== null
  const mustSync = isSynced || (hasTail && isDurable(config.flush))
  if (mustSync) await syncFound(runtime, segments, start.first, endOffset, logger)
  await removeLaterSnapshots(runtime, input, listing, endOffset)
  if (mustSync) await runtime.disk.syncDirectory(directory)
  producers.forgetOld(runtime.clock.wallMs(), input.producerIdExpirationMs)
  const log = hasTail || isInJournal ? 'info' : 'debug'
  logger[log]('recovered a log', {
    directory,
    logEndOffset: endOffset,
    from: (replayed ?? start).offset,
    scannedSegments: segments.length - start.first,
  })
  return {
    ...found,
    corruption: null,
    wasCut: torn !== null,
    syncedOffset: mustSync ? endOffset : Math.min(start.durableOffset, endOffset),
    durableOffset: mustSync ? endOffset : Math.min(durableOffset, endOffset),
    unfinished,
  }
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
    const producers = await lastProducers(runtime, input, listing)
    return { ...freshLog(runtime, input, epochs), producers, segments: [...segments] }
  }
  // What comes after first, durably: behind a part of what was deleted it would look as if something were missing.
  const firstLater = segments.findIndex(({ baseOffset }) => baseOffset > input.logStartOffset)
  const deleted = firstLater < 0 ? segments : segments.slice(0, firstLater)
  if (firstLater >= 0) {
    await removeSegments(runtime, input.directory, segments.slice(firstLater))
    await runtime.disk.syncDirectory(input.directory)
  }
  await removeSegments(runtime, input.directory, deleted)
  await removeLaterSnapshots(runtime, input, listing, input.logStartOffset)
  await runtime.disk.syncDirectory(input.directory)
  const producers = await lastProducers(runtime, input, listing)
  return { ...freshLog(runtime, input, epochs), producers, leaderEpochsChanged: true }
}

/** Removes the producer snapshots that were taken beyond the end. */
async function removeLaterSnapshots(
  runtime: Runtime,
  input: RecoveryInput,
  listing: Listing,
  endOffset: number,
): Promise<void> {
  for (const offset of listing.snapshotOffsets) {
    if (offset > endOffset)
      await runtime.disk.remove(`${input.directory}/${segmentFileName(offset, 'snapshot')}`)
  }
}

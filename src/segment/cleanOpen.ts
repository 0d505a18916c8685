import { CorruptionError } from '../model/errors.ts'
import type { Runtime } from '../runtime/runtime.ts'
import { unknownDigest } from './batchDigest.ts'
import { walkHeaders } from './batchScan.ts'
import type { ClosedLog } from './closedLog.ts'
import { segmentFileName } from './fileNames.ts'
import { LeaderEpochs } from './leaderEpochs.ts'
import {
  freshLog,
  type Listing,
  type RecoveredLog,
  type RecoveryInput,
  readSnapshot,
  restoreMissingIndexes,
} from './logFiles.ts'
import { ProducerState } from './producerState.ts'
import { Segment } from './segment.ts'
import { hasGreatestTime, loadIndexes } from './segmentIndexes.ts'

/** Takes a log up where a clean shutdown left it; null when its segments are not as they were. */
export async function resumeLog(
  runtime: Runtime,
  input: RecoveryInput,
  closed: ClosedLog,
  knownProducers: ProducerState | null,
): Promise<RecoveredLog | null> {
  const segments: Segment[] = []
  const stats = await Promise.all(
    closed.segments.map(async ([baseOffset, sizeBytes]) => {
      // An active segment that nothing was written to has no file yet: most logs of a large node.
      if (sizeBytes === 0) return null
      return runtime.disk.stat(`${input.directory}/${segmentFileName(baseOffset, 'log')}`)
    }),
  )
  for (const [index, [baseOffset, sizeBytes, digest, firstDigest]] of closed.segments.entries()) {
    const stat = stats[index]!
    // An active segment that nothing was written to has no file yet.
    if (stat === null ? sizeBytes > 0 : stat.sizeBytes !== sizeBytes) return null
    const file = runtime.disk.file(`${input.directory}/${segmentFileName(baseOffset, 'log')}`)
    const createdMs = stat?.modifiedMs ?? runtime.clock.wallMs()
    const segment = new Segment(baseOffset, file, createdMs, sizeBytes, stat === null)
    if (sizeBytes > 0) segment.digest = digest ?? unknownDigest
    segment.firstDigest = firstDigest ?? unknownDigest
    segment.offsetIndex = null
    segment.timeIndex = null
    segments.push(segment)
  }
  segments.at(-1)!.resume(closed.active)
  segments.at(-1)!.hasIndexFiles = closed.hasIndexFiles ?? true
  let producers: ProducerState | null = knownProducers ?? new ProducerState()
  if (knownProducers === null && closed.hasProducers)
    producers = await readSnapshot(runtime, input.directory, closed.logEndOffset)
  if (producers === null) return null
  producers.forgetOld(runtime.clock.wallMs(), input.producerIdExpirationMs)
  return {
    segments,
    logStartOffset: closed.logStartOffset,
    logEndOffset: closed.logEndOffset,
    leaderEpochs: new LeaderEpochs(closed.leaderEpochs),
    leaderEpochsChanged: false,
    indexFilesCurrent: true,
    producers,
    corruption: null,
    syncedOffset: closed.logEndOffset,
    durableOffset: closed.logEndOffset,
    unfinished: [],
  }
}

/** Opens a log whose end is known; null when the files contradict the recovery point. */
export async function openClean(
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
  } else if (recoveryPoint > 0 && (snapshot !== undefined || input.closedState?.hasProducers)) {
    return null
  }
  producers.forgetOld(runtime.clock.wallMs(), input.producerIdExpirationMs)
  return {
    segments,
    logStartOffset: Math.max(input.logStartOffset, segments[0]!.baseOffset),
    logEndOffset: recoveryPoint,
    leaderEpochs: epochs,
    leaderEpochsChanged: false,
    indexFilesCurrent: false,
    producers,
    corruption: null,
    syncedOffset: recoveryPoint,
    durableOffset: recoveryPoint,
    unfinished: [],
  }
}

/** Loads the active segment's indexes and walks the batches after the last indexed one; false if they do not add up. */
async function openTail(runtime: Runtime, input: RecoveryInput, active: Segment): Promise<boolean> {
  if (active.sizeBytes === 0) return active.baseOffset === input.recoveryPoint
  const indexes = await loadIndexes(runtime.disk, active)
  if (indexes === null) return false
  if (!(await hasGreatestTime(active, indexes))) return false
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

import type { Logger } from '../model/logger.ts'
import { type ClosedLog, placeOf } from './closedLog.ts'
import { leaderEpochFile, parseSegmentFileName } from './fileNames.ts'
import { inParallel } from './inParallel.ts'
import type { Log } from './log.ts'
import type { LogState } from './logState.ts'
import { writeIndexes, writeWholeFile } from './segmentIndexes.ts'

/** Logs that are closed at the same time. */
const parallel = 16

/**
 * Writes all that lets the log be opened again without reading its files, and returns it; null when a segment
 * could not be sealed, or the log went offline: then the next start looks at the files.
 */
export async function closeClean(state: LogState): Promise<ClosedLog | null> {
  const { disk } = state.runtime
  const { active } = state.segments
  await state.sealer.seal(state.flush.flushedOffset)
  if (state.sealer.oldestOffset !== null) return null
  await state.segments.removeFiles()
  if (state.flush.syncedOffset < state.logEndOffset) {
    await active.file.sync()
    await disk.syncDirectory(state.directory)
  }
  if (!state.indexFilesCurrent && active.sizeBytes > 0) {
    // After a crash they would have to be made from the whole segment: that is done when somebody asks for them.
    const isKnown = active.hasIndexFiles || (active.offsetIndex!.isComplete && active.timeIndex!.isComplete)
    const indexes = isKnown ? await state.segments.indexes(active) : null
    active.completeTimeIndex()
    if (indexes !== null) await writeIndexes(disk, active, indexes, 'none')
    active.hasIndexFiles = isKnown
  }
  const hasProducers = state.producers.count > 0
  if (hasProducers || state.segments.all.length > 1) {
    await state.sealer.writeSnapshot(state.logEndOffset, state.producers.entries(), 'none')
  }
  if (!state.indexFilesCurrent) await removeStraySnapshots(state)
  if (state.epochsChanged) {
    const path = `${state.directory}/${leaderEpochFile}`
    await writeWholeFile(disk, path, Buffer.from(state.epochs.encode()), 'none')
    state.epochsChanged = false
  }
  // A sync that began before may have failed meanwhile, and its file be stored now: that proves nothing of the others.
  if (state.offline !== null) return null
  state.flush.synced(state.logEndOffset)
  return {
    topicId: state.options.topicId,
    logStartOffset: state.logStartOffset,
    logEndOffset: state.logEndOffset,
    leaderEpochs: state.epochs.entries,
    hasProducers,
    segments: state.segments.all.map(placeOf),
    active: active.closedState(),
    hasIndexFiles: active.hasIndexFiles,
  }
}

/**
 * Closes logs cleanly, as far as that is possible. `areStored`: their files have everything; `areClean`: the next start
 * need not read them.
 */
export async function closeLogs(
  logs: ReadonlyMap<string, Log>,
  logger: Logger,
): Promise<{ readonly areStored: boolean; readonly areClean: boolean }> {
  let areStored = true
  let areClean = true
  await inParallel([...logs], parallel, async ([name, log]) => {
    try {
      await log.close({ clean: true })
      if (log.closedState === null) areClean = false
    } catch (error) {
      areStored = areClean = false
      logger.error('a log was not closed cleanly', { log: name, error: String(error) })
    }
  })
  return { areStored, areClean }
}

/** Removes snapshots of earlier shutdowns; those at the base of a segment stay, for truncation. */
async function removeStraySnapshots(state: LogState): Promise<void> {
  const kept = new Set(state.segments.all.map(({ baseOffset }) => baseOffset)).add(state.logEndOffset)
  for (const { name } of await state.runtime.disk.list(state.directory)) {
    const parsed = parseSegmentFileName(name)
    if (parsed?.kind !== 'snapshot' || kept.has(parsed.baseOffset)) continue
    await state.runtime.disk.remove(`${state.directory}/${name}`)
  }
}

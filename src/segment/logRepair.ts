import type { EngineError } from '../model/errors.ts'
import type { LogState } from './logState.ts'
import type { PendingWrite } from './pendingWrite.ts'
import type { Segment } from './segment.ts'

/**
 * Takes back the appends of groups that found no room on the disk: in memory at once, then in the files.
 * Appends are refused until that is done. `lost` is all there is from the first of them on; not empty.
 */
export async function undoAppends(state: LogState, lost: readonly PendingWrite[]): Promise<void> {
  const { startOffset, startSegment, startMark, error } = lost[0]!
  for (const pending of lost.toReversed()) {
    pending.restoreProducers((producerId, before) => state.producers.restore(producerId, before))
  }
  const dropped = state.segments.makeActive(startSegment)
  state.sealer.drop(startSegment)
  startSegment.restore(startMark, startOffset)
  state.recent.truncate(dropped.length > 0 ? 0 : startMark.sizeBytes)
  state.logEndOffset = startOffset
  if (state.epochs.truncateFromEnd(startOffset)) state.epochsChanged = true
  if (startMark.sizeBytes === 0) startSegment.isNew = true
  // A producer that tries again and again is told each time; the operator once per offset.
  if (state.undoneTo !== startOffset) {
    state.options.logger.warn('appends were undone because there is no room for them', {
      directory: state.directory,
      logEndOffset: startOffset,
      error: error!.message,
    })
  }
  state.undoneTo = startOffset
  // What found the disk's queue full was not written; the journal's queue may be full when the files have it.
  const isJournaled = lost.some(({ group }) => group.isJournaled)
  if (!isJournaled && lost.every((pending) => pending.error?.code === 'queueFull')) {
    state.refusal = null
    return
  }
  await Promise.all(lost.map(({ group }) => group.written))
  for (const { file } of dropped) await state.runtime.disk.remove(file.path)
  // A file that was to be made may not be there.
  const { path } = startSegment.file
  if (startMark.sizeBytes === 0) await state.runtime.disk.remove(path)
  // A file that nothing was written to may be one that could not be opened, and cannot now.
  else if ((await state.runtime.disk.stat(path))?.sizeBytes !== startMark.sizeBytes) {
    await startSegment.file.truncate(startMark.sizeBytes)
  }
  if (isJournaled) await forgetInJournal(state, startOffset, startSegment)
  state.refusal = null
}

/** Whether there was only no room: nothing is broken, and the same may succeed later. */
export function isRoomError(error: EngineError): boolean {
  return error.code === 'diskFull' || error.code === 'queueFull'
}

/** Keeps a later start from replaying what was undone: some of it may be in the journal. */
async function forgetInJournal(state: LogState, endOffset: number, segment: Segment): Promise<void> {
  const { journal } = state.options
  if (!journal) return
  if (!segment.isNew) await segment.file.sync()
  const { logId, writer } = journal
  const { baseOffset: segmentBaseOffset, sizeBytes: position } = segment
  await writer.commit([
    { type: 'truncate', logId, endOffset, segmentBaseOffset, position },
    { type: 'truncated', logId },
  ])
}

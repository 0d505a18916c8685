import type { LogState } from './logState.ts'
import { cutLog } from './logTruncation.ts'
import { whenRoom } from './patiently.ts'
import { type ProducerEntry, ProducerState } from './producerState.ts'

/**
 * Drops every record of a log in which nothing is in flight and has it begin, empty, at `offset`, which is not below its end or
 * its start, with these producers. Durable when it resolves. After a crash on the way the log is empty and ends where it began
 * or at `offset`, or nothing has happened.
 */
export async function startOver(
  state: LogState,
  offset: number,
  producers: Iterable<ProducerEntry>,
): Promise<void> {
  if (state.logEndOffset > state.logStartOffset) await cutLog(state, state.logStartOffset)
  if (state.segments.active.baseOffset !== offset) state.segments.roll(offset)
  state.cuts++
  state.logEndOffset = offset
  state.flush.reset(offset, state.segments.active)
  state.flush.synced(offset)
  state.recent.clear()
  state.indexFilesCurrent = false
  if (state.epochs.truncateFromEnd(0)) state.epochsChanged = true
  state.producers.replace(new ProducerState(producers))
  state.setStartOffset(offset)
  for (const segment of state.segments.removeBelow(offset, 0)) state.sealer.forget(segment)
  // Before the start is stored: what would lie below it must not be found there.
  await whenRoom(state, () => state.segments.removeFiles())
  await whenRoom(state, () => state.runtime.disk.syncDirectory(state.directory))
  await whenRoom(state, () => state.storeStart())
  await whenRoom(state, async () => state.options.persistRecoveryPoint?.())
}

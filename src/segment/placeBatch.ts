import type { LogState } from './logState.ts'
import type { LogSync } from './logSync.ts'
import type { AppendResult } from './logTypes.ts'
import {
  type BatchHeader,
  readCrc,
  setBaseOffset,
  setLogAppendTime,
  setPartitionLeaderEpoch,
} from './recordBatch.ts'
import type { WriteGroup } from './writeGroup.ts'

/** Writes offset, epoch and, where the log sets it, time into a batch; the time, or -1 where the producer's stand. */
export function setPlace(
  state: LogState,
  batch: BatchHeader,
  bytes: Uint8Array,
  leaderEpoch: number,
): number {
  const { clock, checksum } = state.runtime
  setBaseOffset(bytes, state.logEndOffset)
  setPartitionLeaderEpoch(bytes, leaderEpoch)
  if (state.config.timestampType !== 'logAppendTime' || batch.isControl) return -1
  const wallMs = clock.wallMs()
  setLogAppendTime(bytes, wallMs, checksum)
  return wallMs
}

/** Puts a batch that was checked, and in whose bytes its place is set, at the end of the log. */
export function placeBatch(
  state: LogState,
  sync: LogSync,
  roll: (baseOffset: number) => void,
  batch: BatchHeader,
  bytes: Uint8Array,
  leaderEpoch: number,
  group: WriteGroup,
  logAppendTimeMs: number,
): AppendResult {
  const { config, segments } = state
  const wallMs = state.runtime.clock.wallMs()
  const baseOffset = state.logEndOffset
  const lastOffset = baseOffset + batch.lastOffsetDelta
  const maxTimestampMs = logAppendTimeMs >= 0 ? logAppendTimeMs : batch.maxTimestampMs
  const pending = state.flush.pendingFor(group, baseOffset, segments.active)
  if (segments.active.mustRoll(lastOffset, bytes.length, maxTimestampMs, wallMs, config)) roll(baseOffset)
  const segment = segments.active
  segment.digestNext(baseOffset, bytes.length, leaderEpoch, readCrc(bytes))
  const position = segment.add(lastOffset, maxTimestampMs, bytes.length, config.indexIntervalBytes)
  const survives = sync.add(pending, segment, position, bytes, baseOffset, lastOffset)
  state.indexFilesCurrent = false
  segment.isNew = false
  state.recent.add(baseOffset, position)
  if (state.epochs.assign(leaderEpoch, baseOffset)) state.epochsChanged = true
  if (batch.producerId >= 0) {
    const before = state.producers.append(batch, baseOffset, maxTimestampMs, wallMs)
    pending.rememberProducer(batch.producerId, before)
  }
  state.logEndOffset = lastOffset + 1
  pending.endOffset = lastOffset + 1
  pending.endSegment = segment
  pending.endPosition = segment.sizeBytes
  return { baseOffset, lastOffset, logAppendTimeMs, duplicate: false, survives }
}

import { EngineError } from '../model/errors.ts'
import type { LogConfig } from './logConfig.ts'
import type { LogState } from './logState.ts'
import type { AppendResult } from './logTypes.ts'
import type { BatchHeader } from './recordBatch.ts'

/** What keeps a batch of `sizeBytes` from being appended is thrown; for one that is there already the answer is where. */
export function checkAppend(
  state: LogState,
  batch: BatchHeader,
  sizeBytes: number,
  leaderEpoch: number,
): AppendResult | null {
  const { config } = state
  checkSize(sizeBytes, config)
  checkEpoch(leaderEpoch, state.epochs.latestEpoch)
  const isTimed = config.timestampType === 'logAppendTime' && !batch.isControl
  if (!isTimed) checkTimestamps(batch, state.runtime.clock.wallMs(), config)
  const known = batch.producerId < 0 ? null : state.producers.check(batch)
  if (known === null) return null
  const { baseOffset, lastOffset, timestampMs } = known
  const logAppendTimeMs = isTimed ? timestampMs : -1
  // Not what the policy promises to new records: it may have been raised since.
  const survives = state.flush.survives(lastOffset)
  return { baseOffset, lastOffset, logAppendTimeMs, duplicate: true, survives }
}

/** Throws `fencedLeaderEpoch` when a later epoch has written already: epochs never go back within a log. */
function checkEpoch(leaderEpoch: number, latestEpoch: number): void {
  if (leaderEpoch >= latestEpoch) return
  throw new EngineError('fencedLeaderEpoch', `epoch ${leaderEpoch} may not write: ${latestEpoch} has begun`)
}

/** Throws `messageTooLarge` or `recordListTooLarge` when a batch of `sizeBytes` may not be appended. */
function checkSize(sizeBytes: number, config: LogConfig): void {
  const { maxMessageBytes, segmentBytes } = config
  if (sizeBytes > maxMessageBytes) {
    const message = `a batch of ${sizeBytes} bytes; at most ${maxMessageBytes} are taken`
    throw new EngineError('messageTooLarge', message)
  }
  if (sizeBytes > segmentBytes) {
    const message = `a batch of ${sizeBytes} bytes; a segment has ${segmentBytes}`
    throw new EngineError('recordListTooLarge', message)
  }
}

/**
 * Throws `invalidTimestamp` when a producer's times are further from the broker's clock than the topic allows.
 * Judged by the header alone: records are not looked at. Source: KIP-937.
 */
function checkTimestamps(batch: BatchHeader, wallMs: number, config: LogConfig): void {
  const { baseTimestampMs, maxTimestampMs } = batch
  if (batch.isLogAppendTime && !batch.isControl) {
    throw new EngineError('invalidTimestamp', 'a producer may not claim that the broker set the time')
  }
  if (maxTimestampMs < 0) return
  const isTooNew = maxTimestampMs - wallMs > config.timestampAfterMaxMs
  const isTooOld = baseTimestampMs >= 0 && wallMs - baseTimestampMs > config.timestampBeforeMaxMs
  if (!isTooNew && !isTooOld) return
  throw new EngineError(
    'invalidTimestamp',
    `timestamps ${baseTimestampMs} to ${maxTimestampMs} are too far from the broker's ${wallMs}`,
  )
}

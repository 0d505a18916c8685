import { CorruptionError } from '../model/errors.ts'
import type { Logger } from '../model/logger.ts'
import { inParallel } from './inParallel.ts'
import type { Log } from './log.ts'
import type { LogConfig } from './logConfig.ts'
import type { LogState } from './logState.ts'
import type { Segment } from './segment.ts'

/** Logs that are looked at at the same time. */
const parallel = 16

/**
 * How many of the oldest segments may go: those whose newest record is older than `retentionMs`, and those
 * without which the log still has `retentionBytes`. `isFlushed(index)` says whether all of a segment is
 * flushed; an empty active segment never goes. Ages are told by timestamps, by the file's time without any.
 */
export async function expiredSegments(
  segments: readonly Segment[],
  config: Pick<LogConfig, 'retentionMs' | 'retentionBytes'>,
  wallMs: number,
  largestTimestamp: (segment: Segment) => Promise<number>,
  isFlushed: (index: number) => boolean,
): Promise<number> {
  const known = [...segments]
  let surplusBytes = -config.retentionBytes
  for (const segment of known) surplusBytes += segment.sizeBytes
  for (let index = 0; index < known.length; index++) {
    const segment = known[index]!
    const isEmptyTail = index === known.length - 1 && segment.sizeBytes === 0
    if (isEmptyTail || !isFlushed(index)) return index
    surplusBytes -= segment.sizeBytes
    const isSurplus = config.retentionBytes >= 0 && surplusBytes >= 0
    if (isSurplus) continue
    if (config.retentionMs < 0) return index
    const timestampMs = await largestTimestamp(segment)
    if (wallMs - (timestampMs >= 0 ? timestampMs : segment.createdMs) <= config.retentionMs) return index
  }
  return known.length
}

/** `expiredSegments` of an open log, 0 when the log has changed so much meanwhile that the answer may be wrong. */
export async function expiredNow(state: LogState, wallMs: number): Promise<number> {
  if (!state.config.cleanupPolicy.delete) return 0
  const { logEndOffset } = state
  const segments = [...state.segments.all]
  const expired = await expiredSegments(
    state.segments.all,
    state.config,
    wallMs,
    // Of one that is damaged the file's time tells: it must not be kept for ever, and with it all that follows.
    (segment) =>
      state.segments.largestTimestamp(segment).catch((error) => {
        if (error instanceof CorruptionError) return -1
        throw error
      }),
    (index) => state.endOffsetOf(index) <= state.flush.flushedOffset,
  )
  // Timestamps may have been read meanwhile: what was appended or cut since then is looked at next time.
  const isSame = state.logEndOffset === logEndOffset || expired < segments.length
  return isSame && segments[expired - 1] === state.segments.all[expired - 1] ? expired : 0
}

/** Applies retention to logs, by name; the number of segments removed. What fails is told, and tried again in time. */
export async function retainAll(logs: ReadonlyMap<string, Log>, logger: Logger): Promise<number> {
  let removed = 0
  await inParallel([...logs], parallel, async ([name, log]) => {
    try {
      removed += await log.applyRetention()
    } catch (error) {
      logger.error('retention failed', { log: name, error: String(error) })
    }
  })
  return removed
}

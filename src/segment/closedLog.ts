import type { Uuid } from '../model/uuid.ts'
import type { EpochStart } from './leaderEpochs.ts'
import type { ClosedSegment } from './segment.ts'

/** All that has to be known of a log to open it without reading its files. Noted at a clean shutdown. */
export interface ClosedLog {
  readonly topicId: Uuid
  readonly logStartOffset: number
  readonly logEndOffset: number
  readonly leaderEpochs: readonly EpochStart[]
  /** Whether there is a `.snapshot` at `logEndOffset`. */
  readonly hasProducers: boolean
  /** Base offset and size in bytes, ascending; the last is the active one. */
  readonly segments: readonly (readonly [number, number])[]
  readonly active: ClosedSegment
  /** Whether the active segment's indexes are in files; yes where it is not said. */
  readonly hasIndexFiles?: boolean
}

/** Whether `log` has all that a closed log has. */
export function isClosedLog(log: Partial<ClosedLog>): log is ClosedLog {
  return (
    typeof log.topicId === 'string' &&
    Number.isSafeInteger(log.logStartOffset) &&
    Number.isSafeInteger(log.logEndOffset) &&
    Array.isArray(log.leaderEpochs) &&
    Array.isArray(log.segments) &&
    log.segments.length > 0 &&
    Number.isSafeInteger(log.active?.sizeBytes) &&
    Number.isSafeInteger(log.active?.offsets?.count) &&
    Number.isSafeInteger(log.active?.times?.count)
  )
}

import type { Uuid } from '../model/uuid.ts'
import type { EpochStart } from './leaderEpochs.ts'
import type { ClosedSegment } from './segment.ts'

/** Name of the file that holds `ClosedLog` of every log; there only between a clean shutdown and the next start. */
export const closedLogsFile = '.cordwood_cleanshutdown'

/** All that has to be known of a log to open it without reading its files. Written at a clean shutdown. */
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
}

/** The text of the file. */
export function encodeClosedLogs(logs: ReadonlyMap<string, ClosedLog>): string {
  return JSON.stringify({ version: 0, logs: Object.fromEntries(logs) })
}

/** Reads the text of the file; empty when it is not one: then every log is looked at. */
export function decodeClosedLogs(text: string): Map<string, ClosedLog> {
  try {
    const parsed = JSON.parse(text) as { version?: unknown; logs?: Record<string, ClosedLog> }
    if (parsed.version !== 0 || typeof parsed.logs !== 'object') return new Map()
    return new Map(Object.entries(parsed.logs).filter(([, log]) => isClosedLog(log)))
  } catch {
    return new Map()
  }
}

function isClosedLog(log: Partial<ClosedLog>): log is ClosedLog {
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

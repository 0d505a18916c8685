import type { Uuid } from '../model/uuid.ts'
import { unknownDigest } from './batchDigest.ts'
import type { EpochStart } from './leaderEpochs.ts'
import type { ClosedSegment, Segment } from './segment.ts'

/**
 * Base offset and size in bytes of a segment; digests of all its batches and of the first, where they are known (-1: not known). The
 * rest is there when another file may have its place, and says what that holds, and where it ends (exclusive).
 */
export type ClosedPlace = readonly [
  baseOffset: number,
  sizeBytes: number,
  digest?: number,
  firstDigest?: number,
  newSizeBytes?: number,
  newDigest?: number,
  newFirstDigest?: number,
  newEndOffset?: number,
]

/** What is stored of a segment that gets no more batches. */
export function placeOf({ baseOffset, sizeBytes, digest, firstDigest, replacement }: Segment): ClosedPlace {
  const isKnown = digest >= 0 && firstDigest >= 0
  if (replacement !== null) {
    const known = isKnown ? ([digest, firstDigest] as const) : ([unknownDigest, unknownDigest] as const)
    const { sizeBytes: newBytes, digest: newDigest, firstDigest: newFirst, endOffset } = replacement
    return [baseOffset, sizeBytes, ...known, newBytes, newDigest, newFirst, endOffset]
  }
  return isKnown ? [baseOffset, sizeBytes, digest, firstDigest] : [baseOffset, sizeBytes]
}

/** All that has to be known of a log to open it without reading its files. Noted at a clean shutdown. */
export interface ClosedLog {
  readonly topicId: Uuid
  readonly logStartOffset: number
  readonly logEndOffset: number
  readonly leaderEpochs: readonly EpochStart[]
  /** Whether there is a `.snapshot` at `logEndOffset`. */
  readonly hasProducers: boolean
  /** Ascending; the last is the active one. */
  readonly segments: readonly ClosedPlace[]
  readonly active: ClosedSegment
  /** Whether the active segment's indexes are in files; yes where it is not said. */
  readonly hasIndexFiles?: boolean
}

/** `log` as JSON in ASCII: what `JSON.stringify` would say, in a third of the time, since checkpoints do it for every log. */
export function closedText(log: ClosedLog): string {
  const { active, leaderEpochs, segments } = log
  const { offsets, times } = active
  let epochs = ''
  for (const { epoch, startOffset } of leaderEpochs) {
    epochs += `${epochs === '' ? '' : ','}{"epoch":${epoch},"startOffset":${startOffset}}`
  }
  let parts = ''
  for (const place of segments) parts += `${parts === '' ? '' : ','}[${place.join()}]`
  const mark =
    `"sizeBytes":${active.sizeBytes},"maxTimestampMs":${active.maxTimestampMs},` +
    `"offsetOfMaxTimestamp":${active.offsetOfMaxTimestamp},"firstTimestampMs":${active.firstTimestampMs},` +
    `"bytesSinceIndexEntry":${active.bytesSinceIndexEntry},"digest":${active.digest},` +
    `"firstDigest":${active.firstDigest}`
  const indexes =
    `"offsets":{"count":${offsets.count},"lastRelativeOffset":${offsets.lastRelativeOffset},` +
    `"lastPosition":${offsets.lastPosition}},"times":{"count":${times.count},` +
    `"lastTimestampMs":${times.lastTimestampMs},"lastRelativeOffset":${times.lastRelativeOffset}}`
  const files = log.hasIndexFiles === undefined ? '' : `,"hasIndexFiles":${log.hasIndexFiles}`
  return (
    `{"topicId":${JSON.stringify(log.topicId)},"logStartOffset":${log.logStartOffset},` +
    `"logEndOffset":${log.logEndOffset},"leaderEpochs":[${epochs}],"hasProducers":${log.hasProducers},` +
    `"segments":[${parts}],"active":{${mark},${indexes}}${files}}`
  )
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

import { EngineError } from '../model/errors.ts'
import type { Checksum } from '../runtime/checksum.ts'
import type { DiskFile } from '../runtime/disk.ts'
import type { BadRange } from './badRanges.ts'
import type { LogState } from './logState.ts'
import { fromPosition } from './noteDamage.ts'
import { asDamaged } from './readingAround.ts'
import { BatchHeader, batchHeaderBytes, checksummedFrom } from './recordBatch.ts'
import type { Segment } from './segment.ts'
import { type AuditEnd, type AuditRange, auditBatches } from './verifyBatches.ts'

/** Checked without a pause. */
const stepBytes = 256 << 10

/** A stretch of a segment file, from a batch's beginning to another's, or to the end of the file. */
export interface Stretch {
  readonly position: number
  /** Exclusive. */
  readonly end: number
  readonly baseOffset: number
  /** Exclusive. */
  readonly nextOffset: number
}

/** Throws `kafkaStorageError` while a log is being changed, and why it is offline. */
export function checkStill(state: LogState, segment: Segment): void {
  if (state.offline !== null) throw state.offline
  const isChanging = state.refusal !== null || state.isClosing || segment.isBeingReplaced
  if (!isChanging && state.segments.all.includes(segment)) return
  throw new EngineError('kafkaStorageError', 'the log is being changed')
}

/** What came has other batches, or another size, than what was there: the damage reaches further than it seemed. */
export class MisfitError extends EngineError {
  readonly file: string

  constructor(file: string) {
    super('invalidRecord', `the batches do not fit into ${file} where they belong`)
    this.file = file
  }
}

/** What came was written, or was to be, and the disk does not have it: another place may do. */
export class UnwritableError extends EngineError {
  constructor(file: string, cause: EngineError) {
    super(
      'diskFailed',
      `what was damaged in ${file} cannot be written again in its place: ${cause.message}`,
      {
        cause,
      },
    )
  }
}

/**
 * Throws a `MisfitError` when `bytes` begin with a batch that has `fromOffset` and begins before it, or have one that reaches to `toOffset`: here
 * it looked as if other ones began and ended there. `before` and `after` are the files that end and begin there, if they are others.
 */
export function checkFits(
  file: string,
  fromOffset: number,
  toOffset: number,
  bytes: Uint8Array,
  { before = file, after = file }: { readonly before?: string; readonly after?: string } = {},
): void {
  let next = fromOffset
  for (let at = 0; at + batchHeaderBytes <= bytes.length; ) {
    const { baseOffset, lastOffset, sizeBytes } = new BatchHeader(bytes, at)
    if (baseOffset < toOffset && lastOffset >= toOffset) throw new MisfitError(after)
    if (baseOffset < next && lastOffset >= next) throw new MisfitError(before)
    // What is wrong otherwise is no reason to write a whole file again.
    if (baseOffset < next || sizeBytes < batchHeaderBytes) return
    next = lastOffset + 1
    at += sizeBytes
  }
}

/** What batches have to be that are to take the place of damaged ones. */
export interface ReplacementRules {
  readonly checksum: Checksum
  readonly isGapless: boolean
  /** The epoch that wrote an offset; null when nobody can tell. */
  epochFor(offset: number): number | null
  readonly fromOffset: number
  /** Exclusive. */
  readonly toOffset: number
}

/**
 * The offset after `bytes`, which somebody else has sent to take the place of damaged batches. Throws `invalidRecord` for whole
 * batches that do not belong there, or are none.
 */
export function checkReplacement(rules: ReplacementRules, bytes: Uint8Array): number {
  const { checksum, isGapless, fromOffset, toOffset } = rules
  let next = fromOffset
  for (let at = 0; at < bytes.length; ) {
    if (at + batchHeaderBytes > bytes.length) refuse('a batch that is not whole')
    const header = new BatchHeader(bytes, at)
    const { baseOffset, lastOffset, sizeBytes, magic, partitionLeaderEpoch, lastOffsetDelta } = header
    if (magic !== 2 || sizeBytes < batchHeaderBytes || at + sizeBytes > bytes.length) refuse('no batch')
    const isNext = isGapless ? baseOffset === next : baseOffset >= next
    if (!isNext || lastOffsetDelta < 0 || lastOffset >= toOffset) {
      refuse(`offsets ${baseOffset} to ${lastOffset}`)
    }
    // A record is the same wherever it has the same offset and epoch.
    const epoch = rules.epochFor(baseOffset)
    if (epoch !== null && partitionLeaderEpoch !== epoch) refuse(`epoch ${partitionLeaderEpoch}`)
    const crc = checksum.crc32c(bytes.subarray(at + checksummedFrom, at + sizeBytes))
    if (crc !== header.crc) refuse(`checksum ${crc} in place of ${header.crc}`)
    next = lastOffset + 1
    at += sizeBytes
  }
  return next
}

/** What `checkReplacement` needs for a stretch of an open log. */
export function rulesOf(
  state: LogState,
  segment: Segment,
  fromOffset: number,
  toOffset: number,
): ReplacementRules {
  return {
    checksum: state.runtime.checksum,
    isGapless: !mayHaveGaps(state, segment.baseOffset),
    epochFor: (offset) => state.epochs.epochFor(offset),
    fromOffset,
    toOffset,
  }
}

/** What a walk over a segment, as far as it is flushed, holds its batches to; read through `file`. */
export function auditRangeOf(state: LogState, index: number, file: DiskFile): AuditRange {
  const { flush, epochs } = state
  const segment = state.segments.all[index]!
  return {
    file,
    baseOffset: segment.baseOffset,
    sizeBytes: flush.readableBytes(segment),
    endOffset: Math.min(state.endOffsetOf(index), flush.flushedOffset),
    mayHaveGaps: mayHaveGaps(state, segment.baseOffset),
    epochs: epochs.entries,
    epochsEnd: Number.MAX_SAFE_INTEGER,
    stepBytes,
  }
}

/** Checks the segment that has `offset`, as far as it is flushed, and takes note of all that is damaged in it. */
export async function findDamage(state: LogState, offset: number): Promise<void> {
  const { badRanges, segments, cuts } = state
  const index = segments.indexFor(offset)
  const segment = segments.all[index]
  if (segment === undefined) return
  const found: BadRange[] = []
  const file = asDamaged(segment.file, badRanges)
  const range = { ...auditRangeOf(state, index, file), stored: state.storedOf(segment) }
  const end = await auditBatches(range, state.runtime.checksum, { bad: (bad) => found.push(bad) })
  const hole = range.mayHaveGaps ? null : holeBehind(range, end, found)
  if (hole !== null) found.push(hole)
  if (state.cuts !== cuts || !segments.all.includes(segment)) return
  for (const bad of found) badRanges.add(bad)
}

/** What is missing where a segment ends too early, at the end of a batch; null where it does not. */
export function holeBehind(
  { file, sizeBytes, endOffset }: AuditRange,
  { nextOffset }: AuditEnd,
  found: readonly BadRange[],
): BadRange | null {
  const isDamagedEnd = found.some(({ end }) => end >= sizeBytes)
  if (endOffset === null || nextOffset >= endOffset || isDamagedEnd) return null
  return {
    file: file.path,
    position: sizeBytes,
    end: sizeBytes,
    baseOffset: nextOffset,
    nextOffset: endOffset,
    expected: `offset ${nextOffset}`,
    found: 'the end of the file',
  }
}

/** The first damage in a stretch of a file; null when there is none. */
export async function firstDamage(
  state: LogState,
  file: DiskFile,
  { position, end, baseOffset, nextOffset }: Stretch,
): Promise<BadRange | null> {
  const stop = new FirstFound()
  try {
    await auditBatches(
      {
        file: fromPosition(file, position),
        baseOffset,
        sizeBytes: end - position,
        endOffset: nextOffset,
        mayHaveGaps: mayHaveGaps(state, baseOffset),
        epochs: state.epochs.entries,
        epochsEnd: Number.MAX_SAFE_INTEGER,
      },
      state.runtime.checksum,
      { bad: (range) => stop.with(range) },
    )
  } catch (error) {
    if (error !== stop || stop.range === null) throw error
    return { ...stop.range, position: stop.range.position + position, end: stop.range.end + position }
  }
  return null
}

/** Whether batches from `baseOffset` on may leave out offsets: compaction was at work. */
export function mayHaveGaps(
  { config, gapsBelow }: Pick<LogState, 'config' | 'gapsBelow'>,
  baseOffset: number,
): boolean {
  return config.cleanupPolicy.compact || baseOffset < gapsBelow
}

/** Ends a walk at the first damage. */
class FirstFound extends Error {
  range: BadRange | null = null

  with(range: BadRange): never {
    this.range = range
    throw this
  }
}

function refuse(what: string): never {
  throw new EngineError('invalidRecord', `what came in the place of damaged records has ${what}`)
}

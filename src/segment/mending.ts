import { CorruptionError, EngineError } from '../model/errors.ts'
import { reached } from '../model/reached.ts'
import type { BadRange } from './badRanges.ts'
import type { LogState } from './logState.ts'
import {
  checkFits,
  checkReplacement,
  checkStill,
  firstDamage,
  MisfitError,
  rulesOf,
  type Stretch,
  UnwritableError,
} from './mendChecks.ts'
import { MendingAside } from './mendingAside.ts'
import { whenReadable } from './patiently.ts'
import { asDamaged } from './readingAround.ts'
import { isExchanged } from './sameSegment.ts'
import type { Segment } from './segment.ts'

/** A damaged stretch of a log that is being written again, with batches that somebody else has kept. */
export interface Mending {
  readonly file: string
  /** Where the damage began, in bytes from the start of the file. */
  readonly position: number
  /** First offset that is still missing. */
  readonly fromOffset: number
  /** First offset after the damage. */
  readonly toOffset: number
  /** Whether everything is there again, durably. */
  readonly isOver: boolean
  /** It is the end of a log that is not open: what nobody else has either may be given up, by a replica that counts as one that forgets. */
  readonly isEnd?: boolean
  /** Nobody here can tell which epoch wrote it: only what is committed may be taken. */
  readonly isCommittedOnly?: boolean
  /**
   * Takes whole batches from `fromOffset` on. Throws `invalidRecord` for what does not belong here, a `MisfitError` when it has
   * another size than what was here, an `UnwritableError` when the disk does not keep it in its place, `kafkaStorageError` while the log is
   * being changed, and what the disk says.
   */
  take(bytes: Uint8Array): Promise<void>
  /** Nothing more will come: what was there before and belongs to nobody is gone when this resolves. */
  giveUp?(): Promise<void>
}

/** See `LogFacts.mending`. `fail` takes the log offline. */
export async function beginMending(
  state: LogState,
  range: BadRange,
  isWhole: boolean,
  fail: (cause: unknown) => void,
): Promise<Mending | null> {
  const { badRanges, segments, flush } = state
  const { file } = range
  const segment = segments.all.find((each) => each.file.path === file)
  if (segment === undefined) {
    badRanges.forget(file)
    return null
  }
  checkStill(state, segment)
  const end = flush.readableBytes(segment)
  const nextOffset = Math.min(state.endOffsetOf(segments.all.indexOf(segment)), flush.flushedOffset)
  // The segment ends too early, at the end of a batch.
  const isHole = range.position === end && range.end === end && range.baseOffset < nextOffset
  if (isHole && segment !== segments.active) {
    // What stands before it is another log's, perhaps.
    if (isWhole) return aside(state, segment, fail)
    return new MendingInPlace(state, segment, {
      position: end,
      end,
      baseOffset: range.baseOffset,
      nextOffset,
    })
  }
  // Of what was deleted or cut nobody reads anything.
  const isGone = range.nextOffset <= state.logStartOffset && range.nextOffset > range.baseOffset
  if (range.position >= end || isGone) {
    badRanges.mended(file, range.position, range.end, range.nextOffset)
    return null
  }
  if (isWhole) {
    if (segment === segments.active) throw new MisfitError(file)
    return aside(state, segment, fail)
  }
  const { cuts } = state
  // What was written in vain may still be in memory.
  await segment.file.dropCached?.()
  const found = await firstDamage(state, asDamaged(segment.file, badRanges), { ...range, end, nextOffset })
  if (state.cuts !== cuts) return null
  checkStill(state, segment)
  // Every batch is good by itself, and yet none of this log's: also where only those beside it had told.
  const stored = found === null ? state.storedOf(segment) : null
  if (stored !== null && (await isExchanged(segment.file, stored.sizeBytes, stored.digest))) {
    if (state.cuts !== cuts) return null
    checkStill(state, segment)
    if (segment !== segments.active) return aside(state, segment, fail)
    return new MendingInPlace(state, segment, {
      position: 0,
      end,
      baseOffset: segment.baseOffset,
      nextOffset,
    })
  }
  const goodUntil = found?.position ?? end
  if (goodUntil > range.position) badRanges.mended(file, range.position, goodUntil, nextOffset)
  if (found === null) return null
  badRanges.add(found)
  const stretch = found.end === end ? { ...found, nextOffset } : found
  if (stretch.baseOffset < stretch.nextOffset) return new MendingInPlace(state, segment, stretch)
  // Nothing is missing, and yet there is something that is no good: it is not the file that was written.
  if (segment === segments.active) throw new MisfitError(file)
  return aside(state, segment, fail)
}

/** Throws `kafkaStorageError` while there is still something on its way to the segment, which the new file would not have. */
function aside(state: LogState, segment: Segment, fail: (cause: unknown) => void): Mending {
  const endOffset = state.endOffsetOf(state.segments.all.indexOf(segment))
  if (endOffset <= state.flush.flushedOffset) return new MendingAside(state, segment, endOffset, fail)
  throw new EngineError('kafkaStorageError', 'the segment is being written')
}

/**
 * Writes batches where they were. What comes is trusted no more than what the disk holds: checksums, offsets and epochs have to
 * be those that belong here, and what is written has to read back as it was. Every batch gets the place that it had: nothing
 * else of the log changes, and a crash in between leaves damage that is found again.
 */
class MendingInPlace implements Mending {
  readonly #state: LogState
  readonly #segment: Segment
  readonly #cuts: number
  readonly #end: number
  readonly file: string
  readonly position: number
  #at: number
  fromOffset: number
  readonly toOffset: number

  constructor(state: LogState, segment: Segment, { position, end, baseOffset, nextOffset }: Stretch) {
    this.#state = state
    this.#segment = segment
    this.#cuts = state.cuts
    this.file = segment.file.path
    this.position = position
    this.#at = position
    this.#end = end
    this.fromOffset = baseOffset
    this.toOffset = nextOffset
  }

  get isOver(): boolean {
    return this.fromOffset >= this.toOffset
  }

  async take(bytes: Uint8Array): Promise<void> {
    const state = this.#state
    const segment = this.#segment
    const { file } = segment
    if (state.cuts !== this.#cuts) throw new EngineError('kafkaStorageError', 'the log was cut meanwhile')
    checkStill(state, segment)
    checkFits(file.path, this.fromOffset, this.toOffset, bytes)
    const nextOffset = checkReplacement(rulesOf(state, segment, this.fromOffset, this.toOffset), bytes)
    const position = this.#at
    const end = position + bytes.length
    const isLast = nextOffset >= this.toOffset
    // Something good follows, or will.
    const isFixed = segment === state.segments.active || this.#end < segment.sizeBytes
    if (isFixed && (end > this.#end || isLast !== (end === this.#end))) throw new MisfitError(file.path)
    const written = { position, end, baseOffset: this.fromOffset, nextOffset }
    const bad = await this.#writeAndRead(bytes, isLast && !isFixed, written)
    if (bad !== null) {
      const { expected, found } = bad
      throw new CorruptionError({ file: file.path, position: bad.position, expected, found })
    }
    if (state.badRanges.unreadableIn(file.path, position, end) !== null) reached('unreadableMended')
    state.badRanges.mended(file.path, position, isLast ? Math.max(end, this.#end) : end, nextOffset)
    this.#at = end
    this.fromOffset = nextOffset
  }

  /** Writes, and reads again from the disk; what is wrong with that, if anything. Throws an `UnwritableError` when the disk fails. */
  async #writeAndRead(bytes: Uint8Array, isEnd: boolean, written: Stretch): Promise<BadRange | null> {
    const state = this.#state
    const { file } = this.#segment
    try {
      await this.#write(bytes, isEnd)
      return await whenReadable(state, async () => {
        await file.dropCached?.()
        return firstDamage(state, file, written)
      })
    } catch (error) {
      const hasFailed = error instanceof EngineError && error.code === 'diskFailed'
      throw hasFailed ? new UnwritableError(file.path, error) : error
    }
  }

  /** `isEnd`: the file is to end with it. */
  async #write(bytes: Uint8Array, isEnd: boolean): Promise<void> {
    const { disk } = this.#state.runtime
    const segment = this.#segment
    const { file } = segment
    const position = this.#at
    const end = position + bytes.length
    const work = async (): Promise<void> => {
      await disk.submit([{ file, position, parts: [bytes], sync: 'data' }])
      segment.sizeBytes = Math.max(segment.sizeBytes, end)
      if (!isEnd || end === segment.sizeBytes) return
      segment.sizeBytes = end
      await file.truncate(end)
      await file.sync()
    }
    segment.isBeingReplaced = true
    const working = work().finally(() => {
      segment.isBeingReplaced = false
    })
    this.#state.busyWith(working)
    await working
  }
}

import { CorruptionError, EngineError } from '../model/errors.ts'
import type { DiskFile } from '../runtime/disk.ts'
import { unknownDigest } from './batchDigest.ts'
import { swapSegments } from './compaction/swap.ts'
import { segmentFileName } from './fileNames.ts'
import type { LogState } from './logState.ts'
import { checkReplacement, checkStill, firstDamage, rulesOf } from './mendChecks.ts'
import type { Mending } from './mending.ts'
import { OffsetIndex } from './offsetIndex.ts'
import { isUnreadable } from './readingAround.ts'
import { digestsOf } from './sameSegment.ts'
import type { Segment } from './segment.ts'
import { TimeIndex } from './timeIndex.ts'

/**
 * Writes a whole sealed segment again, into a file beside it that takes its place once it is complete: for batches that have
 * another size than before, as those that another replica has compacted.
 */
export class MendingAside implements Mending {
  readonly #state: LogState
  readonly #segment: Segment
  readonly #cuts: number
  readonly #copy: DiskFile
  readonly #fail: (cause: unknown) => void
  readonly file: string
  readonly position = 0
  #at = 0
  #isOver = false
  fromOffset: number
  readonly toOffset: number

  /** `toOffset`: where the segment ends, exclusive. */
  constructor(state: LogState, segment: Segment, toOffset: number, fail: (cause: unknown) => void) {
    this.#fail = fail
    this.#state = state
    this.#segment = segment
    this.#cuts = state.cuts
    const { baseOffset } = segment
    this.#copy = state.runtime.disk.file(`${state.directory}/${segmentFileName(baseOffset, 'log')}.mended`)
    this.file = segment.file.path
    this.fromOffset = baseOffset
    this.toOffset = toOffset
  }

  get isOver(): boolean {
    return this.#isOver
  }

  async take(bytes: Uint8Array): Promise<void> {
    const { runtime } = this.#state
    const nextOffset = checkReplacement(
      rulesOf(this.#state, this.#segment, this.fromOffset, this.toOffset),
      bytes,
    )
    this.#checkUnchanged()
    if (this.#at === 0) await runtime.disk.remove(this.#copy.path)
    await runtime.disk.submit([{ file: this.#copy, position: this.#at, parts: [bytes], sync: 'none' }])
    this.#at += bytes.length
    this.fromOffset = nextOffset
    if (nextOffset < this.toOffset) return
    await this.#swap()
    this.#isOver = true
  }

  async #swap(): Promise<void> {
    const state = this.#state
    const segment = this.#segment
    const copy = this.#copy
    await copy.sync()
    await copy.dropCached?.()
    const { baseOffset } = segment
    const sizeBytes = this.#at
    const whole = { position: 0, end: sizeBytes, baseOffset, nextOffset: this.toOffset }
    const bad = await firstDamage(state, copy, whole)
    if (bad !== null) {
      const { position, expected, found } = bad
      throw new CorruptionError({ file: copy.path, position, expected, found })
    }
    const digests = await digestsOf(copy, sizeBytes)
    await copy.close()
    this.#checkUnchanged()
    segment.isBeingReplaced = true
    const swapping = this.#replace({ sizeBytes, ...digests }).finally(() => {
      segment.isBeingReplaced = false
    })
    state.busyWith(swapping)
    await swapping
    state.badRanges.forget(`${state.directory}/${segmentFileName(baseOffset, 'log')}`)
  }

  async #replace(written: { sizeBytes: number; digest: number; firstDigest: number }): Promise<void> {
    // It may be about to be finished.
    await this.#state.sealer.idle()
    await this.#keepIndexes()
    await swapSegments(this.#state, [this.#segment], written, 'mended', this.#fail)
  }

  /** The indexes of what has to go, for who still reads it: they are wanted once more, whatever file it is, and may not be had. */
  async #keepIndexes(): Promise<void> {
    const segment = this.#segment
    const { firstDigest } = segment
    segment.firstDigest = unknownDigest
    try {
      await this.#state.segments.keepIndexes(segment)
    } catch (error) {
      if (!(error instanceof CorruptionError) && !isUnreadable(error)) throw error
      segment.offsetIndex = new OffsetIndex()
      segment.timeIndex = new TimeIndex()
    } finally {
      segment.firstDigest = firstDigest
    }
  }

  #checkUnchanged(): void {
    if (this.#state.cuts !== this.#cuts) {
      throw new EngineError('kafkaStorageError', 'the log was cut meanwhile')
    }
    checkStill(this.#state, this.#segment)
  }
}

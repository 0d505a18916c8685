import { CorruptionError } from '../model/errors.ts'
import { planted } from '../model/planted.ts'
import type { DiskSync } from '../runtime/disk.ts'
import type { Runtime } from '../runtime/runtime.ts'
import { segmentFileName } from './fileNames.ts'
import { encodeProducerSnapshot } from './producerSnapshot.ts'
import type { ProducerEntry } from './producerState.ts'
import type { Segment } from './segment.ts'
import { type IndexCache, type SegmentIndexes, writeIndexes, writeWholeFile } from './segmentIndexes.ts'

interface Sealing {
  readonly segment: Segment
  /** Exclusive. */
  readonly endOffset: number
  /** Producers as they were when the segment ended; null where nobody knows. */
  readonly producers: readonly ProducerEntry[] | null
}

/** What is known of damage in segments that are to be finished. */
export interface SealingDamage {
  /** Whether some of it is known and not mended: then the segment is left as it is. */
  isKnown(segment: Segment): boolean
  /** Takes note of the damage that was met; false when none is found. */
  note(segment: Segment): Promise<boolean>
}

/**
 * Finishes segments that the log has rolled: writes their indexes and the producer snapshot at their end, and
 * syncs everything. Until that is done they count as above the recovery point. One that is damaged waits until it is mended.
 */
export class Sealer {
  readonly #runtime: Runtime
  readonly #directory: string
  readonly #cache: IndexCache
  readonly #indexes: (segment: Segment) => Promise<SegmentIndexes>
  readonly #damage: SealingDamage
  #queue: Sealing[] = []
  /** Where the oldest segment that is not finished ends, exclusive; null for none. */
  nextEndOffset: number | null = null
  #running: Promise<void> = Promise.resolve()

  /** `indexes` gives the complete indexes of a segment that is not finished. */
  constructor(
    runtime: Runtime,
    directory: string,
    cache: IndexCache,
    indexes: (segment: Segment) => Promise<SegmentIndexes>,
    damage: SealingDamage,
  ) {
    this.#indexes = indexes
    this.#damage = damage
    this.#runtime = runtime
    this.#directory = directory
    this.#cache = cache
  }

  /** Base offset of the oldest segment that is not finished; null for none. */
  get oldestOffset(): number | null {
    return this.#queue[0]?.segment.baseOffset ?? null
  }

  /** Rolled segments that are not finished. */
  segments(): Segment[] {
    return this.#queue.map(({ segment }) => segment)
  }

  /** Takes a segment that will get no more batches. */
  add(segment: Segment, endOffset: number, producers: readonly ProducerEntry[] | null): void {
    this.#setQueue([...this.#queue, { segment, endOffset, producers }])
  }

  /** `active` takes batches again: it and what follows it are no longer to be finished. */
  drop(active: Segment): void {
    this.#setQueue(this.#queue.filter(({ segment }) => segment.baseOffset < active.baseOffset))
  }

  /** `segment`, which is stored, has the place of others, the last of which may not be finished. */
  replaced(others: readonly Segment[], segment: Segment): void {
    this.#setQueue(
      this.#queue.map((sealing) => (others.includes(sealing.segment) ? { ...sealing, segment } : sealing)),
    )
  }

  /** The segment was removed from the log. */
  forget(removed: Segment): void {
    this.#setQueue(this.#queue.filter(({ segment }) => segment !== removed))
  }

  /** Finishes the segments that end at or below `flushedOffset`, one after the other; resolves with the last end, -1 for none. */
  seal(flushedOffset: number): Promise<number> {
    const sealed = this.#running.then(async () => {
      let endOffset = -1
      for (;;) {
        const next = this.#queue[0]
        if (next === undefined || next.endOffset > flushedOffset) return endOffset
        if (next.segment.isBeingReplaced || this.#damage.isKnown(next.segment)) return endOffset
        if (!(await this.#finish(next))) return endOffset
        endOffset = next.endOffset
      }
    })
    this.#running = sealed.then(
      () => {},
      () => {},
    )
    return sealed
  }

  /** Resolves when nothing is being written. */
  idle(): Promise<void> {
    return this.#running
  }

  /** Writes the producers as they are at `offset`, where they are known: one that was written before stays. */
  async writeSnapshot(
    offset: number,
    producers: readonly ProducerEntry[] | null,
    sync: DiskSync,
  ): Promise<void> {
    if (producers === null) return
    const path = `${this.#directory}/${segmentFileName(offset, 'snapshot')}`
    const { disk, checksum } = this.#runtime
    try {
      await writeWholeFile(disk, path, encodeProducerSnapshot(producers, checksum), sync)
    } catch (error) {
      // The sync of this file can never be trusted again: the next attempt makes another.
      await disk.remove(path).catch(() => {})
      throw error
    }
  }

  #setQueue(queue: Sealing[]): void {
    this.#queue = queue
    this.nextEndOffset = queue[0]?.endOffset ?? null
  }

  /** The indexes of a segment; null when it is damaged, and that has been noted. */
  async #indexesOf(segment: Segment): Promise<SegmentIndexes | null> {
    try {
      return await this.#indexes(segment)
    } catch (error) {
      if (error instanceof CorruptionError && (await this.#damage.note(segment))) return null
      throw error
    }
  }

  /** False when it cannot be finished as it is. */
  async #finish(sealing: Sealing): Promise<boolean> {
    const { segment, endOffset, producers } = sealing
    const { disk } = this.#runtime
    const indexes = await this.#indexesOf(segment)
    if (indexes === null) return false
    // One that another file has taken the place of has whole indexes.
    if (segment.timeIndex !== null) segment.completeTimeIndex()
    if (planted('snapshotBeforeSegmentSync')) await this.writeSnapshot(endOffset, producers, 'dataAndName')
    await segment.file.sync()
    // The snapshot says that all of the segment is stored, and so must its name be before it.
    if (!segment.isNameDurable) {
      await disk.syncDirectory(this.#directory)
      segment.isNameDurable = true
    }
    await writeIndexes(disk, segment, indexes, 'data')
    await this.writeSnapshot(endOffset, producers, 'data')
    await disk.syncDirectory(this.#directory)
    if (this.#queue[0] !== sealing) return true
    this.#setQueue(this.#queue.slice(1))
    this.#cache.put(segment, indexes)
    segment.offsetIndex = null
    segment.timeIndex = null
    return true
  }
}

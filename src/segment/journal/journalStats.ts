import { countBounds, Histogram, latencyBoundsMs } from '../../model/histogram.ts'
import type { StagedFrame } from './framePool.ts'

/** What the journal has done since it was opened: numbers that only grow. */
export class JournalStats {
  /** From handing a frame to the disk until its sync has returned. */
  readonly flushMs: Histogram = new Histogram(latencyBoundsMs)
  /** Writes that one sync made durable together. */
  readonly entriesPerFlush: Histogram = new Histogram(countBounds)
  #bytes = 0

  /** Bytes of what was committed and is durable. */
  get bytes(): number {
    return this.#bytes
  }

  /** `frame` has become durable. */
  landed({ builder, bytes, sentMs }: StagedFrame, nowMs: number): void {
    this.flushMs.note(nowMs - sentMs)
    this.entriesPerFlush.note(builder.entryCount)
    this.#bytes += bytes
  }
}

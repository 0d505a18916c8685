import type { Clock } from '../runtime/clock.ts'
import type { Decompress } from '../segment/records.ts'

/** How many bytes are given in one turn of the event loop. */
const turnBytes = 4 << 20
/** What a batch counts for at least: small ones take their time as well. */
const leastBatchBytes = 4 << 10

/**
 * Sees to it that a reader of what is in memory gives the event loop a turn now and then. Promises alone never do: until the
 * end of the log no timer would fire, nothing would arrive, and nobody could end the read.
 */
export class Turns {
  /** Counts what it gives. */
  readonly decompress: Decompress
  readonly #clock: Clock
  #bytes = 0

  constructor(clock: Clock, decompress: Decompress) {
    this.#clock = clock
    this.decompress = (codec, body) => {
      const bytes = decompress(codec, body)
      this.#bytes += bytes.length
      return bytes
    }
  }

  /** Counts a batch. */
  count(sizeBytes: number): void {
    this.#bytes += Math.max(sizeBytes, leastBatchBytes)
  }

  /** Resolves after a turn; null while none is due. */
  due(): Promise<void> | null {
    if (this.#bytes < turnBytes) return null
    this.#bytes = 0
    return this.#clock.turn?.() ?? null
  }
}

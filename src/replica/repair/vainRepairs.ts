import type { BadRange } from '../../segment/badRanges.ts'

/** So often a place is mended by itself. */
const mostTimes = 3
/** So many places are remembered. */
const mostPlaces = 10_000

/**
 * Counts how often each place was to be mended. What is found damaged again and again is most likely right, and what stands around it
 * is another log's: the whole segment has to be written again.
 */
export class VainRepairs {
  readonly #times = new Map<string, number>()

  /** A place is to be mended once more; whether that alone has been in vain. */
  isVain({ file, position }: Pick<BadRange, 'file' | 'position'>): boolean {
    const key = `${position} ${file}`
    const times = (this.#times.get(key) ?? 0) + 1
    if (times === 1 && this.#times.size >= mostPlaces) this.#times.clear()
    this.#times.set(key, times)
    return times > mostTimes
  }

  /** All of a file has been written again. */
  forget(file: string): void {
    for (const key of this.#times.keys()) if (key.endsWith(` ${file}`)) this.#times.delete(key)
  }
}

/** Upper bounds, inclusive, for times in milliseconds. */
export const latencyBoundsMs: readonly number[] = [
  0.1, 0.25, 0.5, 1, 2.5, 5, 10, 25, 50, 100, 250, 500, 1000, 2500, 5000, 10_000,
]

/** Upper bounds, inclusive, for how many went together. */
export const countBounds: readonly number[] = [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 4096]

/** How often values fell between bounds. Plain numbers that only grow: a note costs a few comparisons, and nobody is told. */
export class Histogram {
  /** Inclusive and ascending. */
  readonly bounds: readonly number[]
  /** One for each bound, not cumulated, and a last one for what is above all of them. */
  readonly counts: Float64Array
  #count = 0
  #sum = 0

  constructor(bounds: readonly number[]) {
    this.bounds = bounds
    this.counts = new Float64Array(bounds.length + 1)
  }

  /** Values noted. */
  get count(): number {
    return this.#count
  }

  /** What they add up to. */
  get sum(): number {
    return this.#sum
  }

  /** Counts `value`. */
  note(value: number): void {
    const { bounds } = this
    let at = 0
    while (at < bounds.length && value > bounds[at]!) at += 1
    this.counts[at]! += 1
    this.#count += 1
    this.#sum += value
  }
}

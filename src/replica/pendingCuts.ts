/** Where a log is being cut: from there on its files still have what is not part of it any more. */
export class PendingCuts {
  readonly #offsets: number[] = []
  /** How many cuts were ever begun. */
  count = 0
  /** Exclusive end of what is committed and in the place where the next start looks for it. */
  #committed: number

  /** `committed` is the exclusive end of what the log began with and is committed. */
  constructor(committed: number) {
    this.#committed = committed
  }

  /** Everything from `endOffset` on is void; the result is to be called once the files say so, too. */
  begin(endOffset: number): () => void {
    this.count++
    this.#offsets.push(endOffset)
    return () => void this.#offsets.splice(this.#offsets.indexOf(endOffset), 1)
  }

  /** What `read` gives; null when a cut has begun meanwhile: then it may be of what is void, and an error of no account. */
  async unlessCut<T>(read: () => Promise<T>): Promise<T | null> {
    const { count } = this
    try {
      const found = await read()
      return this.count === count ? found : null
    } catch (error) {
      if (this.count !== count) return null
      throw error
    }
  }

  /**
   * What of `highWatermark` may be written for the next start: until a cut is durable, that start may find in the place of committed
   * records what was to be cut.
   */
  surelyCommitted(highWatermark: number): number {
    this.#committed = Math.min(highWatermark, Math.max(this.#committed, this.readableEnd))
    return this.#committed
  }

  /** Up to where (exclusive) files may be read; infinite when nothing is being cut. */
  get readableEnd(): number {
    return Math.min(...this.#offsets)
  }
}

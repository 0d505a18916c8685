/** Where a log is being cut: from there on its files still have what is not part of it any more. */
export class PendingCuts {
  readonly #offsets: number[] = []
  /** How many cuts were ever begun. */
  count = 0

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

  /** Up to where (exclusive) files may be read; infinite when nothing is being cut. */
  get readableEnd(): number {
    return Math.min(...this.#offsets)
  }
}

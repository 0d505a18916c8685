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

  /** Up to where (exclusive) files may be read; infinite when nothing is being cut. */
  get readableEnd(): number {
    return Math.min(...this.#offsets)
  }
}

/** A shorter part may have its bytes in the object itself: asking for its buffer would move them. */
const leastShared = 128
/** Memory of a group whose parts all lie elsewhere. */
export const noBytes: Uint8Array = new Uint8Array(0)

/** The bytes of a group as the addon takes them: most lie in one memory, whose parts need nothing but numbers. */
export class GroupBytes {
  /** Bytes of all parts. */
  total = 0
  /** Two numbers a part: where it begins in `memory`, -1 for the next one of `apart`, and its length. */
  pieces: Float64Array<ArrayBuffer>
  memory: Uint8Array = noBytes
  readonly apart: Uint8Array[] = []
  #buffer: ArrayBufferLike | null = null
  #at = 0

  /** `pieces` is used as long as it is large enough. */
  constructor(pieces: Float64Array<ArrayBuffer>) {
    this.pieces = pieces
  }

  /** Adds the next part; it is not copied yet. */
  add(part: Uint8Array): void {
    if (this.#at === this.pieces.length) this.#grow()
    this.total += part.length
    let from = -1
    if (part.length >= leastShared) {
      const { buffer } = part
      if (this.#buffer === null) {
        this.#buffer = buffer
        this.memory = new Uint8Array(buffer)
      }
      if (buffer === this.#buffer) from = part.byteOffset
    }
    if (from < 0) this.apart.push(part)
    this.pieces[this.#at++] = from
    this.pieces[this.#at++] = part.length
  }

  #grow(): void {
    const grown = new Float64Array(this.pieces.length * 2)
    grown.set(this.pieces)
    this.pieces = grown
  }
}

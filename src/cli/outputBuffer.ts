import type { Terminal } from './terminal.ts'

const flushAtBytes = 128 * 1024

/** Gathers small pieces for standard output into large writes. */
export class OutputBuffer {
  readonly #terminal: Terminal
  #buffer = Buffer.allocUnsafe(flushAtBytes)
  #usedBytes = 0

  constructor(terminal: Terminal) {
    this.#terminal = terminal
  }

  /** Takes `pieces` without writing; whether `flush` should be awaited before more is added. */
  add(pieces: readonly (Uint8Array | string)[]): boolean {
    for (const piece of pieces) {
      // A UTF-16 unit is at most three bytes of UTF-8.
      this.#makeRoom(typeof piece === 'string' ? piece.length * 3 : piece.length)
      if (typeof piece === 'string') this.#usedBytes += this.#buffer.write(piece, this.#usedBytes)
      else {
        this.#buffer.set(piece, this.#usedBytes)
        this.#usedBytes += piece.length
      }
    }
    return this.#usedBytes >= flushAtBytes / 2
  }

  /** Writes what was added; resolves when standard output takes more. */
  async flush(): Promise<void> {
    if (this.#usedBytes === 0) return
    const bytes = this.#buffer.subarray(0, this.#usedBytes)
    // The stream may keep the bytes until the reader takes them, so they are not written over.
    this.#buffer = Buffer.allocUnsafe(flushAtBytes)
    this.#usedBytes = 0
    await this.#terminal.write(bytes)
  }

  #makeRoom(bytes: number): void {
    const needed = this.#usedBytes + bytes
    if (needed <= this.#buffer.length) return
    const larger = Buffer.allocUnsafe(Math.max(needed, this.#buffer.length * 2))
    this.#buffer.copy(larger, 0, 0, this.#usedBytes)
    this.#buffer = larger
  }
}

import type { LeasedMemory } from '../leasedMemory.ts'

/** What a frame gets at most before anything of it has arrived, from a sender that has sent no larger one. */
const firstBytes = 64 * 1024

/**
 * Cuts a stream into frames: an int32 size, then as many bytes, in memory of its own. Memory grows with what arrives, so
 * that announcing a large frame costs the sender as much as sending it; whoever has sent one is trusted to send another.
 */
export class FrameReader {
  /** The largest frame, without its size. */
  maxFrameBytes: number
  readonly #complete: (frame: Uint8Array) => void
  readonly #refused: (lengthBytes: number) => void
  #size = 0
  #sizeBytes = 0
  #frame: Uint8Array | null = null
  #frameBytes = 0
  /** The largest frame so far, and at least `firstBytes`. */
  #trustedBytes = firstBytes
  #isStopped = false
  readonly #leased: LeasedMemory | null

  /**
   * `refused` is called once, with a size that no frame has; nothing is read after it. With `leased` frames are in memory from there,
   * which is given back after `complete`: whoever wants to look later takes a lease of its own.
   */
  constructor(
    maxFrameBytes: number,
    complete: (frame: Uint8Array) => void,
    refused: (lengthBytes: number) => void,
    leased: LeasedMemory | null = null,
  ) {
    this.#leased = leased
    this.maxFrameBytes = maxFrameBytes
    this.#complete = complete
    this.#refused = refused
  }

  /** Whether a frame has begun to arrive and is not complete. */
  get isInside(): boolean {
    return this.#sizeBytes > 0 || this.#frame !== null
  }

  /** Drops what has arrived and reads no more. */
  stop(): void {
    this.#isStopped = true
    this.#frame = null
  }

  /** Takes what has arrived. */
  take(chunk: Uint8Array): void {
    let at = 0
    while (at < chunk.length && !this.#isStopped) {
      if (this.#frame === null) {
        this.#size = (this.#size << 8) | chunk[at++]!
        this.#sizeBytes++
        if (this.#sizeBytes === 4) this.#begin()
      } else {
        at += this.#fill(chunk, at)
      }
    }
  }

  #begin(): void {
    const size = this.#size
    if (size < 1 || size > this.maxFrameBytes) {
      this.stop()
      this.#refused(size)
      return
    }
    this.#frame = this.#memory(Math.min(size, this.#trustedBytes))
    this.#frameBytes = 0
  }

  #fill(chunk: Uint8Array, from: number): number {
    let frame = this.#frame!
    if (this.#frameBytes === frame.length) {
      const larger = this.#memory(Math.min(this.#size, frame.length * 4))
      larger.set(frame)
      this.#leased?.giveBack(frame)
      this.#frame = frame = larger
    }
    const count = Math.min(frame.length - this.#frameBytes, chunk.length - from)
    frame.set(chunk.subarray(from, from + count), this.#frameBytes)
    this.#frameBytes += count
    if (this.#frameBytes === this.#size) {
      this.#frame = null
      this.#trustedBytes = Math.max(this.#trustedBytes, this.#size)
      this.#size = 0
      this.#sizeBytes = 0
      this.#complete(frame)
      this.#leased?.giveBack(frame)
    }
    return count
  }

  #memory(sizeBytes: number): Uint8Array {
    return this.#leased?.take(sizeBytes) ?? memory(sizeBytes)
  }
}

/** Memory whose content is whatever was there: all of it is written before anybody reads it. */
function memory(sizeBytes: number): Uint8Array {
  return sizeBytes < firstBytes ? Buffer.allocUnsafe(sizeBytes) : Buffer.allocUnsafeSlow(sizeBytes)
}

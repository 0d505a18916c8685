import { partBytes, type SendPart } from '../model/fileRange.ts'
import { Histogram, latencyBoundsMs } from '../model/histogram.ts'

/** What has become of the requests of one API: numbers that only grow. */
export class RequestStats {
  /** From the whole request being there until its answer is, waiting included. */
  readonly timeMs: Histogram = new Histogram(latencyBoundsMs)
  #requestBytes = 0
  #responseBytes = 0
  #failed = 0

  /** Bytes of the requests, without their sizes. */
  get requestBytes(): number {
    return this.#requestBytes
  }

  /** Bytes of the answers, what is sent from files included. */
  get responseBytes(): number {
    return this.#responseBytes
  }

  /** Requests whose handler failed as a whole; what fails in one of several things asked for is not counted. */
  get failed(): number {
    return this.#failed
  }

  /** A request has come. */
  began(bytes: number): void {
    this.#requestBytes += bytes
  }

  /** It is answered; `parts` is null for one that gets no answer. */
  ended(timeMs: number, parts: readonly SendPart[] | null): void {
    this.timeMs.note(timeMs)
    if (parts === null) return
    for (const part of parts) this.#responseBytes += partBytes(part)
  }

  /** Its handler has failed. */
  hasFailed(): void {
    this.#failed += 1
  }
}

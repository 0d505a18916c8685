import { EngineError } from '../model/errors.ts'

/** Counts the bytes that wait for the disk and holds them under a bound. */
export class WriteBudget {
  readonly maxQueuedBytes: number
  #queuedBytes = 0
  #waiters: (() => void)[] = []

  constructor(maxQueuedBytes: number) {
    this.maxQueuedBytes = maxQueuedBytes
  }

  /** Bytes taken and not given back. */
  get queuedBytes(): number {
    return this.#queuedBytes
  }

  /** Takes `bytes`; throws `queueFull` when the bound would be passed and something is queued already. */
  take(bytes: number): void {
    if (this.#queuedBytes > 0 && this.#queuedBytes + bytes > this.maxQueuedBytes) {
      throw new EngineError('queueFull', `${this.#queuedBytes} bytes wait for the disk already`)
    }
    this.#queuedBytes += bytes
  }

  /** Takes `bytes` whatever is queued. */
  force(bytes: number): void {
    this.#queuedBytes += bytes
  }

  /** Gives `bytes` back. */
  give(bytes: number): void {
    this.#queuedBytes -= bytes
    if (this.#waiters.length > 0 && this.#hasRoom()) for (const wake of this.#waiters.splice(0)) wake()
  }

  /** Resolves once less than half of the bound is taken. */
  async room(): Promise<void> {
    while (!this.#hasRoom()) await new Promise<void>((wake) => this.#waiters.push(wake))
  }

  #hasRoom(): boolean {
    return this.#queuedBytes < this.maxQueuedBytes / 2
  }
}

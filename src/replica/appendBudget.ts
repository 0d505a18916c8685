import { EngineError } from '../model/errors.ts'

interface Waiting {
  readonly bytes: number
  readonly admit: () => void
  readonly reject: (error: unknown) => void
}

/** Bounds the bytes of all appends of a node that have no answer yet: further ones wait, in the order of their calls. */
export class AppendBudget {
  readonly #maxBytes: number
  readonly #waiting: Waiting[] = []
  #bytes = 0
  #closed = false

  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes
  }

  /** Bytes of appends that are under way. */
  get pendingBytes(): number {
    return this.#bytes
  }

  /** Appends that wait for room. */
  get waiting(): number {
    return this.#waiting.length
  }

  /**
   * Takes `bytes`, to be given back with `give`: null when there is room, else a promise of it. Rejects with `signal.reason`, or
   * `closed`.
   */
  take(bytes: number, signal: AbortSignal | undefined): Promise<void> | null {
    if (this.#closed) return Promise.reject(closed())
    if (this.#waiting.length === 0 && this.#hasRoom(bytes)) {
      this.#bytes += bytes
      return null
    }
    return new Promise((resolve, reject) => {
      const onAbort = (): void => {
        this.#waiting.splice(this.#waiting.indexOf(waiting), 1)
        reject(signal!.reason)
      }
      const admit = (): void => {
        signal?.removeEventListener('abort', onAbort)
        resolve()
      }
      const waiting: Waiting = { bytes, admit, reject }
      signal?.addEventListener('abort', onAbort, { once: true })
      this.#waiting.push(waiting)
    })
  }

  /** Gives back what was taken. */
  give(bytes: number): void {
    this.#bytes -= bytes
    while (this.#waiting.length > 0 && this.#hasRoom(this.#waiting[0]!.bytes)) {
      const next = this.#waiting.shift()!
      this.#bytes += next.bytes
      next.admit()
    }
  }

  /** Admits nothing more. */
  close(): void {
    this.#closed = true
    for (const { reject } of this.#waiting.splice(0)) reject(closed())
  }

  /** Whatever its size one is always taken. */
  #hasRoom(bytes: number): boolean {
    return this.#bytes === 0 || this.#bytes + bytes <= this.#maxBytes
  }
}

function closed(): EngineError {
  return new EngineError('closed', 'the node has been closed')
}

import type { Piscina } from 'piscina'

/**
 * Runs calls in the threads of a pool until all of them are lost. The pool would leave calls that wait for a thread waiting for
 * ever when none could be started, or the last one died, and end the process when nobody hears its errors.
 */
export class ThreadPool<Call, Outcome> {
  readonly #pool: Piscina
  readonly #lost: () => void
  readonly #waiting = new Set<(cause: unknown) => void>()

  /** `lost` is called when the pool cannot be used any more; calls that had no thread have failed then. */
  constructor(pool: Piscina, lost: () => void) {
    this.#pool = pool
    this.#lost = lost
    pool.on('error', (cause: unknown) => this.#threadFailed(cause))
  }

  /** Rejects with why the call's thread died, or could not be started. */
  run(call: Call): Promise<Outcome> {
    return new Promise((resolve, reject) => {
      const fail = (cause: unknown): void => {
        this.#waiting.delete(fail)
        reject(cause)
      }
      const failed = (cause: unknown): void => {
        fail(cause)
        this.#threadFailed(cause)
      }
      this.#waiting.add(fail)
      try {
        this.#pool.run(call).then((outcome: Outcome) => {
          this.#waiting.delete(fail)
          resolve(outcome)
        }, failed)
      } catch (cause) {
        failed(cause)
      }
    })
  }

  /** Ends the threads. */
  async destroy(): Promise<void> {
    await this.#pool.destroy()
  }

  #threadFailed(cause: unknown): void {
    // Others will take what waits.
    if (this.#pool.threads.length > 0) return
    this.#lost()
    for (const fail of [...this.#waiting]) fail(cause)
  }
}

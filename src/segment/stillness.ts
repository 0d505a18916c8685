import { EngineError } from '../model/errors.ts'
import type { LogState } from './logState.ts'

/** Keeps changes of a log's files apart from its appends, from their undoing, and from each other. */
export class Stillness {
  readonly #state: LogState
  /** The end of the last change that was asked for. */
  #last: Promise<void> = Promise.resolve()
  /** Appends are being undone; the end of that. */
  #undo: Promise<void> | null = null

  constructor(state: LogState) {
    this.#state = state
  }

  /** Appends are being undone until `undone` resolves. */
  undoing(undone: Promise<void>): void {
    const undo = undone.then(() => {
      if (this.#undo === undo) this.#undo = null
    })
    this.#undo = undo
  }

  /** Resolves when nothing is being undone or changed. */
  async over(): Promise<void> {
    await this.#undo
    await this.#last
  }

  /** Appends are refused from now on; what this returns is for `during`. */
  refuse(reason: string): EngineError {
    const refusal = new EngineError('kafkaStorageError', reason)
    this.#state.refusal ??= refusal
    return refusal
  }

  /** Carries out `work` once nothing is in flight; then appends are no longer refused. Rejects as `work` does. */
  during(refusal: EngineError, work: () => Promise<void>): Promise<void> {
    const state = this.#state
    const done = this.#last.then(async () => {
      do {
        // Those who undo appends let others in when they are done.
        state.refusal ??= refusal
        await state.flush.settled()
        await this.#undo
      } while (state.offline === null && (state.refusal === null || state.flush.pending.length > 0))
      try {
        await work()
      } finally {
        if (state.refusal === refusal) state.refusal = null
      }
    })
    this.#last = done.catch(() => {})
    return done
  }
}

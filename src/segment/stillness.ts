import { EngineError } from '../model/errors.ts'
import type { LogState } from './logState.ts'

/** Keeps changes of a log's files apart from its appends, from their undoing, and from each other. */
export class Stillness {
  readonly #state: LogState
  /** The end of the last change that was asked for. */
  #last: Promise<void> = Promise.resolve()
  /** Appends are being undone; the end of that. */
  #undo: Promise<void> | null = null
  #isChanging = false

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

  /** Whether files are being changed: appends that have failed meanwhile are undone afterwards. */
  get isChanging(): boolean {
    return this.#isChanging
  }

  /** Carries out `work` once nothing is in flight; then appends are no longer refused. Rejects as `work` does. */
  during(refusal: EngineError, work: () => Promise<void>): Promise<void> {
    const { flush } = this.#state
    return this.#change(refusal, work, async () => {
      await flush.settled()
      await this.#undo
      return flush.pending.length === 0
    })
  }

  /**
   * As `during`, but only waits until the log's files have what is in flight: the journal may be waiting for this to end.
   */
  duringCommits(refusal: EngineError, work: () => Promise<void>): Promise<void> {
    const { flush } = this.#state
    return this.#change(refusal, work, async () => {
      flush.submitPending()
      await flush.written()
      if (!flush.isWritten) await flush.settled()
      await this.#undo
      return flush.isWritten
    })
  }

  #change(refusal: EngineError, work: () => Promise<void>, isReady: () => Promise<boolean>): Promise<void> {
    const state = this.#state
    const done = this.#last.then(async () => {
      for (;;) {
        // Those who undo appends let others in when they are done.
        state.refusal ??= refusal
        if (((await isReady()) && state.refusal !== null) || state.offline !== null) break
      }
      this.#isChanging = true
      try {
        await work()
      } finally {
        this.#isChanging = false
        if (state.refusal === refusal) state.refusal = null
        state.flush.recheck()
      }
    })
    this.#last = done.catch(() => {})
    return done
  }
}

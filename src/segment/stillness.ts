import { EngineError } from '../model/errors.ts'
import type { LogState } from './logState.ts'

/** Keeps changes of a log's files apart from its appends, from their undoing, and from each other. */
export class Stillness {
  readonly #state: LogState
  /** The end of the last change that was asked for. */
  #last: Promise<void> = Promise.resolve()
  /** Appends are being undone; the end of that. */
  #undo: Promise<void> | null = null
  /** Changes that were asked for and are not over. */
  #asked = 0
  #isChanging = false
  /** Changes of the log's end that were asked for and are not over. */
  readonly #endChanges = new Set<EngineError>()

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

  /** Resolves when nothing is being undone or changed; null when nothing is, for those who may not let anything in between. */
  over(): Promise<void> | null {
    if (this.#undo === null && this.#asked === 0) return null
    return Promise.resolve(this.#undo).then(() => this.#last)
  }

  /** Why the log may soon end elsewhere; null when nobody has asked for that. */
  get endChange(): EngineError | null {
    for (const refusal of this.#endChanges) return refusal
    return null
  }

  /** Appends are refused from now on, since the end of the log changes or its files do; what this returns is for `during`. */
  refuse(reason: string, what: 'end' | 'files'): EngineError {
    const refusal = new EngineError('kafkaStorageError', reason)
    if (what === 'end') this.#endChanges.add(refusal)
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
    this.#asked++
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
        this.#endChanges.delete(refusal)
        if (state.refusal === refusal) state.refusal = null
        state.flush.recheck()
      }
    })
    this.#last = done
      .catch(() => {})
      .then(() => {
        this.#asked--
      })
    return done
  }
}

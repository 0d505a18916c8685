import { planted } from '../model/planted.ts'
/**
 * What must not leave the node before the quorum state written ahead of it is durable, in its order. Persists are numbered
 * by tickets, which become durable in order.
 */
export class Outbox {
  #waiting: { readonly ticket: number; readonly isFetch: boolean; readonly run: () => void }[] = []
  #asked = 0
  #persisted = 0

  /** From now on things wait for this ticket. */
  persistAsked(ticket: number): void {
    this.#asked = ticket
  }

  /** The ticket that something waits for which is begun now and goes out later. */
  get ticket(): number {
    return this.#asked
  }

  /** Whether nothing waits. */
  get isEmpty(): boolean {
    return this.#waiting.length === 0
  }

  /** Carries `run` out once `ticket` is durable; at once when it is. `isFetch`: of no use once the leader is another one. */
  leave(run: () => void, isFetch = false, ticket: number = this.#asked): void {
    if (this.#persisted >= ticket || planted('sentBeforePersist')) run()
    else this.#waiting.push({ ticket, isFetch, run })
  }

  /** Everything up to `ticket` is durable. */
  persisted(ticket: number): void {
    this.#persisted = Math.max(this.#persisted, ticket)
    while (this.#waiting.length > 0 && this.#waiting[0]!.ticket <= this.#persisted) {
      this.#waiting.shift()!.run()
    }
    // An array that has been filled keeps its memory, and there are thousands.
    if (this.#waiting.length === 0) this.#waiting = []
  }

  /** Forgets Fetches that have not left. */
  dropFetches(): void {
    if (this.#waiting.length > 0) this.#waiting = this.#waiting.filter(({ isFetch }) => !isFetch)
  }

  /** Forgets everything. */
  clear(): void {
    this.#waiting = []
  }
}

import { assert } from '../model/assert.ts'
import type { Clock, Timer } from '../runtime/clock.ts'
import type { Token } from './groupData.ts'

interface Waiter {
  readonly resolve: (response: never) => void
  /** What to answer at `deadlineMs` (monotonic) if the log has not let go of the request by then. */
  readonly late: (() => unknown) | null
  readonly deadlineMs: number
}

/**
 * Requests that wait for their answer, by token. Those that only wait for the log are answered by themselves after
 * `timeoutMs`: a disk that hangs must not hold clients for ever. The real answer is then dropped.
 */
export class Waiters {
  readonly #clock: Clock
  readonly #timeoutMs: number
  readonly #waiting = new Map<number, Waiter>()
  /** Tokens of those with a deadline, oldest first: all have the same time. */
  readonly #timed = new Set<number>()
  #nextId = 1
  #timer: Timer | null = null

  constructor(clock: Clock, timeoutMs: number) {
    this.#clock = clock
    this.#timeoutMs = timeoutMs
  }

  /** How many requests wait. */
  get size(): number {
    return this.#waiting.size
  }

  /** Gives `send` a token; resolves with what the token is answered, or `late` says when the log takes too long. */
  wait<Response>(
    send: (token: Token<Response>) => void,
    late: (() => Response) | null = null,
  ): Promise<Response> {
    return new Promise((resolve) => {
      const id = this.#nextId++
      const deadlineMs = this.#clock.monotonicMs() + this.#timeoutMs
      this.#waiting.set(id, { resolve, late, deadlineMs })
      if (late !== null) this.#timed.add(id)
      send({ id })
      if (this.#timed.has(id)) this.#arm()
    })
  }

  /** Answers a token. Ignored if it was answered late; the group answers each token once. */
  answer(token: Token<unknown>, response: unknown): void {
    const waiter = this.#waiting.get(token.id)
    if (waiter === undefined) return
    this.#waiting.delete(token.id)
    this.#timed.delete(token.id)
    waiter.resolve(response as never)
  }

  /** Stops the timer. Who still waits is answered late at once, or not at all. */
  close(): void {
    this.#timer?.cancel()
    this.#timer = null
    for (const id of [...this.#timed]) this.#answerLate(id)
  }

  #arm(): void {
    if (this.#timer !== null) return
    const [oldest] = this.#timed
    if (oldest === undefined) return
    const { deadlineMs } = this.#waiting.get(oldest)!
    const delayMs = Math.max(0, Math.ceil(deadlineMs - this.#clock.monotonicMs()))
    this.#timer = this.#clock.setTimer(delayMs, () => {
      this.#timer = null
      const nowMs = this.#clock.monotonicMs()
      for (const id of [...this.#timed]) {
        if (this.#waiting.get(id)!.deadlineMs > nowMs) break
        this.#answerLate(id)
      }
      this.#arm()
    })
  }

  #answerLate(id: number): void {
    const waiter = this.#waiting.get(id)
    assert(waiter !== undefined && waiter.late !== null)
    this.answer({ id }, waiter.late())
  }
}

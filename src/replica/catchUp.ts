import { partBytes, type SendPart } from '../model/fileRange.ts'
import type { Clock, Timer } from '../runtime/clock.ts'
import type { GroupRef } from './transport.ts'

/**
 * How fast records go to replicas that are no voters yet. Those that vote are never held back: what they lack is what a majority may
 * lack. Source: KIP-73, where replicas out of sync are throttled.
 */
export interface CatchUpLimits {
  /** Bytes per second that this node sends of all groups for which `limitsSending`; `Infinity` for no bound. */
  readonly sendingRate: number
  /** Bytes per second that it takes of all groups for which `limitsReceiving`; `Infinity` for no bound. */
  readonly receivingRate: number
  limitsSending(group: GroupRef): boolean
  limitsReceiving(group: GroupRef): boolean
}

/** A rate may be another one by then: whoever waits looks again after so long at the latest. Milliseconds. */
const longestWaitMs = 1000

/** Lets bytes pass at a rate, first come first served: the next ones wait until those before them are paid for. */
export class Pace {
  readonly #clock: Clock
  readonly #rate: () => number
  #waiting: (() => void)[] = []
  #timer: Timer | null = null
  /** Bytes that passed and are not paid for, as of `#atMs`. */
  #debt = 0
  #atMs = 0

  /** `rate`: bytes per second from now on, `Infinity` for no bound, 0 to let nothing pass. */
  constructor(clock: Clock, rate: () => number) {
    this.#clock = clock
    this.#rate = rate
  }

  /** Calls `go` as soon as what passed before is paid for, at once if it is. It says how many bytes pass with it. */
  pass(go: () => number): void {
    if (this.#waiting.length === 0 && this.#waitMs() <= 0) this.#debt += go()
    else {
      this.#waiting.push(() => {
        this.#debt += go()
      })
      this.#arm()
    }
  }

  /** So many more bytes have passed than was said when they did; fewer if it is negative. */
  correct(bytes: number): void {
    this.#debt = Math.max(0, this.#debt + bytes)
  }

  /** Whoever waits waits no longer, and is not called. */
  close(): void {
    this.#waiting = []
    this.#timer?.cancel()
    this.#timer = null
  }

  #waitMs(): number {
    const nowMs = this.#clock.monotonicMs()
    const rate = this.#rate()
    if (rate === Number.POSITIVE_INFINITY) this.#debt = 0
    else this.#debt = Math.max(0, this.#debt - ((nowMs - this.#atMs) * rate) / 1000)
    this.#atMs = nowMs
    if (rate === 0) return longestWaitMs
    return this.#debt === 0 ? 0 : (this.#debt * 1000) / rate
  }

  #arm(): void {
    if (this.#timer !== null || this.#waiting.length === 0) return
    const delayMs = Math.min(longestWaitMs, Math.max(1, Math.ceil(this.#waitMs())))
    this.#timer = this.#clock.setTimer(delayMs, () => {
      this.#timer = null
      while (this.#waiting.length > 0 && this.#waitMs() <= 0) this.#waiting.shift()!()
      this.#arm()
    })
    this.#timer.detach?.()
  }
}

/** What of this node's bandwidth replicas get that catch up; all of it until `limits` are set. */
export class CatchUp {
  limits: CatchUpLimits | null = null
  readonly #sending: Pace
  readonly #receiving: Pace

  constructor(clock: Clock) {
    this.#sending = new Pace(clock, () => this.limits?.sendingRate ?? Number.POSITIVE_INFINITY)
    this.#receiving = new Pace(clock, () => this.limits?.receivingRate ?? Number.POSITIVE_INFINITY)
  }

  /** Calls `send` once a replica of the group that catches up may be sent up to `mostBytes` more. */
  beforeSending(group: GroupRef, mostBytes: number, send: () => void): void {
    if (this.limits?.limitsSending(group) !== true) send()
    else {
      this.#sending.pass(() => {
        send()
        return mostBytes
      })
    }
  }

  /** This was sent to it, in place of `mostBytes`. */
  sent(group: GroupRef, mostBytes: number, parts: readonly SendPart[]): void {
    if (this.limits?.limitsSending(group) !== true) return
    this.#sending.correct(parts.reduce((sum, part) => sum + partBytes(part), 0) - mostBytes)
  }

  /** Calls `take` once a replica of the group that catches up may take `bytes` more; false if it has done so already. */
  beforeTaking(group: GroupRef, bytes: number, take: () => void): boolean {
    if (this.limits?.limitsReceiving(group) !== true) {
      take()
      return false
    }
    let isTaken = false
    this.#receiving.pass(() => {
      isTaken = true
      take()
      return bytes
    })
    return !isTaken
  }

  /** Nothing goes any more. */
  close(): void {
    this.#sending.close()
    this.#receiving.close()
  }
}

import type { Due, TimerWheel } from './timerWheel.ts'

/** A replica that is about to stand for election. */
export interface Stander {
  /** Whether a round of votes of its own is under way. */
  readonly isVoting: boolean
  /** It is its turn; it need not want to stand any more. */
  stand(nowMs: number): void
}

/** Rounds of votes that a node may have under way. */
const mostOpen = 128
/** After so long, and what slack there is, a round counts as over: those who are asked may be gone. */
const longestMs = 250
/** How long until another look, in milliseconds. */
const lookMs = 4

/**
 * Lets replicas stand for election as fast as rounds come to their end, first come first served. Where thousands stand in one
 * moment, votes take longer than anybody waits for them, and everybody stands again: nobody would ever be elected. Whoever waits here
 * votes for others meanwhile.
 */
export class ElectionPace implements Due {
  dueMs = Number.POSITIVE_INFINITY
  slotMs = Number.POSITIVE_INFINITY
  readonly #wheel: TimerWheel
  readonly #slackMs: () => number
  readonly #waiting = new Set<Stander>()
  /** Rounds that may be under way, and when they began, the oldest first. */
  readonly #open = new Map<Stander, number>()

  /** `slackMs`: how much longer than usual things may take. */
  constructor(wheel: TimerWheel, slackMs: () => number) {
    this.#slackMs = slackMs
    this.#wheel = wheel
  }

  /** How many wait. */
  get waitingCount(): number {
    return this.#waiting.size
  }

  /** Whether the replica may stand now; otherwise it is told when it may. */
  admits(stander: Stander, nowMs: number): boolean {
    if (this.#waiting.size === 0 && this.#hasRoom(nowMs)) {
      this.#begin(stander, nowMs)
      return true
    }
    this.#waiting.add(stander)
    if (this.dueMs === Number.POSITIVE_INFINITY) {
      this.dueMs = nowMs + lookMs
      this.#wheel.arm(this)
    }
    return false
  }

  fire(nowMs: number): void {
    for (const stander of this.#waiting) {
      if (!this.#hasRoom(nowMs)) break
      this.#waiting.delete(stander)
      stander.stand(nowMs)
      if (stander.isVoting) this.#begin(stander, nowMs)
    }
    this.dueMs = this.#waiting.size === 0 ? Number.POSITIVE_INFINITY : nowMs + lookMs
  }

  #begin(stander: Stander, nowMs: number): void {
    this.#open.delete(stander)
    this.#open.set(stander, nowMs)
  }

  #hasRoom(nowMs: number): boolean {
    if (this.#open.size < mostOpen) return true
    const beforeMs = nowMs - longestMs - this.#slackMs()
    for (const [stander, sinceMs] of this.#open) {
      if (!stander.isVoting || sinceMs <= beforeMs) this.#open.delete(stander)
    }
    return this.#open.size < mostOpen
  }
}

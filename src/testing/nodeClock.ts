import type { Clock, Timer } from '../runtime/clock.ts'
import { EventKind } from './eventKinds.ts'
import type { EventQueue, QueuedEvent } from './eventQueue.ts'
import type { SimRandom } from './simRandom.ts'

/** How far apart two moments may be that rounding alone keeps apart, in milliseconds. */
const roundingMs = 1e-3

/** The clocks of one machine: they may run fast or slow, jump (the wall clock), and fire their timers loosely. */
export class MachineClock {
  readonly #queue: EventQueue
  #wallOffsetMs: number
  #factor = 1
  #anchorMs: number
  #localAtAnchorMs = 0
  /** Timers fire early or late by up to this share of their delay. */
  looseness = 0

  constructor(queue: EventQueue, wallMs: number) {
    this.#queue = queue
    this.#anchorMs = queue.nowMs
    this.#wallOffsetMs = wallMs
  }

  /** Milliseconds of this machine since the world began. */
  get localMs(): number {
    return this.#localAtAnchorMs + (this.#queue.nowMs - this.#anchorMs) * this.#factor
  }

  get wallMs(): number {
    return Math.trunc(this.#wallOffsetMs + this.localMs)
  }

  /** From now on time passes `factor` times as fast. */
  set factor(factor: number) {
    this.#localAtAnchorMs = this.localMs
    this.#anchorMs = this.#queue.nowMs
    this.#factor = factor
  }

  get factor(): number {
    return this.#factor
  }

  jumpWall(byMs: number): void {
    this.#wallOffsetMs += byMs
  }
}

/** The clock that one process sees. Its timers die with it. */
export class NodeClock implements Clock {
  readonly #queue: EventQueue
  readonly #machine: MachineClock
  readonly #random: SimRandom
  readonly #node: number
  readonly #timers = new Set<QueuedEvent>()
  #latestMs = 0
  #isDead = false

  constructor(queue: EventQueue, machine: MachineClock, random: SimRandom, node: number) {
    this.#queue = queue
    this.#machine = machine
    this.#random = random
    this.#node = node
  }

  /** Timers that have neither fired nor been cancelled; none once the process is dead. */
  get pendingTimers(): number {
    return this.#timers.size
  }

  wallMs(): number {
    return this.#machine.wallMs
  }

  monotonicMs(): number {
    this.#latestMs = Math.max(this.#latestMs, this.#machine.localMs)
    return this.#latestMs
  }

  setTimer(delayMs: number, fire: () => void): Timer {
    const machine = this.#machine
    const dueMs = machine.localMs + Math.max(0, delayMs)
    // Less than the smallest step of the world's time would be none: whoever waits for the rest of a delay would wait for it for ever.
    let worldMs = delayMs <= 0 ? 0 : Math.max(delayMs, roundingMs) / machine.factor
    if (machine.looseness > 0) {
      worldMs *= 1 + machine.looseness * ((this.#random.below(2001) - 1000) / 1000)
    }
    const event = this.#queue.add(worldMs, EventKind.timer, this.#node, () => {
      if (this.#isDead) return
      this.#timers.delete(event)
      // What rounding takes away is given back: a timer that fires a trifle early would be set again for no time at all.
      if (Math.abs(dueMs - machine.localMs) < roundingMs) this.#latestMs = Math.max(this.#latestMs, dueMs)
      fire()
    })
    if (!this.#isDead) this.#timers.add(event)
    return {
      cancel: () => {
        event.run = null
        this.#timers.delete(event)
      },
    }
  }

  /** The process is dead: no timer fires any more. */
  kill(): void {
    this.#isDead = true
    this.#timers.clear()
  }
}

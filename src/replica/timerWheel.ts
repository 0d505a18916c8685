import type { Clock, Timer } from '../runtime/clock.ts'

/** Something that is due at some time. One object is in one wheel at most. */
export interface Due {
  /** When it is due by the monotonic clock, infinite for never. May be moved back at will without telling the wheel. */
  dueMs: number
  /** The wheel's own: the time of the slot that holds it, infinite for none. */
  slotMs: number
  /** Called when it is due; sets `dueMs` anew. */
  fire(nowMs: number): void
}

/** How far apart slots are: so much later than asked for things may come. */
const slotMs = 4
const slotCount = 512
/** So many things are done in one turn; the rest waits for the next, so that what has arrived is read in between. */
const mostInTurn = 256
/** How late the timer of a process is that stood still. */
const stallMs = 50

/**
 * Thousands of deadlines behind one timer of the clock. What is put off is found in its old slot and moved then, so that
 * putting off costs nothing; within a slot things fire in the order in which they came there.
 */
export class TimerWheel {
  readonly #clock: Clock
  readonly #late: (lateMs: number, nowMs: number) => void
  readonly #slots: Due[][] = Array.from({ length: slotCount }, () => [])
  #timer: Timer | null = null
  /** What the timer is set to, infinite for no timer. */
  #timerMs = Number.POSITIVE_INFINITY
  /** Slots up to here are done. */
  #doneMs: number
  #count = 0
  #isCatchingUp = false
  /** What this turn may still do. */
  #left = 0
  #isClosed = false

  /** `late` is told at every turn how much later it comes than it was to. */
  constructor(clock: Clock, late: (lateMs: number, nowMs: number) => void = () => {}) {
    this.#late = late
    this.#clock = clock
    this.#doneMs = floorSlot(clock.monotonicMs())
  }

  /** How many things there are. */
  get count(): number {
    return this.#count
  }

  /** Looks at `due.dueMs`, which has been set. */
  arm(due: Due): void {
    if (this.#isClosed || due.dueMs >= due.slotMs || due.dueMs === Number.POSITIVE_INFINITY) return
    // Nearer than where it is: it stands twice until that slot's turn, and fires where it belongs.
    this.#put(due)
  }

  /** Fires nothing any more. */
  close(): void {
    this.#isClosed = true
    this.#timer?.cancel()
    this.#timer = null
    for (const slot of this.#slots) slot.length = 0
  }

  #put(due: Due): void {
    const atMs = Math.max(ceilSlot(due.dueMs), this.#doneMs + slotMs)
    due.slotMs = atMs
    this.#slots[(atMs / slotMs) % slotCount]!.push(due)
    this.#count++
    if (atMs < this.#timerMs) this.#setTimer(atMs)
  }

  #setTimer(atMs: number): void {
    this.#timer?.cancel()
    this.#timerMs = atMs
    this.#timer = this.#clock.setTimer(Math.max(0, atMs - this.#clock.monotonicMs()), this.#turn)
    this.#timer.detach?.()
  }

  readonly #turn = (): void => {
    const dueMs = this.#timerMs
    this.#timer = null
    this.#timerMs = Number.POSITIVE_INFINITY
    const nowMs = this.#clock.monotonicMs()
    this.#late(nowMs - dueMs, nowMs)
    if (nowMs - dueMs > stallMs && !this.#isCatchingUp) {
      // The process stood still: what arrived meanwhile is read first, or everybody else would seem to have been silent.
      this.#isCatchingUp = true
      this.#setTimer(nowMs + slotMs)
      return
    }
    this.#isCatchingUp = false
    this.#left = mostInTurn
    const untilMs = floorSlot(nowMs)
    const from = Math.max(this.#doneMs + slotMs, untilMs - (slotCount - 1) * slotMs)
    for (let atMs = from; atMs <= untilMs && !this.#isClosed; atMs += slotMs) {
      this.#doneMs = atMs
      if (this.#serve((atMs / slotMs) % slotCount, untilMs, nowMs)) continue
      this.#doneMs = atMs - slotMs
      break
    }
    if (!this.#isClosed) this.#next()
  }

  /** Fires what is due in a slot; false when some of it has to wait for another turn. */
  #serve(index: number, untilMs: number, nowMs: number): boolean {
    const slot = this.#slots[index]!
    if (slot.length === 0) return true
    this.#slots[index] = []
    this.#count -= slot.length
    for (let at = 0; at < slot.length; at++) {
      const due = slot[at]!
      if (this.#left === 0) {
        const left = slot.slice(at)
        this.#slots[index] = [...left, ...this.#slots[index]!]
        this.#count += left.length
        return false
      }
      // It has been moved to a nearer slot, and this is what it left behind; or it is of a later round.
      const isHere = (due.slotMs / slotMs) % slotCount === index
      if (!isHere) continue
      if (due.slotMs > untilMs) {
        this.#slots[index]!.push(due)
        this.#count++
        continue
      }
      due.slotMs = Number.POSITIVE_INFINITY
      if (due.dueMs <= nowMs) {
        this.#left--
        due.fire(nowMs)
      }
      this.arm(due)
    }
    return true
  }

  /** Sets the timer to the next slot that has something. */
  #next(): void {
    if (this.#count === 0) return
    const base = this.#doneMs / slotMs
    for (let step = 1; step <= slotCount; step++) {
      if (this.#slots[(base + step) % slotCount]!.length === 0) continue
      const atMs = (base + step) * slotMs
      if (atMs < this.#timerMs) this.#setTimer(atMs)
      return
    }
  }
}

function floorSlot(ms: number): number {
  return Math.floor(ms / slotMs) * slotMs
}

function ceilSlot(ms: number): number {
  return Math.ceil(ms / slotMs) * slotMs
}

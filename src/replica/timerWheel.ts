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
/** What is due in a later span of so long than the next one is kept apart until that begins, half of a turn of the wheel. */
const spanMs = (slotMs * slotCount) / 2
/** How late the timer of a process is that stood still. */
const stallMs = 50

/**
 * Thousands of deadlines behind one timer of the clock. What is put off is found in its old slot and moved then, so that
 * putting off costs nothing; within a slot things fire in the order in which they came there. What is far away makes nobody
 * look at slots in between.
 */
export class TimerWheel {
  readonly #clock: Clock
  readonly #slots: Due[][] = Array.from({ length: slotCount }, () => [])
  /** What is far away, by the beginning of its span. */
  readonly #far = new Map<number, Due[]>()
  #timer: Timer | null = null
  /** What the timer is set to, infinite for no timer. */
  #timerMs = Number.POSITIVE_INFINITY
  /** Slots up to here are done. */
  #doneMs: number
  #count = 0
  #isCatchingUp = false
  #isClosed = false

  constructor(clock: Clock) {
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
    this.#far.clear()
  }

  #put(due: Due): void {
    this.#count++
    const spanAtMs = Math.floor(due.dueMs / spanMs) * spanMs
    // Slots may be done up to a time long ago, when there was nothing to do.
    if (spanAtMs > this.#doneMs + spanMs && spanAtMs > this.#clock.monotonicMs() + spanMs) {
      due.slotMs = spanAtMs
      const span = this.#far.get(spanAtMs)
      if (span === undefined) this.#far.set(spanAtMs, [due])
      else span.push(due)
      if (spanAtMs < this.#timerMs) this.#setTimer(spanAtMs)
      return
    }
    const atMs = Math.max(ceilSlot(due.dueMs), this.#doneMs + slotMs)
    due.slotMs = atMs
    this.#slots[(atMs / slotMs) % slotCount]!.push(due)
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
    if (nowMs - dueMs > stallMs && !this.#isCatchingUp) {
      // The process stood still: what arrived meanwhile is read first, or everybody else would seem to have been silent.
      this.#isCatchingUp = true
      this.#setTimer(nowMs + slotMs)
      return
    }
    this.#isCatchingUp = false
    const untilMs = floorSlot(nowMs)
    this.#comeNear(untilMs)
    const from = Math.max(this.#doneMs + slotMs, untilMs - (slotCount - 1) * slotMs)
    for (let atMs = from; atMs <= untilMs && !this.#isClosed; atMs += slotMs) {
      this.#doneMs = atMs
      this.#serve((atMs / slotMs) % slotCount, untilMs, nowMs)
    }
    if (!this.#isClosed) this.#next()
  }

  /** Spans that have begun: what is due in them gets its slot. */
  #comeNear(untilMs: number): void {
    for (const [spanAtMs, span] of this.#far) {
      if (spanAtMs > untilMs) continue
      this.#far.delete(spanAtMs)
      this.#count -= span.length
      for (const due of span) {
        // It has been moved to a nearer slot, and this is what it left behind.
        if (due.slotMs !== spanAtMs) continue
        due.slotMs = Number.POSITIVE_INFINITY
        this.arm(due)
      }
    }
  }

  #serve(index: number, untilMs: number, nowMs: number): void {
    const slot = this.#slots[index]!
    if (slot.length === 0) return
    this.#slots[index] = []
    this.#count -= slot.length
    for (const due of slot) {
      // It has been moved to a nearer slot, and this is what it left behind; or it is of a later round.
      const isHere = (due.slotMs / slotMs) % slotCount === index
      if (!isHere) continue
      if (due.slotMs > untilMs) {
        this.#slots[index]!.push(due)
        this.#count++
        continue
      }
      due.slotMs = Number.POSITIVE_INFINITY
      if (due.dueMs <= nowMs) due.fire(nowMs)
      this.arm(due)
    }
  }

  /** Sets the timer to the next slot that has something. */
  #next(): void {
    if (this.#count === 0) return
    for (const spanAtMs of this.#far.keys()) if (spanAtMs < this.#timerMs) this.#setTimer(spanAtMs)
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

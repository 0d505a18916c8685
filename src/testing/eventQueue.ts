import { EventHeap } from './eventHeap.ts'

/** Something that happens at a moment of the world's clock. */
export interface QueuedEvent {
  atMs: number
  order: number
  /** Null once it is cancelled. */
  run: (() => void) | null
  /** Part of the trace: what it is, and of which node. */
  readonly kind: number
  readonly node: number
}

/**
 * Everything that is going to happen, and the time. Events of one moment come in the order of their making. Nothing moves
 * by itself: whoever takes an event carries it out.
 */
export class EventQueue {
  readonly #heap = new EventHeap<QueuedEvent>()
  #made = 0
  #nowMs = 0

  /** Milliseconds since the beginning of the world. */
  get nowMs(): number {
    return this.#nowMs
  }

  get size(): number {
    return this.#heap.size
  }

  /** Has `run` called in `delayMs`. */
  add(delayMs: number, kind: number, node: number, run: () => void): QueuedEvent {
    const event: QueuedEvent = {
      atMs: this.#nowMs + Math.max(0, delayMs),
      order: this.#made++,
      run,
      kind,
      node,
    }
    this.#heap.push(event)
    return event
  }

  /** Has an event that was taken happen now, after all that happens now anyhow. Who has cancelled it meanwhile is heard. */
  again(event: QueuedEvent): void {
    event.atMs = this.#nowMs
    event.order = this.#made++
    this.#heap.push(event)
  }

  /** The next event, taken out; time goes on to it. Null when there is none until `untilMs`, where time then is. */
  take(untilMs: number): QueuedEvent | null {
    for (;;) {
      const first = this.#heap.first
      if (first === undefined || first.atMs > untilMs) {
        if (untilMs !== Number.POSITIVE_INFINITY) this.#nowMs = Math.max(this.#nowMs, untilMs)
        return null
      }
      this.#heap.drop()
      if (first.run === null) continue
      this.#nowMs = first.atMs
      return first
    }
  }
}

/** What has its place in time: first by moment, then in the order of making. */
export interface Timed {
  readonly atMs: number
  readonly order: number
}

/** A heap of what is going to happen, the earliest first. */
export class EventHeap<T extends Timed> {
  readonly #heap: T[] = []

  get size(): number {
    return this.#heap.length
  }

  /** The earliest, left where it is. */
  get first(): T | undefined {
    return this.#heap[0]
  }

  push(event: T): void {
    const heap = this.#heap
    let at = heap.length
    heap.push(event)
    while (at > 0) {
      const parent = (at - 1) >> 1
      if (!isBefore(event, heap[parent]!)) break
      heap[at] = heap[parent]!
      at = parent
    }
    heap[at] = event
  }

  /** Takes the earliest out. There is one. */
  drop(): void {
    const heap = this.#heap
    const last = heap.pop()!
    const { length } = heap
    if (length === 0) return
    let at = 0
    for (;;) {
      let child = 2 * at + 1
      if (child >= length) break
      if (child + 1 < length && isBefore(heap[child + 1]!, heap[child]!)) child++
      if (!isBefore(heap[child]!, last)) break
      heap[at] = heap[child]!
      at = child
    }
    heap[at] = last
  }
}

function isBefore(left: Timed, right: Timed): boolean {
  return left.atMs < right.atMs || (left.atMs === right.atMs && left.order < right.order)
}

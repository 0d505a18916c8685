import type { Clock, Timer } from '../runtime/clock.ts'
import type { Partition } from './partition.ts'

/** One partition of a waiting fetch: how much of it could be had, as far as is known. */
export interface WatchedPartition {
  readonly partition: Partition
  /** The fetch that waits. */
  readonly wait: FetchWait
  /** Bytes that may be read from the fetch offset on; called when the partition has advanced. */
  availableBytes(): number
  /** As of the last look. */
  knownBytes: number
  /** Its place in the partition's list; -1 when it is not there. */
  slot: number
}

/**
 * Fetches that wait for records, kept at the partitions that they wait for: nothing polls, and a partition
 * nobody waits for costs nothing. All partitions that advance together (one produce request) are gathered
 * before a fetch is completed, so that it takes all of them at once.
 */
export class Purgatory {
  readonly clock: Clock
  readonly #maxWatched: number
  readonly #maxHeld: number
  #size = 0
  #watched = 0
  #held = 0

  /**
   * `maxWatched` bounds the partitions that waiting fetches are told of, and so what an advance costs; `maxHeld`
   * those that all waiting fetches have asked for, and so their memory.
   */
  constructor(clock: Clock, maxWatched = 200_000, maxHeld = 1_000_000) {
    this.clock = clock
    this.#maxWatched = maxWatched
    this.#maxHeld = maxHeld
  }

  /** Whether a fetch of that many partitions may wait; otherwise it is answered with what there is. */
  hasRoom(partitions: number): boolean {
    return this.#held === 0 || this.#held + partitions <= this.#maxHeld
  }

  /** Whether it may be told of their advances meanwhile; otherwise it waits for its time to be up. */
  mayWatch(partitions: number): boolean {
    return this.#watched === 0 || this.#watched + partitions <= this.#maxWatched
  }

  /** Fetches that wait. */
  get size(): number {
    return this.#size
  }

  /** Called when a fetch begins to wait: how many partitions it watches, and how many it has asked for. */
  entered(watched: number, held: number): void {
    this.#size += 1
    this.#watched += watched
    this.#held += held
  }

  /** Called when it ends. */
  left(watched: number, held: number): void {
    this.#size -= 1
    this.#watched -= watched
    this.#held -= held
  }
}

/** A fetch that waits until `minBytes` are there, something else happens to a partition, or its time is up. */
export class FetchWait {
  readonly #purgatory: Purgatory
  readonly #minBytes: number
  readonly #complete: () => void
  #watched: readonly WatchedPartition[] = []
  #timer: Timer | null = null
  #bytes = 0
  #held = 0
  #isDue = false
  #isDone = false

  /** `complete` is called once, unless `cancel` comes first. */
  constructor(purgatory: Purgatory, minBytes: number, complete: () => void) {
    this.#purgatory = purgatory
    this.#minBytes = minBytes
    this.#complete = complete
  }

  /** Begins to wait; `bytes` are there already, `held` partitions were asked for. */
  start(watched: readonly WatchedPartition[], bytes: number, maxWaitMs: number, held = watched.length): void {
    this.#held = held
    this.#watched = watched
    this.#bytes = bytes
    this.#purgatory.entered(watched.length, held)
    for (const each of watched) each.partition.watch(each)
    this.#timer = this.#purgatory.clock.setTimer(maxWaitMs, () => this.#finish())
  }

  /** A partition has more to read. */
  advanced(watched: WatchedPartition): void {
    if (this.#isDone || this.#isDue) return
    const availableBytes = this.#minBytes <= 1 ? 1 : watched.availableBytes()
    this.#bytes += availableBytes - watched.knownBytes
    watched.knownBytes = availableBytes
    if (this.#bytes >= this.#minBytes) this.wake()
  }

  /** Completes once what is going on has come to its end. */
  wake(): void {
    if (this.#isDone || this.#isDue) return
    this.#isDue = true
    queueMicrotask(() => this.#finish())
  }

  /** Ends the wait without completing it. Harmless when it has ended. */
  cancel(): void {
    if (this.#isDone) return
    this.#isDone = true
    this.#timer?.cancel()
    for (const each of this.#watched) each.partition.unwatch(each)
    this.#purgatory.left(this.#watched.length, this.#held)
    this.#watched = []
  }

  #finish(): void {
    if (this.#isDone) return
    this.cancel()
    this.#complete()
  }
}

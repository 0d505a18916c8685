import type { FlushPolicy } from '../model/flushPolicy.ts'
import type { Clock, Timer } from '../runtime/clock.ts'
import type { Segment } from './segment.ts'

/**
 * What one log has written without asking for a sync: which segments, how many bytes and records, and since when.
 * A timer runs only while there is something and the policy has an interval.
 */
export class Unsynced {
  readonly #clock: Clock
  readonly #due: () => void
  readonly #segments = new Set<Segment>()
  /** One of them, mostly the one that is appended to. */
  #last: Segment | null = null
  #bytes = 0
  #records = 0
  #timer: Timer | null = null

  /** `due` is called when the interval has gone by. */
  constructor(clock: Clock, due: () => void) {
    this.#clock = clock
    this.#due = due
  }

  /** Whether an append of `bytes` and `records` would reach a bound of `policy`, and so has to be synced. */
  reaches(policy: FlushPolicy, bytes: number, records: number): boolean {
    if (typeof policy === 'string') return false
    if (policy.bytes !== undefined && this.#bytes + bytes >= policy.bytes) return true
    return policy.records !== undefined && this.#records + records >= policy.records
  }

  /** Counts an append that is not synced. */
  add(segment: Segment, bytes: number, records: number, policy: FlushPolicy): void {
    if (segment !== this.#last) {
      this.#segments.add(segment)
      this.#last = segment
    }
    this.#bytes += bytes
    this.#records += records
    if (this.#timer === null && typeof policy !== 'string') this.schedule(policy)
  }

  /** Starts the timer if there is something to sync and `policy` says when. */
  schedule(policy: FlushPolicy): void {
    if (this.#timer !== null || this.#segments.size === 0) return
    if (typeof policy === 'string' || policy.intervalMs === undefined) return
    this.#timer = this.#clock.setTimer(policy.intervalMs, () => {
      this.#timer = null
      this.#due()
    })
    // The end of the process takes nothing that this would save.
    this.#timer.detach?.()
  }

  /** The segments that need a sync, which the caller now asks for. */
  take(): Segment[] {
    const segments = [...this.#segments]
    this.#segments.clear()
    this.#last = null
    this.#bytes = 0
    this.#records = 0
    this.#timer?.cancel()
    this.#timer = null
    return segments
  }

  /** Appends were undone, perhaps with the sync that they asked for: the next append reaches every bound. */
  distrust(segments: readonly Segment[]): void {
    for (const segment of segments) this.#segments.add(segment)
    this.#bytes = Number.MAX_SAFE_INTEGER
    this.#records = Number.MAX_SAFE_INTEGER
  }

  /** These segments are no longer part of the log. */
  forget(segments: readonly Segment[]): void {
    for (const segment of segments) this.#segments.delete(segment)
    this.#last = null
  }

  /** No timer fires any more. */
  stop(): void {
    this.#timer?.cancel()
    this.#timer = null
  }
}

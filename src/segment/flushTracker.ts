import { assert } from '../model/assert.ts'
import type { EngineError } from '../model/errors.ts'
import type { Survives } from '../model/flushPolicy.ts'
import { PendingWrite } from './pendingWrite.ts'
import type { Segment } from './segment.ts'
import type { WriteGroup } from './writeGroup.ts'

interface FlushWaiter {
  readonly endOffset: number
  resolve(): void
  reject(error: EngineError): void
}

/** What a log does when its flushes get on, or do not. */
export interface FlushEvents {
  /** `flushedOffset` has moved. */
  advanced(): void
  /** The pending group at `index`, or one before which nothing failed, has failed. */
  failed(index: number): void
}

/**
 * How far one log is flushed. Groups may complete in any order; `flushedOffset` moves in the order of appends,
 * never over a group that has not completed.
 */
export class FlushTracker {
  /** Exclusive end of what the policy has made true. */
  flushedOffset: number
  /** `flushedOffset` lies here. */
  flushedSegment: Segment
  flushedPosition: number
  /** Exclusive end of what survives the loss of power; behind `flushedOffset` under relaxed policies. */
  durableOffset: number
  /** Exclusive end of what the log's files hold durably; behind `durableOffset` where the journal holds the rest. */
  syncedOffset: number
  /** Told how it goes; whoever has the log sets it. */
  events: FlushEvents = { advanced() {}, failed() {} }
  readonly #pending: PendingWrite[] = []
  #waiters: FlushWaiter[] = []
  /** While set, nothing that asked for a sync counts: something earlier is still being synced. */
  #barrier: Promise<void> | null = null
  #stopped = false

  constructor(endOffset: number, durableOffset: number, syncedOffset: number, active: Segment) {
    this.flushedOffset = endOffset
    this.flushedSegment = active
    this.flushedPosition = active.sizeBytes
    this.durableOffset = durableOffset
    this.syncedOffset = syncedOffset
  }

  /** Groups that have not been counted yet, in the order of appends. */
  get pending(): readonly PendingWrite[] {
    return this.#pending
  }

  /** Resolves when a sync that holds back later groups has ended. */
  get barrier(): Promise<void> {
    return this.#barrier ?? Promise.resolve()
  }

  /** What the log has in `group`, begun at its present end if this is its first append there. */
  pendingFor(group: WriteGroup, endOffset: number, active: Segment): PendingWrite {
    const last = this.#pending[this.#pending.length - 1]
    if (last !== undefined && last.group === group) return last
    assert(!group.isSubmitted, 'an append to a group that was submitted')
    const pending = new PendingWrite(group, endOffset, active, this.#settled)
    this.#pending.push(pending)
    group.listen(pending)
    return pending
  }

  /** Takes the groups from `index` on out, latest last. */
  takeFrom(index: number): PendingWrite[] {
    return this.#pending.splice(index)
  }

  /** The log was cut: this is its end, and all of it is flushed. */
  reset(endOffset: number, active: Segment): void {
    this.flushedOffset = endOffset
    this.flushedSegment = active
    this.flushedPosition = active.sizeBytes
    this.durableOffset = Math.min(this.durableOffset, endOffset)
    this.syncedOffset = Math.min(this.syncedOffset, endOffset)
  }

  /** `segment`, all of which is flushed, has the place of others. */
  replaced(others: readonly Segment[], segment: Segment): void {
    if (!others.includes(this.flushedSegment)) return
    this.flushedSegment = segment
    this.flushedPosition = segment.sizeBytes
  }

  /** Bytes of a segment that are flushed. */
  readableBytes(segment: Segment): number {
    const flushed = this.flushedSegment
    if (segment === flushed) return this.flushedPosition
    return segment.baseOffset < flushed.baseOffset ? segment.sizeBytes : 0
  }

  /** Has everything handed to the disk that is appended: a sync that begins after this covers it. */
  submitPending(): void {
    // The last ones alone may be open, one for each kind of promise.
    for (let index = this.#pending.length - 1; index >= 0; index--) this.#pending[index]?.group.submitNow()
  }

  /** What a record that is in the log survives once it is flushed. */
  survives(offset: number): Survives {
    if (offset < this.durableOffset) return 'powerLoss'
    const group = this.#pending.find(({ endOffset }) => endOffset > offset)
    return offset >= this.flushedOffset && group?.isDurable === true ? 'powerLoss' : 'processKill'
  }

  /** Whether the files have what is pending. */
  get isWritten(): boolean {
    return this.#pending.every(({ group }) => group.isWritten)
  }

  /** Looks once more at what has settled: somebody could not take it before. */
  recheck(): void {
    this.#settled()
  }

  /** Resolves when the files have what is pending now, whatever becomes of it otherwise. */
  written(): Promise<unknown> {
    return Promise.all(this.#pending.map(({ group }) => group.written))
  }

  /** Resolves once everything below `endOffset` is flushed; rejects when that fails. */
  wait(endOffset: number): Promise<void> {
    if (endOffset <= this.flushedOffset) return Promise.resolve()
    return new Promise((resolve, reject) => this.#waiters.push({ endOffset, resolve, reject }))
  }

  /** Tells whoever waits for something beyond `endOffset` that it is lost. */
  failWaiters(error: EngineError, endOffset: number): void {
    const waiters = this.#waiters
    this.#waiters = waiters.filter((waiter) => waiter.endOffset <= endOffset)
    for (const waiter of waiters) if (waiter.endOffset > endOffset) waiter.reject(error)
  }

  /** Nothing counts any more, whatever completes. */
  stop(error: EngineError): void {
    this.#stopped = true
    this.failWaiters(error, 0)
  }

  /** Resolves when every group that is pending now has been counted or has failed. */
  async settled(): Promise<void> {
    const before = new Set(this.#pending)
    while (!this.#stopped && this.#pending.some((pending) => before.has(pending))) {
      await this.wait(this.#pending[0]!.endOffset).catch(() => {})
    }
  }

  /**
   * Holds back groups that asked for a sync until `synced`, which makes everything below `endOffset` durable,
   * has resolved. A rejection is the caller's.
   */
  holdUntil(synced: Promise<void>, endOffset: number): void {
    this.#barrier = synced.catch(() => {})
    const barrier = this.#barrier
    synced.then(
      () => {
        if (this.#barrier !== barrier) return
        this.#barrier = null
        this.synced(endOffset)
        this.#settled()
      },
      () => {},
    )
  }

  /** The log's files hold what was flushed of everything below `endOffset` durably. */
  synced(endOffset: number): void {
    const offset = Math.min(endOffset, this.flushedOffset)
    this.durableOffset = Math.max(this.durableOffset, offset)
    this.syncedOffset = Math.max(this.syncedOffset, offset)
  }

  /** A group has settled: counts what can be counted, in order. */
  readonly #settled = (): void => {
    if (this.#stopped) return
    const before = this.flushedOffset
    let count = 0
    for (const pending of this.#pending) {
      if (pending.state !== 'written') break
      if (pending.isDurable && this.#barrier !== null) break
      this.flushedOffset = pending.endOffset
      this.flushedSegment = pending.endSegment
      this.flushedPosition = pending.endPosition
      if (pending.isDurable) this.durableOffset = pending.endOffset
      if (pending.isSynced) this.syncedOffset = pending.endOffset
      count++
    }
    if (count > 0) this.#pending.splice(0, count)
    if (this.flushedOffset > before) {
      this.#wake()
      this.events.advanced()
    }
    const failed = this.#pending.findIndex(({ state }) => state === 'failed')
    if (failed >= 0) this.events.failed(failed)
  }

  #wake(): void {
    if (this.#waiters.length === 0) return
    const waiters = this.#waiters
    this.#waiters = waiters.filter(({ endOffset }) => endOffset > this.flushedOffset)
    for (const waiter of waiters) if (waiter.endOffset <= this.flushedOffset) waiter.resolve()
  }
}

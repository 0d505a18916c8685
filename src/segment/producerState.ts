import { EngineError } from '../model/errors.ts'
import { planted } from '../model/planted.ts'
import { type BatchHeader, sequenceAfter } from './recordBatch.ts'

/** Batches remembered per producer: as many as a client may have in flight. Source: KIP-98. */
const rememberedBatches = 5
/** Idle producers that a start keeps, whatever their age: more than write to a partition at a time, and no more memory than 1 MiB a log. */
const mostAtStart = 1000

/** One batch of an idempotent producer, as it was appended. Sequences and offsets are inclusive. */
export interface ProducerBatch {
  readonly baseSequence: number
  readonly lastSequence: number
  readonly baseOffset: number
  readonly lastOffset: number
  readonly timestampMs: number
}

/** What a log knows of one producer. Never changed, only replaced: an append that fails puts the old one back. */
export interface ProducerEntry {
  readonly producerId: number
  readonly epoch: number
  /** Oldest first, at most five, all of `epoch`. */
  readonly batches: readonly ProducerBatch[]
  /** When the last batch or marker came, by the broker's clock (a producer's own times may lie years back). */
  readonly timestampMs: number
  /** Epoch of the transaction coordinator that wrote the last marker, -1 for none. */
  readonly coordinatorEpoch: number
  /** First offset of the open transaction, -1 for none. */
  readonly currentTxnFirstOffset: number
}

/** The idempotent producers of one log: what makes a repeated batch appear once. Source: KIP-98. */
export class ProducerState {
  readonly #entries: Map<number, ProducerEntry>
  /** Since when, by the monotonic clock, `forgetIdle` has found producers as they are. Null until it found one. */
  #found: Map<number, { readonly entry: ProducerEntry; readonly sinceMs: number }> | null = null

  constructor(entries: Iterable<ProducerEntry> = []) {
    this.#entries = new Map()
    for (const entry of entries) this.#entries.set(entry.producerId, entry)
  }

  get count(): number {
    return this.#entries.size
  }

  /** All producers, as they are now. */
  entries(): ProducerEntry[] {
    return [...this.#entries.values()]
  }

  get(producerId: number): ProducerEntry | null {
    return this.#entries.get(producerId) ?? null
  }

  /**
   * The earlier batch that `batch` repeats, or null when it is the next one.
   * Throws `invalidProducerEpoch` for an epoch of the past, `outOfOrderSequenceNumber` for a gap.
   */
  check(batch: BatchHeader): ProducerBatch | null {
    const entry = this.#entries.get(batch.producerId)
    if (entry === undefined) return null
    const { producerId, producerEpoch, baseSequence } = batch
    if (producerEpoch < entry.epoch) {
      throw new EngineError(
        'invalidProducerEpoch',
        `producer ${producerId} writes with epoch ${producerEpoch}, but epoch ${entry.epoch} has begun`,
      )
    }
    if (batch.isControl) return null
    if (producerEpoch > entry.epoch) {
      if (baseSequence !== 0) outOfOrder(batch, 'a new epoch begins at 0')
      return null
    }
    const lastSequence = batch.lastSequence
    for (const known of entry.batches) {
      if (known.baseSequence === baseSequence && known.lastSequence === lastSequence) return known
    }
    const last = entry.batches.at(-1)
    const expected = last === undefined ? 0 : sequenceAfter(last.lastSequence, 1)
    if (baseSequence !== expected && !planted('gapTaken')) outOfOrder(batch, `expected ${expected}`)
    return null
  }

  /**
   * Remembers an appended batch, whose records are as new as `timestampMs` and which came at `wallMs`; returns
   * what was known before, null for nothing.
   */
  append(batch: BatchHeader, baseOffset: number, timestampMs: number, wallMs: number): ProducerEntry | null {
    const { producerId, producerEpoch } = batch
    const before = this.#entries.get(producerId) ?? null
    const same = before !== null && before.epoch === producerEpoch
    let batches = same ? before.batches : []
    if (!batch.isControl) {
      const most = planted('lastBatchKnownAlone') ? 1 : rememberedBatches
      const kept = batches.length < most ? batches : batches.slice(1)
      const lastOffset = baseOffset + batch.lastOffsetDelta
      const { baseSequence, lastSequence } = batch
      batches = [...kept, { baseSequence, lastSequence, baseOffset, lastOffset, timestampMs }]
    }
    this.#entries.set(producerId, {
      producerId,
      epoch: producerEpoch,
      batches,
      timestampMs: wallMs,
      coordinatorEpoch: before?.coordinatorEpoch ?? -1,
      currentTxnFirstOffset: -1,
    })
    return before
  }

  /** Puts back what `append` returned. */
  restore(producerId: number, before: ProducerEntry | null): void {
    if (before === null) this.#entries.delete(producerId)
    else this.#entries.set(producerId, before)
  }

  /** Takes over what `other` knows, in place of what is known here. */
  replace(other: ProducerState): void {
    this.#entries.clear()
    for (const entry of other.entries()) this.#entries.set(entry.producerId, entry)
  }

  /** Takes over what was found in batches that follow those known here. */
  merge(later: Iterable<ProducerEntry>): void {
    for (const entry of later) {
      const before = this.#entries.get(entry.producerId)
      const isSame = before !== undefined && before.epoch === entry.epoch
      const batches = isSame ? [...before.batches, ...entry.batches].slice(-rememberedBatches) : entry.batches
      const coordinatorEpoch = Math.max(entry.coordinatorEpoch, before?.coordinatorEpoch ?? -1)
      this.#entries.set(entry.producerId, { ...entry, batches, coordinatorEpoch })
    }
  }

  /** Adds what `other` knows of batches before those known here, of the same epochs: a snapshot has only the last one of each. */
  addEarlier(other: ProducerState): void {
    for (const entry of this.entries()) {
      const { producerId, epoch, batches } = entry
      const known = other.get(producerId)
      const firstOffset = batches[0]?.baseOffset ?? -1
      if (known === null || known.epoch !== epoch) continue
      const earlier = known.batches.filter(({ lastOffset }) => lastOffset < firstOffset)
      if (earlier.length === 0) continue
      this.#entries.set(producerId, { ...entry, batches: [...earlier, ...batches].slice(-rememberedBatches) })
    }
  }

  /**
   * Forgets producers that have not written for `expirationMs`, counted from the first call that found them idle. By the monotonic clock: a wall
   * clock that jumps would have all of them forgotten, and what they send again stored twice.
   */
  forgetIdle(monotonicMs: number, expirationMs: number): void {
    if (this.#entries.size === 0) {
      this.#found = null
      return
    }
    const before = this.#found
    this.#found = new Map()
    for (const [producerId, entry] of this.#entries) {
      const known = before?.get(producerId)
      const found = known?.entry === entry ? known : { entry, sinceMs: monotonicMs }
      const isIdle = monotonicMs - found.sinceMs >= expirationMs && entry.currentTxnFirstOffset < 0
      if (isIdle) this.#entries.delete(producerId)
      else this.#found.set(producerId, found)
    }
  }

  /**
   * At a start, when nobody knows how long producers have been idle: forgets those that have not written since `wallMs - expirationMs`, but for
   * the latest thousand, since the clock may be wrong.
   */
  forgetOld(wallMs: number, expirationMs: number): void {
    if (this.#entries.size <= mostAtStart) return
    const byAge = this.entries().sort((a, b) => b.timestampMs - a.timestampMs)
    for (const { producerId, timestampMs, currentTxnFirstOffset } of byAge.slice(mostAtStart)) {
      const isOld = wallMs - timestampMs >= expirationMs && currentTxnFirstOffset < 0
      if (isOld) this.#entries.delete(producerId)
    }
  }
}

function outOfOrder(batch: BatchHeader, rule: string): never {
  throw new EngineError(
    'outOfOrderSequenceNumber',
    `producer ${batch.producerId}, epoch ${batch.producerEpoch}, sent sequence ${batch.baseSequence}: ${rule}`,
  )
}

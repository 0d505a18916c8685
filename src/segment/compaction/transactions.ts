import { EngineError } from '../../model/errors.ts'
import { readInt16 } from '../integers.ts'
import { type BatchHeader, batchHeaderBytes } from '../recordBatch.ts'
import { RecordCursor } from './recordCursor.ts'

/** A transaction that was given up: its records count for nobody. Offsets are inclusive. */
export interface AbortedTransaction {
  readonly producerId: number
  readonly firstOffset: number
  /** Offset of the marker. */
  readonly lastOffset: number
}

/** What a control batch says. `other` ends no transaction. */
export type MarkerKind = 'abort' | 'commit' | 'other'

/** What the control batch in `batch` says. Source: Kafka's EndTransactionMarker: key int16 version, int16 type. */
export function markerKind(batch: Uint8Array): MarkerKind {
  const cursor = new RecordCursor(batch)
  cursor.end = batchHeaderBytes
  cursor.next()
  if (cursor.keyEnd - cursor.keyStart < 4) throw new EngineError('invalidRecord', 'a marker without a type')
  const type = readInt16(batch, cursor.keyStart + 2)
  return type === 0 ? 'abort' : type === 1 ? 'commit' : 'other'
}

/** Finds the transactions of a stretch of a log that is read from its first batch to its last. */
export class TransactionFinder {
  readonly aborted: AbortedTransaction[] = []
  /** First offsets of transactions that have not ended, by producer. */
  readonly open = new Map<number, number>()

  /** Takes the next batch. */
  add(header: BatchHeader, batch: Uint8Array): void {
    const { producerId } = header
    if (!header.isControl) {
      if (header.isTransactional && !this.open.has(producerId)) this.open.set(producerId, header.baseOffset)
      return
    }
    if (header.recordsCount === 0) return
    const kind = markerKind(batch)
    const firstOffset = this.open.get(producerId)
    if (kind === 'other' || firstOffset === undefined) return
    this.open.delete(producerId)
    if (kind === 'abort') this.aborted.push({ producerId, firstOffset, lastOffset: header.lastOffset })
  }
}

/** What `TransactionFilter` knows between two groups of segments. */
export interface TransactionProgress {
  /** Not begun yet, ascending by first offset. */
  readonly ahead: readonly AbortedTransaction[]
  /** Begun, and whether a batch of it was seen. */
  readonly aborting: readonly (readonly [producerId: number, seen: boolean])[]
  /** Producers of which a batch of a committed transaction was seen. */
  readonly committing: readonly number[]
}

/**
 * Says of each batch, in order, whether it counts for nobody any more: data of an aborted transaction, or the
 * marker of a transaction without any data. Source: Kafka's log cleaner, KIP-98.
 */
export class TransactionFilter {
  readonly #ahead: AbortedTransaction[]
  readonly #aborting: Map<number, boolean>
  readonly #committing: Set<number>

  constructor(progress: TransactionProgress) {
    this.#ahead = [...progress.ahead]
    this.#aborting = new Map(progress.aborting)
    this.#committing = new Set(progress.committing)
  }

  progress(): TransactionProgress {
    return { ahead: this.#ahead, aborting: [...this.#aborting], committing: [...this.#committing] }
  }

  /** Whether the batch may go. */
  mayGo(header: BatchHeader, batch: Uint8Array): boolean {
    while (this.#ahead.length > 0 && this.#ahead[0]!.firstOffset <= header.lastOffset) {
      this.#aborting.set(this.#ahead.shift()!.producerId, false)
    }
    const { producerId } = header
    if (!header.isControl) {
      if (!header.isTransactional) return false
      if (this.#aborting.has(producerId)) {
        this.#aborting.set(producerId, true)
        return true
      }
      this.#committing.add(producerId)
      return false
    }
    // An empty control batch stands for its producer's last epoch only.
    if (header.recordsCount === 0) return true
    const kind = markerKind(batch)
    if (kind === 'other') return false
    if (kind === 'commit') return !this.#committing.delete(producerId)
    const seen = this.#aborting.get(producerId) ?? false
    this.#aborting.delete(producerId)
    return !seen
  }
}

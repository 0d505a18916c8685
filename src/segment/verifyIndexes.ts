import { decode } from '../protocol/codec.ts'
import { abortedTxn } from '../protocol/files/logFiles.ts'
import type { BadRange } from './badRanges.ts'
import { readInt16, readInt32, readInt64 } from './integers.ts'
import { offsetIndexEntryBytes } from './offsetIndex.ts'
import type { BatchHeader } from './recordBatch.ts'
import { timeIndexEntryBytes } from './timeIndex.ts'
import { type Finding, type FindingKind, fileFinding } from './verifyFindings.ts'

/**
 * An offset index may leave out as many bytes behind its last entry: `index.interval.bytes` is not known here, and a follower of
 * Kafka's adds an entry per fetch, not per batch.
 */
const unindexedBytes = 1 << 20

/** int16 version, then `abortedTxn`. */
const txnIndexEntryBytes = 34

/** An index file and what it belongs to. */
export interface IndexFile {
  readonly path: string
  /** Null when there is none. */
  readonly bytes: Uint8Array | null
  /** Of the segment. */
  readonly baseOffset: number
  /** It is not there, or of an active segment after a crash, and may be older than the batches: nothing is reported. */
  readonly isLenient: boolean
}

/** An index whose entries are compared with the batches while these go by, both in ascending order. */
export interface IndexCheck {
  batch(header: BatchHeader, position: number): void
  /** There is damage before the next batch: what points into it is no second damage. */
  damaged(range: BadRange): void
  /** The segment has ended. */
  end(): void
}

/** Walks the entries of an index file and reports the first that is wrong: one makes the file useless. */
class Entries {
  readonly bytes: Uint8Array
  readonly baseOffset: number
  /** Where the next entry begins. */
  at = 0
  readonly #end: number
  readonly #entryBytes: number
  readonly #kind: FindingKind
  readonly #file: IndexFile
  readonly #add: (finding: Finding) => void
  #isBad = false

  constructor(kind: FindingKind, file: IndexFile, entryBytes: number, add: (finding: Finding) => void) {
    this.bytes = file.bytes ?? new Uint8Array(0)
    this.baseOffset = file.baseOffset
    this.#kind = kind
    this.#file = file
    this.#entryBytes = entryBytes
    this.#add = add
    let last = this.bytes.length
    while (last > 0 && this.bytes[last - 1] === 0) last--
    // Kafka keeps the index of an open segment at its full size, filled up with zeros.
    this.#end = Math.min(Math.ceil(last / entryBytes) * entryBytes, this.bytes.length)
    const rest = this.#end % entryBytes
    if (rest > 0) this.wrong(this.#end - rest, `entries of ${entryBytes} bytes`, `${rest} bytes`)
  }

  get count(): number {
    return Math.floor(this.#end / this.#entryBytes)
  }

  /** Whether an entry is left, and none was wrong so far. */
  get hasNext(): boolean {
    return !this.#isBad && this.at < this.#end
  }

  next(): void {
    this.at += this.#entryBytes
  }

  wrong(position: number, expected: string, found: string): void {
    if (this.#isBad) return
    this.#isBad = true
    if (!this.#file.isLenient) this.#add(fileFinding(this.#kind, this.#file.path, expected, found, position))
  }
}

/** Checks an `.index` file: each entry names the last offset and the position of a batch. */
export class OffsetIndexCheck implements IndexCheck {
  readonly #entries: Entries
  /** Of the last batch, and of the last entry. */
  #batchPosition = 0
  #entryPosition = 0
  #largestGap = unindexedBytes

  constructor(file: IndexFile, add: (finding: Finding) => void) {
    this.#entries = new Entries('offsetIndex', file, offsetIndexEntryBytes, add)
  }

  batch(header: BatchHeader, position: number): void {
    const entries = this.#entries
    this.#batchPosition = position
    while (entries.hasNext && this.#position() <= position) {
      const offset = this.#offset()
      if (this.#position() === position && offset === header.lastOffset) this.#next()
      else {
        const expected = `offset ${header.lastOffset} at position ${position}, or a later batch`
        entries.wrong(entries.at, expected, `offset ${offset} at position ${this.#position()}`)
      }
    }
  }

  damaged({ end }: BadRange): void {
    while (this.#entries.hasNext && this.#position() < end) this.#next()
  }

  /**
   * Nothing in the entries themselves tells whether some are missing at the end: `noted` is how many there were, null where nobody
   * knows. The time index tells nothing either: a clean shutdown adds to it alone.
   */
  end(noted: number | null = null): void {
    const entries = this.#entries
    const unindexed = this.#batchPosition - this.#entryPosition
    if (entries.hasNext) {
      const found = `offset ${this.#offset()} at position ${this.#position()}`
      entries.wrong(entries.at, 'offsets and positions of batches, growing', found)
    } else if (noted !== null && entries.count < noted) {
      const expected = `${noted} entries, as at the clean shutdown`
      entries.wrong(entries.at, expected, `${entries.count} entries`)
    } else if (noted === null && unindexed > this.#largestGap) {
      const expected = `entries up to position ${this.#batchPosition}, no further apart than those before`
      entries.wrong(entries.at, expected, `none behind position ${this.#entryPosition}`)
    }
  }

  #next(): void {
    const position = this.#position()
    this.#largestGap = Math.max(this.#largestGap, position - this.#entryPosition)
    this.#entryPosition = position
    this.#entries.next()
  }

  #offset(): number {
    return this.#entries.baseOffset + readInt32(this.#entries.bytes, this.#entries.at)
  }

  #position(): number {
    return readInt32(this.#entries.bytes, this.#entries.at + 4)
  }
}

/** Checks a `.timeindex` file: each entry names the batch that was the first with the greatest timestamp so far. */
export class TimeIndexCheck implements IndexCheck {
  readonly #entries: Entries
  /** Of the batches so far; infinite when nobody knows any more. */
  #maxTimestampMs = -1
  #lastTimestampMs = -1
  #endOffset: number

  constructor(file: IndexFile, add: (finding: Finding) => void) {
    this.#entries = new Entries('timeIndex', file, timeIndexEntryBytes, add)
    this.#endOffset = file.baseOffset
  }

  batch(header: BatchHeader): void {
    const entries = this.#entries
    this.#maxTimestampMs = Math.max(this.#maxTimestampMs, header.maxTimestampMs)
    this.#endOffset = header.lastOffset + 1
    while (entries.hasNext && this.#offset() <= header.lastOffset) {
      const isNewest =
        this.#timestamp() === this.#maxTimestampMs || this.#maxTimestampMs === Number.POSITIVE_INFINITY
      if (this.#offset() >= header.baseOffset && isNewest) {
        this.#lastTimestampMs = this.#timestamp()
        entries.next()
      } else
        entries.wrong(
          entries.at,
          `timestamp ${this.#maxTimestampMs} at offset ${header.lastOffset}`,
          this.#found(),
        )
    }
  }

  damaged({ nextOffset }: BadRange): void {
    // What was there may have been the newest.
    this.#maxTimestampMs = Number.POSITIVE_INFINITY
    while (this.#entries.hasNext && this.#offset() < nextOffset) this.#entries.next()
  }

  end(): void {
    const entries = this.#entries
    if (entries.hasNext) entries.wrong(entries.at, `offsets below ${this.#endOffset}, growing`, this.#found())
    else if (this.#lastTimestampMs < this.#maxTimestampMs && Number.isFinite(this.#maxTimestampMs)) {
      const expected = `a last entry with timestamp ${this.#maxTimestampMs}`
      entries.wrong(entries.at, expected, entries.count === 0 ? 'no entry' : `${this.#lastTimestampMs}`)
    }
  }

  #found(): string {
    return `timestamp ${this.#timestamp()} at offset ${this.#offset()}`
  }

  #timestamp(): number {
    return readInt64(this.#entries.bytes, this.#entries.at)
  }

  #offset(): number {
    return this.#entries.baseOffset + readInt32(this.#entries.bytes, this.#entries.at + 8)
  }
}

/** Checks a `.txnindex` file: each aborted transaction ends with a marker of its producer. Source: KIP-98. */
export class TxnIndexCheck implements IndexCheck {
  readonly #entries: Entries
  readonly #markers = new Map<number, number>()
  readonly #damaged: [number, number][] = []

  constructor(file: IndexFile, add: (finding: Finding) => void) {
    this.#entries = new Entries('txnIndex', file, txnIndexEntryBytes, add)
  }

  batch(header: BatchHeader): void {
    if (this.#entries.hasNext && header.isControl) this.#markers.set(header.lastOffset, header.producerId)
  }

  damaged({ baseOffset, nextOffset }: BadRange): void {
    this.#damaged.push([baseOffset, nextOffset])
  }

  end(): void {
    const { bytes } = this.#entries
    for (; this.#entries.hasNext; this.#entries.next()) {
      const { at } = this.#entries
      const version = readInt16(bytes, at)
      if (version !== 0) {
        this.#entries.wrong(at, 'version 0', `version ${version}`)
        return
      }
      const entry = decode(abortedTxn, 0, bytes.subarray(at + 2, at + txnIndexEntryBytes))
      const { producerId, firstOffset, lastOffset } = entry
      if (this.#damaged.some(([from, to]) => lastOffset >= from && lastOffset < to)) continue
      if (firstOffset <= lastOffset && this.#markers.get(lastOffset) === producerId) continue
      const found = `producer ${producerId}, offsets ${firstOffset} to ${lastOffset}`
      this.#entries.wrong(at, 'a transaction that ends with a marker of its producer', found)
    }
  }
}

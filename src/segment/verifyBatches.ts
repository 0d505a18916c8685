import type { Checksum } from '../runtime/checksum.ts'
import type { DiskFile } from '../runtime/disk.ts'
import type { BadRange } from './badRanges.ts'
import { extendDigest } from './batchDigest.ts'
import { readInt32, readInt64 } from './integers.ts'
import { checksumInSteps, largeBatchBytes } from './largeBatch.ts'
import { type EpochStart, LeaderEpochs } from './leaderEpochs.ts'
import { BatchHeader, batchHeaderBytes, batchPrefixBytes, checksummedFrom } from './recordBatch.ts'
import { digests } from './sameSegment.ts'

const defaultStepBytes = 2 << 20
/** A segment's offsets are fewer than this. */
const relativeOffsets = 0x8000_0000
const magicAt = 16

/** What is checked, and against what. */
export interface AuditRange {
  readonly file: DiskFile
  readonly baseOffset: number
  readonly sizeBytes: number
  /** Where the next segment begins; null when nobody knows: it is the active one. */
  readonly endOffset: number | null
  /** Compaction was at work: offsets grow, but may leave some out. */
  readonly mayHaveGaps: boolean
  /** Which epoch wrote what, below `epochsEnd`; null when nobody knows. */
  readonly epochs: readonly EpochStart[] | null
  readonly epochsEnd: number
  /** What the log has stored up to `sizeBytes`, where a batch ends; absent when nobody knows. */
  readonly stored?: { readonly sizeBytes: number; readonly digest: number } | null
  /** Bytes read, and checked without a pause, at a time; 2 MiB by default. */
  readonly stepBytes?: number
}

/** Who is told what a walk over a segment finds. */
export interface Auditor {
  /** A batch whose checksum and place are right. */
  batch?(header: BatchHeader, position: number): void
  /** Bytes that are no batch, or not the one that belongs there. Ranges come in ascending order. */
  bad(range: BadRange): void
  /** A batch and its neighbours agree on another epoch than `epochs` has: those are wrong, not the batch. */
  epoch?(header: BatchHeader, known: number): void
  /** Called after every read; the walk goes on when it resolves, and ends when it rejects. */
  read?(bytes: number): void | Promise<void>
}

/** Where a walk ended. */
export interface AuditEnd {
  /** Offset after the last good batch. */
  readonly nextOffset: number
  /** Where the last good batch ends. */
  readonly validBytes: number
  readonly batches: number
  /** Of all good batches: see `extendDigest`. */
  readonly digest: number
  /** Of the first of them. */
  readonly firstDigest: number
}

/**
 * Checks every batch of a segment: length, magic, checksum, an offset and a leader epoch that continue the ones
 * before. Unlike recovery it goes on after damage, with the next batch that is whole, so that each range is as small
 * as can be. Changes nothing; memory is bounded by the largest batch.
 */
export async function auditBatches(
  range: AuditRange,
  checksum: Checksum,
  auditor: Auditor,
): Promise<AuditEnd> {
  const walk = new Walk(range, checksum, auditor)
  await walk.run()
  const { nextOffset, validBytes, batches, digest, firstDigest } = walk
  return { nextOffset, validBytes, batches, digest, firstDigest }
}

class Walk {
  nextOffset: number
  validBytes = 0
  batches = 0
  digest = 0
  firstDigest = -1
  /** The digest where `stored` ends, and the offset there; null while no batch has ended there. */
  #storedEnd: { readonly digest: number; readonly nextOffset: number } | null = null
  #isWhole = true
  readonly #range: AuditRange
  readonly #checksum: Checksum
  readonly #auditor: Auditor
  readonly #epochs: LeaderEpochs | null
  #leaderEpoch = -1
  #buffer: Uint8Array
  /** File position of the buffer's first byte, and how many bytes of it are filled. */
  #start = 0
  #filled = 0
  /** Where a large batch begins whose checksum is wrong. */
  #brokenAt = -1
  /** Where bytes begin that are not understood, and why; null while all is well. */
  #lost: { position: number; expected: string; found: string } | null = null
  /** Offset after what is lost, as far as damaged headers tell. */
  #lostUntil = 0

  constructor(range: AuditRange, checksum: Checksum, auditor: Auditor) {
    this.#range = range
    this.#checksum = checksum
    this.#auditor = auditor
    this.#epochs = range.epochs === null ? null : new LeaderEpochs(range.epochs)
    this.nextOffset = range.baseOffset
    const stepBytes = range.stepBytes ?? defaultStepBytes
    this.#buffer = new Uint8Array(Math.min(stepBytes, Math.max(range.sizeBytes, batchHeaderBytes)))
  }

  async run(): Promise<void> {
    const end = this.#range.sizeBytes
    let position = 0
    while (position < end) {
      const size = this.#batchAt(position)
      if (size === needsBytes) {
        if (await this.#load(position)) continue
        this.#lose(position, 'a batch', 'a file that became shorter')
        break
      }
      if (size > 0) {
        const header = new BatchHeader(this.#buffer, position - this.#start)
        const wrong = await this.#misplaced(header, position)
        // `#misplaced` may have moved the buffer on; nothing below looks into it.
        if (wrong === null) this.#accept(header, position)
        else this.#lose(position, wrong.expected, wrong.found)
        if (wrong !== null) this.#guessEnd(header)
        if (wrong === null || (await this.#isBatch(position + size))) {
          position += size
          continue
        }
      } else if (this.#has(position, batchHeaderBytes)) {
        this.#guessEnd(new BatchHeader(this.#buffer, position - this.#start))
      }
      position = await this.#resync(position)
    }
    if (this.#lost !== null) this.#report(end, this.#range.endOffset ?? this.#lostUntil)
    this.#compare()
  }

  /** Good batches may yet be others than were stored: those of another file. */
  #compare(): void {
    const { stored = null, file, baseOffset } = this.#range
    // Of nothing there is nothing to compare: no batch ends where it ends.
    if (stored === null || stored.sizeBytes === 0 || stored.digest < 0) return
    if (!this.#isWhole || this.validBytes < stored.sizeBytes) return
    const { digest, nextOffset } = this.#storedEnd ?? { digest: this.digest, nextOffset: this.nextOffset }
    if (this.#storedEnd !== null && digest === stored.digest) return
    const [expected, found] = digests(stored.digest, digest)
    const range = { file: file.path, position: 0, end: stored.sizeBytes, baseOffset, nextOffset }
    this.#auditor.bad({ ...range, expected, found })
  }

  /** Bytes of the whole batch at `position`, `needsBytes` when they are not in memory, 0 after having noted what is wrong. */
  #batchAt(position: number): number {
    const at = position - this.#start
    const known = this.#filled - at
    const left = this.#range.sizeBytes - position
    if (left < batchHeaderBytes) {
      this.#lose(position, `${batchHeaderBytes} bytes of a batch header`, `the end of the file after ${left}`)
      return 0
    }
    if (at < 0 || known < batchHeaderBytes) return needsBytes
    const size = readInt32(this.#buffer, at + 8) + batchPrefixBytes
    const magic = this.#buffer[at + magicAt]
    if (size < batchHeaderBytes || magic !== 2) {
      const isZero = this.#buffer.subarray(at, at + batchHeaderBytes).every((byte) => byte === 0)
      this.#lose(position, 'a batch of magic 2', isZero ? 'zeros' : `length ${size}, magic ${magic}`)
      return 0
    }
    if (size > left) {
      this.#lose(position, `${size} bytes of a batch`, `the end of the file after ${left}`)
      return 0
    }
    if (position === this.#brokenAt) {
      this.#lose(position, `checksum ${new BatchHeader(this.#buffer, at).crc}`, 'another')
      return 0
    }
    if (known < size) return needsBytes
    const found = this.#checksum.crc32c(this.#buffer.subarray(at + checksummedFrom, at + size))
    const expected = (readInt32(this.#buffer, at + 17) >>> 0) as number
    if (found === expected) return size
    this.#lose(position, `checksum ${expected}`, `checksum ${found}`)
    return 0
  }

  /** What is wrong with the fields that no checksum covers; null when nothing is. */
  async #misplaced(
    header: BatchHeader,
    position: number,
  ): Promise<{ expected: string; found: string } | null> {
    const { baseOffset, lastOffset, sizeBytes } = header
    if (header.lastOffsetDelta < 0 || header.recordsCount < 0) {
      return { expected: 'counts of 0 or more', found: `${header.recordsCount} records` }
    }
    const limit = this.#range.endOffset ?? this.#range.baseOffset + relativeOffsets
    const found = `offset ${baseOffset}`
    if (baseOffset < this.nextOffset || lastOffset >= limit || !Number.isSafeInteger(baseOffset)) {
      return { expected: `offset ${this.nextOffset}`, found }
    }
    if (baseOffset > this.nextOffset && !this.#range.mayHaveGaps && this.#lost === null) {
      // Either this offset is wrong, or what should stand before it is missing: the next batch tells.
      const following = await this.#peek(position + sizeBytes)
      const followingOffset = following?.baseOffset ?? this.#range.endOffset
      if (followingOffset !== lastOffset + 1) return { expected: `offset ${this.nextOffset}`, found }
      this.#lose(position, `offset ${this.nextOffset}`, found)
    }
    return this.#wrongEpoch(header, position)
  }

  /** No checksum covers the epoch, but epochs never go back, and the checkpoint knows where each began. */
  async #wrongEpoch(
    header: BatchHeader,
    position: number,
  ): Promise<{ expected: string; found: string } | null> {
    const { baseOffset, partitionLeaderEpoch: epoch } = header
    const found = `leader epoch ${epoch}`
    const before = this.#leaderEpoch
    if (epoch < before) return { expected: `a leader epoch from ${before}`, found }
    const known = baseOffset < this.#range.epochsEnd ? (this.#epochs?.epochFor(baseOffset) ?? -1) : -1
    const isKnown = known < 0 || known === epoch
    // Where it is what the checkpoint has, what follows is wrong if anything is.
    if (isKnown && (epoch === before || known === epoch)) return null
    const next = (await this.#peek(position + header.sizeBytes))?.partitionLeaderEpoch ?? -1
    if (next >= 0 && next >= before && next < epoch)
      return { expected: `a leader epoch up to ${next}`, found }
    if (isKnown) return null
    if (epoch !== before && next !== epoch) return { expected: `leader epoch ${known}`, found }
    this.#auditor.epoch?.(header, known)
    return null
  }

  #accept(header: BatchHeader, position: number): void {
    if (this.#lost !== null) this.#report(position, header.baseOffset)
    this.#leaderEpoch = header.partitionLeaderEpoch
    this.nextOffset = header.lastOffset + 1
    this.validBytes = position + header.sizeBytes
    this.batches += 1
    const { baseOffset, sizeBytes, partitionLeaderEpoch, crc } = header
    this.digest = extendDigest(this.digest, baseOffset, sizeBytes, partitionLeaderEpoch, crc)
    if (position === 0) this.firstDigest = this.digest
    if (this.validBytes === this.#range.stored?.sizeBytes) {
      this.#storedEnd = { digest: this.digest, nextOffset: this.nextOffset }
    }
    this.#auditor.batch?.(header, position)
  }

  /** What a damaged batch says of its last offset may be right, and is all there is at the end of a log. */
  #guessEnd({ baseOffset, lastOffset, lastOffsetDelta }: BatchHeader): void {
    const isNext = baseOffset === Math.max(this.#lostUntil, this.nextOffset)
    if (isNext && lastOffsetDelta >= 0) this.#lostUntil = lastOffset + 1
  }

  #lose(position: number, expected: string, found: string): void {
    this.#lost ??= { position, expected, found }
  }

  #report(end: number, nextOffset: number): void {
    const { position, expected, found } = this.#lost!
    this.#isWhole = false
    this.#lost = null
    this.#lostUntil = 0
    const { path } = this.#range.file
    this.#auditor.bad({
      file: path,
      position,
      end,
      baseOffset: this.nextOffset,
      nextOffset: Math.max(nextOffset, this.nextOffset),
      expected,
      found,
    })
  }

  /** The batch header at `position`, unchecked; null when there is none. */
  async #peek(position: number): Promise<BatchHeader | null> {
    if (position + batchHeaderBytes > this.#range.sizeBytes) return null
    if (!this.#has(position, batchHeaderBytes) && !(await this.#load(position, batchHeaderBytes))) return null
    const header = new BatchHeader(this.#buffer, position - this.#start)
    return header.magic === 2 ? header : null
  }

  /** Where to go on after the damage at `position`: at the next whole batch, or at the end. */
  async #resync(position: number): Promise<number> {
    const end = this.#range.sizeBytes
    // The length is most often right: then the next batch stands where it says.
    if (this.#has(position, batchHeaderBytes) || (await this.#load(position, batchHeaderBytes))) {
      const size = readInt32(this.#buffer, position - this.#start + 8) + batchPrefixBytes
      if (size >= batchHeaderBytes && position + size <= end && (await this.#isBatch(position + size))) {
        return position + size
      }
    }
    for (let at = position + 1; at + batchHeaderBytes <= end; at++) {
      if (!this.#has(at, batchHeaderBytes) && !(await this.#load(at, batchHeaderBytes))) return end
      const stop = this.#filled - batchHeaderBytes + magicAt
      const magic = this.#buffer.subarray(0, stop + 1).indexOf(2, at - this.#start + magicAt)
      if (magic < 0) {
        at = this.#start + stop - magicAt
        continue
      }
      at = this.#start + magic - magicAt
      if (this.#isPlausible(at) && (await this.#isBatch(at))) return at
    }
    return end
  }

  /** Whether the header at `at` says something that could be true here. */
  #isPlausible(at: number): boolean {
    const from = at - this.#start
    const offset = readInt64(this.#buffer, from)
    const limit = this.#range.endOffset ?? this.#range.baseOffset + relativeOffsets
    if (offset < this.nextOffset || offset >= limit) return false
    const size = readInt32(this.#buffer, from + 8) + batchPrefixBytes
    return size >= batchHeaderBytes && at + size <= this.#range.sizeBytes
  }

  /** Whether a whole batch with a true checksum, or the end of the file, is at `position`. */
  async #isBatch(position: number): Promise<boolean> {
    if (position === this.#range.sizeBytes) return true
    const before = this.#lost
    let size = this.#batchAt(position)
    if (size === needsBytes && (await this.#load(position))) size = this.#batchAt(position)
    this.#lost = before
    return size > 0 && this.#isPlausible(position)
  }

  /** Whether the large batch whose header is in memory has a true checksum. */
  async #isTrue(position: number, sizeBytes: number): Promise<boolean> {
    const { crc } = new BatchHeader(this.#buffer, position - this.#start)
    const { file } = this.#range
    const read = (bytes: number): void | Promise<void> => this.#auditor.read?.(bytes)
    return (await checksumInSteps(file, position, sizeBytes, this.#checksum, read)) === crc
  }

  #has(position: number, bytes: number): boolean {
    return position >= this.#start && position + bytes <= this.#start + this.#filled
  }

  /** Reads on so that the whole batch at `position`, or `bytes`, are in memory; false when the file ends before. */
  async #load(position: number, bytes = 0): Promise<boolean> {
    const { file, sizeBytes } = this.#range
    let needed = bytes
    if (needed === 0) {
      if (!this.#has(position, batchHeaderBytes) && !(await this.#load(position, batchHeaderBytes)))
        return false
      needed = readInt32(this.#buffer, position - this.#start + 8) + batchPrefixBytes
      if (needed < batchHeaderBytes || needed > sizeBytes - position) return true
      if (this.#has(position, needed)) return true
      if (needed > largeBatchBytes && !(await this.#isTrue(position, needed))) {
        this.#brokenAt = position
        return true
      }
    }
    const kept = this.#has(position, 0) ? this.#start + this.#filled - position : 0
    const at = position - this.#start
    if (needed > this.#buffer.length) {
      const grown = new Uint8Array(needed)
      if (kept > 0) grown.set(this.#buffer.subarray(at, at + kept))
      this.#buffer = grown
    } else if (kept > 0) this.#buffer.copyWithin(0, at, at + kept)
    this.#start = position
    this.#filled = kept
    const wanted = Math.min(this.#buffer.length, sizeBytes - position)
    const read = await file.read(this.#buffer.subarray(kept, wanted), position + kept)
    this.#filled += read
    await this.#auditor.read?.(read)
    return this.#filled >= Math.min(needed, wanted) && this.#filled >= Math.min(batchHeaderBytes, wanted)
  }
}

/** `#batchAt`: the batch is not in memory. */
const needsBytes = -1

import type { Checksum } from '../../runtime/checksum.ts'
import type { Disk, DiskFile } from '../../runtime/disk.ts'
import { type SegmentFileKind, segmentFileName } from '../fileNames.ts'
import { readInt32, readInt64, writeInt16, writeInt32, writeInt64 } from '../integers.ts'
import {
  type BatchHeader,
  batchHeaderBytes,
  batchPrefixBytes,
  readCrc,
  updateChecksum,
} from '../recordBatch.ts'
import { Segment } from '../segment.ts'
import { writeWholeFile } from '../segmentIndexes.ts'

/** Bytes that are gathered before they are written. */
const stepBytes = 1 << 20
const largestDelta = 0x7fff_ffff

/** Writes the segment that takes the place of others: `.cleaned` files, complete and synced once `finish` resolves. */
export class CleanedSegment {
  readonly #disk: Disk
  readonly #checksum: Checksum
  readonly #directory: string
  readonly #indexIntervalBytes: number
  readonly #segment: Segment
  readonly #file: DiskFile
  #parts: Uint8Array[] = []
  #partBytes = 0
  #written = 0
  #writing: Promise<void> | null = null
  /** Offsets of batches that are gone, since the last one that stays. */
  #hole: { baseOffset: number; lastOffset: number; leaderEpoch: number } | null = null

  constructor(
    disk: Disk,
    checksum: Checksum,
    directory: string,
    baseOffset: number,
    indexIntervalBytes: number,
  ) {
    this.#disk = disk
    this.#checksum = checksum
    this.#directory = directory
    this.#indexIntervalBytes = indexIntervalBytes
    this.#file = disk.file(this.#path(baseOffset, 'log'))
    this.#segment = new Segment(baseOffset, this.#file, 0, 0, true)
  }

  get sizeBytes(): number {
    return this.#segment.sizeBytes
  }

  /** Of all batches, and of the first; see `Segment`. */
  get digests(): { readonly digest: number; readonly firstDigest: number } {
    const { digest, firstDigest } = this.#segment
    return { digest, firstDigest }
  }

  get maxTimestampMs(): number {
    return this.#segment.maxTimestampMs
  }

  /** Removes what an earlier attempt left. */
  async begin(): Promise<void> {
    for (const kind of ['log', 'index', 'timeindex', 'txnindex'] as const) {
      await this.#disk.remove(this.#path(this.#segment.baseOffset, kind))
    }
    // There also when every batch goes and nothing is written.
    await this.#disk.submit([{ file: this.#file, position: 0, parts: [], sync: 'none' }])
  }

  /** Adds a batch; `bytes` are copied when they are `shared` with the reader. Resolves when there is room for more. */
  add(header: BatchHeader, bytes: Uint8Array, maxTimestampMs: number, shared: boolean): Promise<void> | void {
    this.#fillHole()
    this.#put(shared ? bytes.slice() : bytes, header.lastOffset, maxTimestampMs)
    if (this.#partBytes >= stepBytes) return this.#write()
  }

  /**
   * Leaves a batch out. Its offsets are kept by a batch without records, one for all neighbours of one epoch: offsets
   * continue from batch to batch, so that a base offset, which no checksum covers, can be told from a wrong one.
   */
  skip(header: BatchHeader): void {
    const { baseOffset, lastOffset, partitionLeaderEpoch } = header
    const hole = this.#hole
    if (
      hole !== null &&
      hole.leaderEpoch === partitionLeaderEpoch &&
      lastOffset - hole.baseOffset <= largestDelta
    ) {
      hole.lastOffset = lastOffset
      return
    }
    this.#fillHole()
    this.#hole = { baseOffset, lastOffset, leaderEpoch: partitionLeaderEpoch }
  }

  /** Writes the rest and the indexes (`transactionIndex`: null for none), and syncs everything. */
  async finish(transactionIndex: Uint8Array | null): Promise<void> {
    this.#fillHole()
    await this.#write()
    await this.#writing
    await this.#file.sync()
    await this.#file.close()
    this.#segment.completeTimeIndex()
    const { baseOffset, offsetIndex, timeIndex } = this.#segment
    await writeWholeFile(this.#disk, this.#path(baseOffset, 'index'), offsetIndex!.encode(), 'data')
    await writeWholeFile(this.#disk, this.#path(baseOffset, 'timeindex'), timeIndex!.encode(), 'data')
    if (transactionIndex === null) return
    await writeWholeFile(this.#disk, this.#path(baseOffset, 'txnindex'), transactionIndex, 'data')
  }

  /** Removes what was written. */
  async discard(): Promise<void> {
    await this.#writing?.catch(() => {})
    for (const kind of ['log', 'index', 'timeindex', 'txnindex'] as const) {
      await this.#disk.remove(this.#path(this.#segment.baseOffset, kind))
    }
  }

  #path(baseOffset: number, kind: SegmentFileKind): string {
    return `${this.#directory}/${segmentFileName(baseOffset, kind)}.cleaned`
  }

  #fillHole(): void {
    const hole = this.#hole
    if (hole === null) return
    this.#hole = null
    this.#put(emptyBatch(hole, this.#checksum), hole.lastOffset, -1)
  }

  #put(bytes: Uint8Array, lastOffset: number, maxTimestampMs: number): void {
    this.#segment.digestNext(readInt64(bytes, 0), bytes.length, readInt32(bytes, 12), readCrc(bytes))
    this.#segment.add(lastOffset, maxTimestampMs, bytes.length, this.#indexIntervalBytes)
    this.#parts.push(bytes)
    this.#partBytes += bytes.length
  }

  /** Writes what has been gathered, while the next is gathered; waits for the write before. */
  async #write(): Promise<void> {
    if (this.#partBytes === 0) return
    const write = { file: this.#file, position: this.#written, parts: this.#parts, sync: 'none' as const }
    this.#written += this.#partBytes
    this.#parts = []
    this.#partBytes = 0
    await this.#writing
    this.#writing = this.#disk.submit([write])
    // Whoever waits for it next is told.
    this.#writing.catch(() => {})
  }
}

/** A batch without records that stands for offsets whose records are gone. */
function emptyBatch(
  hole: { readonly baseOffset: number; readonly lastOffset: number; readonly leaderEpoch: number },
  checksum: Checksum,
): Uint8Array {
  const bytes = new Uint8Array(batchHeaderBytes)
  writeInt64(bytes, 0, hole.baseOffset)
  writeInt32(bytes, 8, batchHeaderBytes - batchPrefixBytes)
  writeInt32(bytes, 12, hole.leaderEpoch)
  bytes[16] = 2
  writeInt32(bytes, 23, hole.lastOffset - hole.baseOffset)
  // Base and greatest timestamp, producer id, epoch, base sequence: none.
  for (const at of [27, 35, 43]) writeInt64(bytes, at, -1)
  writeInt16(bytes, 51, -1)
  writeInt32(bytes, 53, -1)
  updateChecksum(bytes, checksum)
  return bytes
}

import { CorruptionError } from '../model/errors.ts'
import type { Checksum } from '../runtime/checksum.ts'
import type { DiskFile } from '../runtime/disk.ts'
import { readInt32 } from './integers.ts'
import { checksumInSteps, largeBatchBytes } from './largeBatch.ts'
import { BatchHeader, batchHeaderBytes, batchPrefixBytes, checksummedFrom } from './recordBatch.ts'

const verifyStepBytes = 1 << 20
const headerStepBytes = 8192

/** Where a scan met bytes that are not the next batch. */
export interface Damage {
  /** Bytes from the start of the file. */
  readonly position: number
  readonly expected: string
  readonly found: string
  /** The batch is whole but for its leader epoch, or that of the one before, which no checksum covers: no torn write leaves that. */
  readonly isOfEpoch?: boolean
}

/** How a scan ended. */
export interface ScanEnd {
  /** End of the last good batch: bytes from the start of the file. */
  readonly validBytes: number
  /** Offset after the last good batch. */
  readonly nextOffset: number
  /** Why the scan ended before the end of the file; null when it did not. */
  readonly damage: Damage | null
}

/** Where a scan begins, and how far the file goes. */
export interface ScanRange {
  readonly file: DiskFile
  /** A batch begins here: bytes from the start of the file. */
  readonly position: number
  /** Exclusive end: bytes from the start of the file. */
  readonly end: number
  /** The base offset that the first batch must have. */
  readonly offset: number
  /** The leader epoch of what lies before, below which no batch may go; -1, as when it is absent: not known. */
  readonly leaderEpoch?: number
}

/**
 * Reads batches one after the other and checks each in full: length, magic, checksum, counts, an offset that
 * continues the one before, a leader epoch that does not go back. Calls `visit` for each good one, and waits for what it
 * returns; `batch` is only valid until then.
 */
export async function verifyBatches(
  range: ScanRange,
  checksum: Checksum,
  visit: (header: BatchHeader, position: number, batch: Uint8Array) => void | Promise<void>,
): Promise<ScanEnd> {
  const { file, end } = range
  let buffer = new Uint8Array(Math.min(verifyStepBytes, Math.max(end - range.position, batchHeaderBytes)))
  /** File position of the buffer's first byte, and how many bytes of it are filled. */
  let start = range.position
  let filled = 0
  let position = range.position
  let nextOffset = range.offset
  let { leaderEpoch = -1 } = range
  const stop = (expected: string, found: string): ScanEnd => {
    return { validBytes: position, nextOffset, damage: { position, expected, found } }
  }
  while (position < end) {
    let at = position - start
    const known = filled - at
    let needed = batchHeaderBytes
    if (known >= batchHeaderBytes) needed = readInt32(buffer, at + 8) + batchPrefixBytes
    if (needed < batchHeaderBytes) return stop('a batch', `a batch length of ${needed - batchPrefixBytes}`)
    if (needed > end - position) {
      return stop(`${needed} bytes of a batch`, `the end of the file after ${end - position}`)
    }
    if (known < needed) {
      if (needed > largeBatchBytes && known >= batchHeaderBytes) {
        const { crc } = new BatchHeader(buffer, at)
        const found = await checksumInSteps(file, position, needed, checksum)
        if (found !== crc) return stop(`checksum ${crc}`, `checksum ${found}`)
      }
      if (needed > buffer.length) {
        const grown = new Uint8Array(needed)
        grown.set(buffer.subarray(at, filled))
        buffer = grown
      } else {
        buffer.copyWithin(0, at, filled)
      }
      start = position
      filled = known
      at = 0
      const wanted = Math.min(buffer.length, end - start)
      const read = await file.read(buffer.subarray(filled, wanted), start + filled)
      if (read < Math.min(needed, wanted) - filled) return stop('a batch', 'a file that became shorter')
      filled += read
      continue
    }
    const batch = buffer.subarray(at, at + needed)
    const header = new BatchHeader(batch, 0)
    if (header.magic !== 2) return stop('a batch of magic 2', `magic ${header.magic}`)
    const crc = checksum.crc32c(batch.subarray(checksummedFrom))
    if (crc !== header.crc) return stop(`checksum ${header.crc}`, `checksum ${crc}`)
    if (header.baseOffset !== nextOffset) return stop(`offset ${nextOffset}`, `offset ${header.baseOffset}`)
    if (header.lastOffsetDelta < 0 || header.recordsCount < 0) return stop('a count', 'a negative count')
    if (header.partitionLeaderEpoch < leaderEpoch) {
      const { partitionLeaderEpoch: found } = header
      const { damage, ...end } = stop(`a leader epoch from ${leaderEpoch}`, `leader epoch ${found}`)
      return { ...end, damage: { ...damage!, isOfEpoch: true } }
    }
    leaderEpoch = header.partitionLeaderEpoch
    const visited = visit(header, position, batch)
    if (visited !== undefined) await visited
    nextOffset = header.lastOffset + 1
    position += needed
  }
  return { validBytes: position, nextOffset, damage: null }
}

/**
 * Walks batch headers from `position` (where a batch begins) to `end` and calls `visit` for each until it
 * returns false. Reads the file in small steps and skips the records.
 * Throws `CorruptionError` where no header can be.
 */
export async function walkHeaders(
  file: DiskFile,
  position: number,
  end: number,
  visit: (header: BatchHeader, position: number) => boolean,
): Promise<void> {
  const buffer = new Uint8Array(Math.min(headerStepBytes, Math.max(end - position, 0)))
  let start = position
  let filled = 0
  let nextOffset = 0
  while (position < end) {
    let at = position - start
    if (at + batchHeaderBytes > filled) {
      start = position
      at = 0
      filled = await file.read(buffer.subarray(0, Math.min(buffer.length, end - position)), position)
      if (filled < batchHeaderBytes) damaged(file, position, 'a batch header', `${filled} bytes`)
    }
    const header = new BatchHeader(buffer, at)
    if (header.magic !== 2) damaged(file, position, 'a batch of magic 2', `magic ${header.magic}`)
    const { sizeBytes } = header
    if (sizeBytes < batchHeaderBytes || sizeBytes > end - position) {
      damaged(file, position, `a batch of at most ${end - position} bytes`, `a batch of ${sizeBytes}`)
    }
    const { baseOffset, lastOffset } = header
    if (baseOffset < nextOffset || lastOffset < baseOffset || !Number.isSafeInteger(lastOffset)) {
      damaged(file, position, `offsets from ${nextOffset} on`, `offsets ${baseOffset} to ${lastOffset}`)
    }
    // Only compaction leaves batches without records, and of those a header: readers pass over them.
    if (header.recordsCount === 0 && sizeBytes > batchHeaderBytes) {
      damaged(file, position, 'records or a header alone', `no records in a batch of ${sizeBytes} bytes`)
    }
    nextOffset = lastOffset + 1
    if (!visit(header, position)) return
    position += sizeBytes
  }
}

function damaged(file: DiskFile, position: number, expected: string, found: string): never {
  throw new CorruptionError({ file: file.path, position, expected, found })
}

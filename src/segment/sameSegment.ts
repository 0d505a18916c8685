import { CorruptionError } from '../model/errors.ts'
import type { Checksum } from '../runtime/checksum.ts'
import type { DiskFile } from '../runtime/disk.ts'
import { digestedBytes, extendDigest, extendDigestWith, unknownDigest } from './batchDigest.ts'
import { walkHeaders } from './batchScan.ts'
import type { ClosedLog, ClosedPlace } from './closedLog.ts'
import { readInt32, readInt64 } from './integers.ts'
import { checksumInSteps } from './largeBatch.ts'
import { type BatchHeader, batchHeaderBytes, batchPrefixBytes, readCrc } from './recordBatch.ts'
import type { Replacement, Segment } from './segment.ts'

/** A file that holds the batches of another log: nothing in it can be trusted, however whole it is. */
export class OtherSegmentError extends CorruptionError {}

/**
 * Throws `OtherSegmentError` or, for what is missing, `CorruptionError` unless the file of the active segment, of `sizeBytes`, begins as `closed` has noted: another log's
 * file has good batches, too, and perhaps the same offsets. Reads the first batch's header and those behind the last index
 * entry: what noted sizes, times and ends differ in is found, all else would take a checksum of everything.
 */
export async function checkSameSegment(file: DiskFile, sizeBytes: number, closed: ClosedLog): Promise<void> {
  const { active, logEndOffset } = closed
  const differs = (position: number, expected: string, found: string): never => {
    throw new OtherSegmentError({ file: file.path, position, expected, found })
  }
  if (active.sizeBytes === 0) return
  const checkTime = ({ lastOffset, maxTimestampMs }: BatchHeader, position: number): void => {
    const isFirst = position === 0 && active.firstTimestampMs !== maxTimestampMs
    const isGreatest = lastOffset === active.offsetOfMaxTimestamp && active.maxTimestampMs !== maxTimestampMs
    if (!isFirst && !isGreatest && maxTimestampMs <= active.maxTimestampMs) return
    const noted = isFirst ? active.firstTimestampMs : active.maxTimestampMs
    differs(position, `a batch of this log, with the time ${noted}`, `one with the time ${maxTimestampMs}`)
  }
  await walkHeaders(file, 0, sizeBytes, (header, position) => {
    checkTime(header, position)
    const { baseOffset, sizeBytes: batchBytes, partitionLeaderEpoch, crc } = header
    const digest = extendDigest(0, baseOffset, batchBytes, partitionLeaderEpoch, crc)
    const { firstDigest = -1 } = active
    if (firstDigest >= 0 && digest !== firstDigest) differs(0, ...digests(firstDigest, digest))
    return false
  })
  // Only of a file of this log: what is there of it may stay.
  if (sizeBytes < active.sizeBytes) {
    const [expected, found] = [`${active.sizeBytes} bytes that were synced`, `a file of ${sizeBytes} bytes`]
    throw new CorruptionError({ file: file.path, position: sizeBytes, expected, found })
  }
  let endOffset = -1
  await walkHeaders(file, active.offsets.lastPosition, active.sizeBytes, (header, position) => {
    checkTime(header, position)
    endOffset = header.lastOffset + 1
    return true
  })
  if (endOffset === logEndOffset) return
  differs(
    active.sizeBytes,
    `the end of a batch before offset ${logEndOffset}`,
    `one before offset ${endOffset}`,
  )
}

/**
 * Throws `OtherSegmentError` when the file of a segment begins with a good batch other than this log has stored there, where that is
 * known. Of one that is no good batch its readers tell; what differs behind it takes a checksum of everything.
 */
export async function checkFirstBatch(segment: Segment, checksum: Checksum): Promise<void> {
  const { file, baseOffset, sizeBytes, firstDigest } = segment
  if (firstDigest < 0) return
  const head = new Uint8Array(digestedBytes)
  if ((await file.read(head, 0)) < digestedBytes) return
  const digest = extendDigestWith(0, head)
  if (digest === firstDigest) return
  const batchBytes = readInt32(head, 8) + batchPrefixBytes
  if (readInt64(head, 0) !== baseOffset || batchBytes < batchHeaderBytes || batchBytes > sizeBytes) return
  if ((await checksumInSteps(file, 0, batchBytes, checksum)) !== readCrc(head)) return
  const [expected, found] = digests(firstDigest, digest)
  throw new OtherSegmentError({ file: file.path, position: 0, expected, found })
}

/** What a file holds that is at a place, or took it: by its size, and where that does not tell, by its batches. */
export async function heldAt(
  file: DiskFile,
  sizeBytes: number,
  place: ClosedPlace,
): Promise<Omit<Replacement, 'sizeBytes'>> {
  const [, oldBytes, digest = unknownDigest, firstDigest = unknownDigest, ...rest] = place
  const [newBytes = -1, newDigest = unknownDigest, newFirst = unknownDigest, newEnd = -1] = rest
  const before = { digest, firstDigest, endOffset: -1 }
  const after = { digest: newDigest, firstDigest: newFirst, endOffset: newEnd }
  if (sizeBytes !== newBytes) return before
  if (sizeBytes !== oldBytes) return after
  try {
    return (await digestsOf(file, sizeBytes)).digest === newDigest ? after : before
  } catch (error) {
    if (error instanceof CorruptionError) return before
    throw error
  }
}

/** Whether a file whose batches are all good holds others than its log has stored there, up to `sizeBytes`. */
export async function isExchanged(file: DiskFile, sizeBytes: number, digest: number): Promise<boolean> {
  return digest >= 0 && (await digestsOf(file, sizeBytes)).digest !== digest
}

/** The digests of the first `sizeBytes` of a file, all of them good batches, and of the first of them. */
export async function digestsOf(
  file: DiskFile,
  sizeBytes: number,
): Promise<{ readonly digest: number; readonly firstDigest: number }> {
  let digest = 0
  let firstDigest = -1
  await walkHeaders(file, 0, sizeBytes, (header, position) => {
    const { baseOffset, partitionLeaderEpoch, crc } = header
    digest = extendDigest(digest, baseOffset, header.sizeBytes, partitionLeaderEpoch, crc)
    if (position === 0) firstDigest = digest
    return true
  })
  return { digest, firstDigest }
}

/** What an error says of a digest and the one that was found in its place. */
export function digests(expected: number, found: number): [expected: string, found: string] {
  return [`the batches that were stored here, of digest ${hex(expected)}`, `others, of digest ${hex(found)}`]
}

function hex(digest: number): string {
  return digest.toString(16).padStart(8, '0')
}

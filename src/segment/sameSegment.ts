import { CorruptionError } from '../model/errors.ts'
import type { DiskFile } from '../runtime/disk.ts'
import { walkHeaders } from './batchScan.ts'
import type { ClosedLog } from './closedLog.ts'
import type { BatchHeader } from './recordBatch.ts'

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

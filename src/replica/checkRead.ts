import { describeFault } from '../model/batchFault.ts'
import { CorruptionError } from '../model/errors.ts'
import type { FileRange } from '../model/fileRange.ts'
import type { Checksum } from '../runtime/checksum.ts'
import type { Log } from '../segment/log.ts'
import { BatchHeader } from '../segment/recordBatch.ts'

/**
 * How many of `bytes`, read from a range of `log` for `fromOffset`, are whole batches that follow each other. Throws
 * `CorruptionError` when there is none.
 */
export function checkRead(
  checksum: Checksum,
  log: Log,
  bytes: Uint8Array,
  { file, position, bounds }: FileRange,
  fromOffset: number,
): number {
  const { validBytes, fault } = checksum.checkBatches(bytes, bounds)
  if (validBytes > 0) {
    const { baseOffset } = new BatchHeader(bytes, 0)
    if (baseOffset <= fromOffset || log.cleanedOffset > fromOffset) return validBytes
  }
  const wrong = describeFault(fault ?? { kind: 'cut', expected: bytes.length, found: 0 })
  throw new CorruptionError({ file: file.path, position, ...wrong })
}

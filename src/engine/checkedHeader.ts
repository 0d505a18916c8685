import type { Checksum } from '../runtime/checksum.ts'
import { BatchHeader, batchHeaderBytes, checksummedFrom } from '../segment/recordBatch.ts'

/**
 * The header of the batch at `at` of `chunk`, once the batch has been found as it was written. `damaged` is told what is wrong
 * with it, and throws.
 */
export function checkedHeader(
  chunk: Uint8Array,
  at: number,
  checksum: Checksum,
  damaged: (expected: string, found: string) => never,
): BatchHeader {
  const left = chunk.length - at
  if (left < batchHeaderBytes) damaged('a whole batch', `${left} bytes`)
  const header = new BatchHeader(chunk, at)
  if (header.sizeBytes < batchHeaderBytes || header.sizeBytes > left) {
    damaged(`a batch of at most ${left} bytes`, `one of ${header.sizeBytes}`)
  }
  const crc = checksum.crc32c(chunk.subarray(at + checksummedFrom, at + header.sizeBytes))
  if (crc !== header.crc) damaged(`checksum ${header.crc}`, `${crc}`)
  return header
}

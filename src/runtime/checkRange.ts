import { type BatchFault, describeFault } from '../model/batchFault.ts'
import { CorruptionError } from '../model/errors.ts'
import { anyBatches, type FileRange } from '../model/fileRange.ts'
import type { Checksum } from './checksum.ts'

/** How much is read at once, unless a batch is larger. */
const stepBytes = 1 << 20
/** Bytes of a batch before its records. */
const headerBytes = 61
/** Where a batch has its length, which does not count the bytes before and in it. */
const lengthAt = 8
const prefixBytes = 12

/**
 * Reads a range with `read` (`DiskFile.read`) and checks that it is whole batches, none damaged. Rejects with
 * `CorruptionError` at the first that is not what was written.
 */
export async function checkRange(
  range: FileRange,
  read: (target: Uint8Array, position: number) => Promise<number>,
  checkBatches: Checksum['checkBatches'],
): Promise<void> {
  const end = range.position + range.lengthBytes
  let { position } = range
  let bounds = range.bounds ?? anyBatches
  let buffer = new Uint8Array(Math.min(stepBytes, range.lengthBytes))
  const damaged = (fault: BatchFault): CorruptionError =>
    new CorruptionError({ file: range.file.path, position, ...describeFault(fault) })
  while (position < end) {
    const wanted = Math.min(buffer.length, end - position)
    const count = await read(buffer.subarray(0, wanted), position)
    const found = checkBatches(buffer.subarray(0, count), bounds)
    const rest = buffer.subarray(found.validBytes, count)
    const isLast = count < wanted || position + count === end
    position += found.validBytes
    bounds = { ...bounds, minOffset: found.nextOffset, minEpoch: found.lastEpoch }
    if (found.fault !== null) throw damaged(found.fault)
    const needed = sizeOf(rest)
    if (position < end && (isLast || needed > end - position)) {
      throw damaged({ kind: 'cut', expected: needed, found: rest.length })
    }
    if (needed > buffer.length) buffer = new Uint8Array(needed)
  }
}

/** Bytes of the batch that `bytes` begin with, as far as that can be seen. */
function sizeOf(bytes: Uint8Array): number {
  if (bytes.length < prefixBytes) return headerBytes
  return new DataView(bytes.buffer, bytes.byteOffset).getInt32(lengthAt) + prefixBytes
}

import type { BatchCheck, BatchFault } from '../../model/batchFault.ts'
import { anyBatches, type BatchBounds } from '../../model/fileRange.ts'
import { crc32c } from './crc32c.ts'

/** Bytes of a batch before its records. */
const headerBytes = 61
/** Bytes of a batch that its length does not count. */
const prefixBytes = 12
const epochAt = 12
const magicAt = 16
const crcAt = 17
const checksummedFrom = 21
const lastOffsetDeltaAt = 23

/** `Checksum.checkBatches`, with the twin in `native/src/batches.rs`. */
export function checkBatches(bytes: Uint8Array, bounds: BatchBounds = anyBatches): BatchCheck {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length)
  let at = 0
  let batches = 0
  let nextOffset = bounds.minOffset
  let lastEpoch = bounds.minEpoch
  const end = (fault: BatchFault | null): BatchCheck => ({
    validBytes: at,
    nextOffset,
    lastEpoch,
    batches,
    fault,
  })
  while (bytes.length - at >= headerBytes) {
    const size = view.getInt32(at + 8) + prefixBytes
    if (size < headerBytes) return end({ kind: 'length', expected: headerBytes, found: size })
    const magic = view.getInt8(at + magicAt)
    if (magic !== 2) return end({ kind: 'magic', expected: 2, found: magic })
    const baseOffset = Number(view.getBigInt64(at))
    const isLate = bounds.isGapless && baseOffset !== nextOffset
    if (baseOffset < nextOffset || isLate || !Number.isSafeInteger(baseOffset)) {
      return end({ kind: 'offset', expected: nextOffset, found: baseOffset })
    }
    const epoch = view.getInt32(at + epochAt)
    if (epoch < lastEpoch) return end({ kind: 'epoch', expected: lastEpoch, found: epoch })
    if (epoch > bounds.maxEpoch) return end({ kind: 'epoch', expected: bounds.maxEpoch, found: epoch })
    if (size > bytes.length - at) break
    const expected = view.getUint32(at + crcAt)
    const found = crc32c(bytes.subarray(at + checksummedFrom, at + size))
    if (expected !== found) return end({ kind: 'checksum', expected, found })
    lastEpoch = epoch
    nextOffset = baseOffset + Math.max(0, view.getInt32(at + lastOffsetDeltaAt)) + 1
    at += size
    batches++
  }
  return end(null)
}

import type { BatchCheck, BatchFaultKind } from '../model/batchFault.ts'
import { anyBatches } from '../model/fileRange.ts'
import type { Checksum } from '../runtime/checksum.ts'
import { nodeChecksum } from '../runtime/node/nodeChecksum.ts'
import type { Addon } from './addon.ts'

/** Below this many bytes a call into the addon takes longer than JavaScript needs. */
const nativeBytes = 256

/** The numbers of `FaultKind` in `native/src/batches.rs`. */
export const faultKinds: readonly (BatchFaultKind | null)[] = [
  null,
  'length',
  'magic',
  'checksum',
  'offset',
  'cut',
  'epoch',
]

/** `Checksum` by the addon, except where that costs more than it saves. */
export function createNativeChecksum(addon: Addon): Checksum {
  /** Filled by the addon, used again for every call. */
  const result = new Float64Array(7)
  return {
    crc32c: (bytes, seed = 0) =>
      bytes.length < nativeBytes ? nodeChecksum.crc32c(bytes, seed) : addon.crc32c(bytes, seed),
    checkBatches: (bytes, bounds = anyBatches): BatchCheck => {
      if (bytes.length < nativeBytes) return nodeChecksum.checkBatches(bytes, bounds)
      const { minOffset, isGapless, minEpoch, maxEpoch } = bounds
      addon.checkBatches(bytes, minOffset, isGapless, minEpoch, maxEpoch, result)
      const kind = faultKinds[result[3]!] ?? null
      return {
        validBytes: result[0]!,
        nextOffset: result[1]!,
        batches: result[2]!,
        lastEpoch: result[6]!,
        fault: kind === null ? null : { kind, expected: result[4]!, found: result[5]! },
      }
    },
    sealBlocks: (blocks, generation, sequence) => addon.sealBlocks(blocks, generation, sequence),
  }
}

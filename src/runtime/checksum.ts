import type { BatchCheck } from '../model/batchFault.ts'
import type { BatchBounds } from '../model/fileRange.ts'

/** Bytes of a block that `Checksum.sealBlocks` stamps. */
export const sealedBlockBytes = 4096
/** Bytes of the stamp at the start of each block. */
export const blockStampBytes = 20

/** Pure CPU work that an implementation may do faster than JavaScript does; results are the same everywhere. */
export interface Checksum {
  /** CRC-32C (Castagnoli) of `bytes`, continuing from `seed` (default 0), as an unsigned 32-bit number. */
  crc32c(bytes: Uint8Array, seed?: number): number
  /**
   * Walks record batches from the first byte on: length, magic 2, checksum (from byte 21 on), and offsets and leader epochs
   * within `bounds` (default `anyBatches`). Ends at the first bad batch, or where the bytes end inside one.
   */
  checkBatches(bytes: Uint8Array, bounds?: BatchBounds): BatchCheck
  /**
   * Stamps blocks of `sealedBlockBytes` in place, each in its first `blockStampBytes`: CRC-32C of the rest of the block
   * from byte 4 on (uint32), `generation` (uint32), number of the block in `blocks` from 0 (uint32), `sequence`
   * (uint64), all big-endian. `blocks` holds whole blocks.
   */
  sealBlocks(blocks: Uint8Array, generation: number, sequence: number): void
}

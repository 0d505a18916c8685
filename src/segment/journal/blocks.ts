import { blockStampBytes, type Checksum, sealedBlockBytes } from '../../runtime/checksum.ts'
import { readInt64, readUint32 } from '../integers.ts'

/**
 * A journal file is blocks of this many bytes, each with a stamp that tells of which use of the file (`generation`)
 * and of which frame it is, and whether it is whole. `Checksum.sealBlocks` has the layout.
 */
export const blockBytes = sealedBlockBytes
/** Bytes of a block that belong to the frame. */
export const blockPayloadBytes = blockBytes - blockStampBytes

/** What the stamp of a block says. */
export interface BlockStamp {
  readonly generation: number
  /** Number of the block in its frame, from 0. */
  readonly index: number
  readonly sequence: number
}

/** The generation of blocks that a new file is filled with. */
export const fillerGeneration = 0

/** The stamp of the block at `at`; null when its checksum is wrong or the block is not all there. */
export function readStamp(bytes: Uint8Array, at: number, checksum: Checksum): BlockStamp | null {
  if (at + blockBytes > bytes.length) return null
  if (readUint32(bytes, at) !== checksum.crc32c(bytes.subarray(at + 4, at + blockBytes))) return null
  const sequence = readInt64(bytes, at + 12)
  if (!Number.isSafeInteger(sequence) || sequence < 0) return null
  return { generation: readUint32(bytes, at + 4), index: readUint32(bytes, at + 8), sequence }
}

/** The number of blocks that hold `payloadBytes` bytes. */
export function blocksFor(payloadBytes: number): number {
  return Math.ceil(payloadBytes / blockPayloadBytes)
}

import { sealedBlockBytes } from '../checksum.ts'
import { crc32c } from './crc32c.ts'

/** `Checksum.sealBlocks` in plain JavaScript. */
export function sealBlocks(blocks: Uint8Array, generation: number, sequence: number): void {
  const high = Math.floor(sequence / 2 ** 32)
  for (let at = 0, index = 0; at < blocks.length; at += sealedBlockBytes, index++) {
    writeUint32(blocks, at + 4, generation)
    writeUint32(blocks, at + 8, index)
    writeUint32(blocks, at + 12, high)
    writeUint32(blocks, at + 16, sequence)
    writeUint32(blocks, at, crc32c(blocks.subarray(at + 4, at + sealedBlockBytes)))
  }
}

function writeUint32(bytes: Uint8Array, at: number, value: number): void {
  bytes[at] = value >>> 24
  bytes[at + 1] = value >>> 16
  bytes[at + 2] = value >>> 8
  bytes[at + 3] = value
}

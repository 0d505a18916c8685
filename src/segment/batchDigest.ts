import { readInt32, readInt64 } from './integers.ts'
import { batchPrefixBytes, readCrc } from './recordBatch.ts'

/** What stands for a digest that nobody knows. */
export const unknownDigest = -1

/** Bytes that `extendDigestWith` reads. */
export const digestedBytes = 21

/**
 * The digest of a run of batches, continued with one more: an unsigned 32-bit number, 0 for none. It covers where a batch stands, how
 * long it is, its epoch and its checksum, and so all of it; its own checksum leaves the first three out. Rounds are those of MurmurHash3.
 */
export function extendDigest(
  digest: number,
  baseOffset: number,
  sizeBytes: number,
  leaderEpoch: number,
  crc: number,
): number {
  let hash = mixed(digest, crc)
  hash = mixed(hash, baseOffset)
  hash = mixed(hash, baseOffset / 0x1_0000_0000)
  hash = mixed(hash, sizeBytes)
  return mixed(hash, leaderEpoch) >>> 0
}

/** The same with a batch of which at least `digestedBytes` are there. */
export function extendDigestWith(digest: number, bytes: Uint8Array): number {
  return extendDigest(
    digest,
    readInt64(bytes, 0),
    readInt32(bytes, 8) + batchPrefixBytes,
    readInt32(bytes, 12),
    readCrc(bytes),
  )
}

/** `word` counts by its lower 32 bits. */
function mixed(hash: number, word: number): number {
  let bits = Math.imul(word | 0, 0xcc9e2d51)
  bits = Math.imul((bits << 15) | (bits >>> 17), 0x1b873593)
  const next = hash ^ bits
  return (Math.imul((next << 13) | (next >>> 19), 5) + 0xe6546b64) | 0
}

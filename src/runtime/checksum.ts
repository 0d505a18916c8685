/** Pure CPU work that an implementation may do faster than JavaScript does; results are the same everywhere. */
export interface Checksum {
  /** CRC-32C (Castagnoli) of `bytes`, continuing from `seed` (default 0), as an unsigned 32-bit number. */
  crc32c(bytes: Uint8Array, seed?: number): number
}

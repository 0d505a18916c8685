/** The Castagnoli polynomial, bits reversed. Source: RFC 3720, appendix B.4. */
const polynomial = 0x82f63b78

/** Eight tables of 256: `tables[k * 256 + b]` is the CRC of byte b followed by k zero bytes. */
const tables = buildTables()

function buildTables(): Int32Array {
  const result = new Int32Array(8 * 256)
  for (let byte = 0; byte < 256; byte++) {
    let crc = byte
    for (let bit = 0; bit < 8; bit++) crc = crc & 1 ? (crc >>> 1) ^ polynomial : crc >>> 1
    result[byte] = crc
  }
  for (let at = 256; at < result.length; at++) {
    const shorter = result[at - 256]!
    result[at] = (shorter >>> 8) ^ result[shorter & 0xff]!
  }
  return result
}

/**
 * CRC-32C of `bytes`, continuing from `seed`, as an unsigned 32-bit number. Slice-by-8: eight bytes a round
 * through eight tables, which is faster than a call into the addon below about 256 bytes.
 */
export function crc32c(bytes: Uint8Array, seed = 0): number {
  const t = tables
  const end = bytes.length
  let crc = ~seed
  let at = 0
  for (const last = end - 8; at <= last; at += 8) {
    crc ^= bytes[at]! | (bytes[at + 1]! << 8) | (bytes[at + 2]! << 16) | (bytes[at + 3]! << 24)
    crc =
      t[0x700 | (crc & 0xff)]! ^
      t[0x600 | ((crc >>> 8) & 0xff)]! ^
      t[0x500 | ((crc >>> 16) & 0xff)]! ^
      t[0x400 | (crc >>> 24)]! ^
      t[0x300 | bytes[at + 4]!]! ^
      t[0x200 | bytes[at + 5]!]! ^
      t[0x100 | bytes[at + 6]!]! ^
      t[bytes[at + 7]!]!
  }
  for (; at < end; at++) crc = (crc >>> 8) ^ t[(crc ^ bytes[at]!) & 0xff]!
  return ~crc >>> 0
}

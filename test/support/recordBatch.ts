import { crc32c } from '../../src/runtime/node/crc32c.ts'

/** A record batch of `bodyBytes` after its header, with a checksum that fits; what lies in the body is no record. */
export function recordBatch(baseOffset: number, records: number, bodyBytes: number): Buffer {
  const bytes = Buffer.alloc(61 + bodyBytes, 0x5a)
  bytes.writeBigInt64BE(BigInt(baseOffset), 0)
  bytes.writeInt32BE(bytes.length - 12, 8)
  bytes[16] = 2
  bytes.writeInt32BE(records - 1, 23)
  bytes.writeUInt32BE(crc32c(bytes.subarray(21)), 17)
  return bytes
}

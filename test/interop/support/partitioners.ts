/** The partition that the Java client's default partitioner picks for a key: murmur2, sign bit cleared. Source: KIP-480, Utils.murmur2. */
export function javaPartition(key: Uint8Array, partitions: number): number {
  return (murmur2(key) & 0x7fffffff) % partitions
}

/** The partition that librdkafka's default partitioner (consistent_random) picks for a key that is not empty: CRC-32. */
export function librdkafkaPartition(key: Uint8Array, partitions: number): number {
  return crc32(key) % partitions
}

function murmur2(data: Uint8Array): number {
  const m = 0x5bd1e995
  const view = new DataView(data.buffer, data.byteOffset, data.byteLength)
  let h = 0x9747b28c ^ data.length
  let at = 0
  for (; at + 4 <= data.length; at += 4) {
    let k = Math.imul(view.getInt32(at, true), m)
    k = Math.imul(k ^ (k >>> 24), m)
    h = Math.imul(h, m) ^ k
  }
  const rest = data.length - at
  if (rest > 2) h ^= data[at + 2]! << 16
  if (rest > 1) h ^= data[at + 1]! << 8
  if (rest > 0) h = Math.imul(h ^ data[at]!, m)
  h = Math.imul(h ^ (h >>> 13), m)
  return h ^ (h >>> 15)
}

function crc32(data: Uint8Array): number {
  let crc = 0xffffffff
  for (const byte of data) {
    crc ^= byte
    for (let bit = 0; bit < 8; bit++) crc = (crc >>> 1) ^ (crc & 1 ? 0xedb88320 : 0)
  }
  return ~crc >>> 0
}

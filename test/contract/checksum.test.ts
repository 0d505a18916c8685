import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { crc32c } from '../../src/runtime/node/crc32c.ts'
import { implementations } from './implementations.ts'

describe.each(implementations)('the $name checksum', ({ create }) => {
  test('gives the check value of the standard (RFC 3720, B.4)', () => {
    const { checksum } = create()
    expect(checksum.crc32c(Buffer.from('123456789'))).toBe(0xe3069283)
    expect(checksum.crc32c(new Uint8Array(32))).toBe(0x8a9136aa)
    expect(checksum.crc32c(new Uint8Array(32).fill(0xff))).toBe(0x62a8ab43)
    expect(checksum.crc32c(Uint8Array.from({ length: 32 }, (_, at) => at))).toBe(0x46dd794e)
    expect(checksum.crc32c(new Uint8Array(0))).toBe(0)
  })

  test('of two pieces, the second seeded with the first, is that of the whole', () => {
    const { checksum } = create()
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 3000 }), fc.nat(3000), (bytes, cut) => {
        const head = checksum.crc32c(bytes.subarray(0, cut))
        return checksum.crc32c(bytes.subarray(cut), head) === checksum.crc32c(bytes)
      }),
    )
  })

  test('is the same as the plain bit-by-bit definition, at any length, seed and alignment', () => {
    const { checksum } = create()
    const lengths = fc.oneof(fc.nat(64), fc.integer({ min: 200, max: 300 }), fc.nat(5000))
    fc.assert(
      fc.property(
        lengths,
        fc.nat(15),
        fc.integer({ min: 0, max: 2 ** 32 - 1 }),
        fc.nat(255),
        (length, skip, seed, salt) => {
          const bytes = Uint8Array.from({ length: length + skip }, (_, at) =>
            Math.imul(at + salt, 167),
          ).subarray(skip)
          expect(checksum.crc32c(bytes, seed)).toBe(bitByBit(bytes, seed))
          expect(crc32c(bytes, seed)).toBe(bitByBit(bytes, seed))
        },
      ),
    )
  })
})

function bitByBit(bytes: Uint8Array, seed: number): number {
  let crc = ~seed
  for (const byte of bytes) {
    crc ^= byte
    for (let bit = 0; bit < 8; bit++) crc = crc & 1 ? (crc >>> 1) ^ 0x82f63b78 : crc >>> 1
  }
  return ~crc >>> 0
}

import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { type BatchFault, describeFault } from '../../src/model/batchFault.ts'
import { anyBatches, type BatchBounds } from '../../src/model/fileRange.ts'
import { blockStampBytes, sealedBlockBytes } from '../../src/runtime/checksum.ts'
import { crc32c } from '../../src/runtime/node/crc32c.ts'
import { nodeChecksum } from '../../src/runtime/node/nodeChecksum.ts'
import { recordBatch } from '../support/recordBatch.ts'
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

  test('good batches are walked to the end, gaps between their offsets included', () => {
    const { checksum } = create()
    fc.assert(
      fc.property(batchList, fc.nat(120), ({ bytes, sizes, ends }, cut) => {
        const whole = checksum.checkBatches(bytes)
        const nextOffset = ends.at(-1) ?? 0
        expect(whole).toMatchObject({
          validBytes: bytes.length,
          nextOffset,
          batches: sizes.length,
          fault: null,
        })
        expect(whole).toEqual(nodeChecksum.checkBatches(bytes))
        // Cut off inside the last batch: no fault, only less of it.
        const last = sizes.at(-1)
        if (last === undefined) return
        const part = checksum.checkBatches(bytes.subarray(0, bytes.length - 1 - (cut % last)))
        expect(part.fault).toBeNull()
        expect(part.validBytes).toBe(bytes.length - last)
      }),
    )
  })

  test('any changed bit that a batch is checked by ends the walk at that batch', () => {
    const { checksum } = create()
    fc.assert(
      fc.property(batchList, fc.nat(), fc.nat(7), ({ bytes, sizes }, where, bit) => {
        if (bytes.length === 0) return
        const at = where % bytes.length
        bytes[at]! ^= 1 << bit
        let start = 0
        let number = 0
        while (start + sizes[number]! <= at) start += sizes[number++]!
        const found = checksum.checkBatches(bytes)
        expect(found).toEqual(nodeChecksum.checkBatches(bytes))
        // Nothing but its neighbours vouches for these: base offset, length, leader epoch.
        if (at - start < 16) return
        expect(found).toMatchObject({ validBytes: start, batches: number })
        expect(found.fault?.kind).toBe(at - start === 16 ? 'magic' : 'checksum')
      }),
    )
  })

  test('an offset that goes back, a length that cannot be and an offset beyond 2^53 are faults', () => {
    const { checksum } = create()
    const [first, second] = [recordBatch(100, 3, 400), recordBatch(102, 1, 400)]
    const both = Buffer.concat([first, second])
    const back = { kind: 'offset', expected: 103, found: 102 }
    expect(checksum.checkBatches(both)).toMatchObject({
      validBytes: first.length,
      nextOffset: 103,
      fault: back,
    })
    const from101 = { ...anyBatches, minOffset: 101 }
    expect(checksum.checkBatches(first, from101).fault).toEqual({ kind: 'offset', expected: 101, found: 100 })
    expect(checksum.checkBatches(recordBatch(2 ** 53, 1, 400)).fault?.kind).toBe('offset')
    first.writeInt32BE(48, 8)
    expect(checksum.checkBatches(first).fault).toEqual({ kind: 'length', expected: 61, found: 60 })
    expect(describeFault(back as BatchFault)).toEqual({
      expected: 'an offset from 103 on',
      found: 'offset 102',
    })
  })

  test.each([10, 400])(
    'offsets and epochs, which no checksum covers, are held to bounds (%i bytes a batch)',
    (bodyBytes) => {
      const { checksum } = create()
      const batch = (offset: number, leaderEpoch: number) => {
        const bytes = recordBatch(offset, 2, bodyBytes)
        bytes.writeInt32BE(leaderEpoch, 12)
        return bytes
      }
      const faultIn = (bounds: Partial<BatchBounds>, ...batches: readonly Buffer[]) =>
        checksum.checkBatches(Buffer.concat(batches), { ...anyBatches, ...bounds })
      const gapless = { minOffset: 5, isGapless: true, minEpoch: 3, maxEpoch: 4 }
      const good = [batch(5, 3), batch(7, 4)]
      expect(faultIn(gapless, ...good, batch(9, 4))).toMatchObject({
        fault: null,
        lastEpoch: 4,
        nextOffset: 11,
      })
      expect(faultIn({ minOffset: 5 }, ...good, batch(16_393, 9)).fault).toBeNull()
      expect(faultIn(gapless, ...good, batch(16_393, 4))).toMatchObject({
        validBytes: 2 * good[0]!.length,
        lastEpoch: 4,
        fault: { kind: 'offset', expected: 9, found: 16_393 },
      })
      expect(faultIn(gapless, batch(6, 3)).fault).toEqual({ kind: 'offset', expected: 5, found: 6 })
      expect(faultIn(gapless, ...good, batch(9, 3)).fault).toEqual({ kind: 'epoch', expected: 4, found: 3 })
      expect(faultIn(gapless, ...good, batch(9, 5)).fault).toEqual({ kind: 'epoch', expected: 4, found: 5 })
      expect(faultIn(gapless, batch(5, -1)).fault).toEqual({ kind: 'epoch', expected: 3, found: -1 })
      expect(describeFault(faultIn(gapless, batch(5, 9)).fault!)).toEqual({
        expected: 'leader epoch 4',
        found: 'leader epoch 9',
      })
    },
  )

  test('a seal is checksum, generation, number and sequence of every block', () => {
    const { checksum } = create()
    const sequences = fc.oneof(fc.nat(), fc.maxSafeNat())
    fc.assert(
      fc.property(
        fc.nat(3),
        fc.integer({ min: 0, max: 2 ** 32 - 1 }),
        sequences,
        (count, generation, sequence) => {
          const blocks = Buffer.alloc(count * sealedBlockBytes, 0xa5)
          checksum.sealBlocks(blocks, generation, sequence)
          for (let index = 0; index < count; index++) {
            const block = blocks.subarray(index * sealedBlockBytes, (index + 1) * sealedBlockBytes)
            expect(block.readUInt32BE(0)).toBe(crc32c(block.subarray(4)))
            expect([block.readUInt32BE(4), block.readUInt32BE(8)]).toEqual([generation, index])
            expect(block.readBigUInt64BE(12)).toBe(BigInt(sequence))
            expect(block.subarray(blockStampBytes).every((byte) => byte === 0xa5)).toBe(true)
          }
        },
      ),
      { numRuns: 30 },
    )
  })
})

/** Batches one after the other with gaps, the sizes of each and the offsets after each. */
const batchList = fc
  .array(fc.record({ gap: fc.nat(3), records: fc.integer({ min: 1, max: 5 }), body: fc.nat(500) }), {
    maxLength: 6,
  })
  .map((list) => {
    let offset = 0
    const ends: number[] = []
    const batches = list.map(({ gap, records, body }) => {
      const made = recordBatch(offset + gap, records, body)
      offset += gap + records
      ends.push(offset)
      return made
    })
    return { bytes: Buffer.concat(batches), sizes: batches.map(({ length }) => length), ends }
  })

function bitByBit(bytes: Uint8Array, seed: number): number {
  let crc = ~seed
  for (const byte of bytes) {
    crc ^= byte
    for (let bit = 0; bit < 8; bit++) crc = crc & 1 ? (crc >>> 1) ^ 0x82f63b78 : crc >>> 1
  }
  return ~crc >>> 0
}

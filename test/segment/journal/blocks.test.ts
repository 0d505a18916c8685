import fc from 'fast-check'
import { expect, test } from 'vitest'
import { nodeChecksum } from '../../../src/runtime/node/nodeChecksum.ts'
import { blockBytes, readStamp } from '../../../src/segment/journal/blocks.ts'
import { createRuntime } from '../../../src/zerocopy/nativeRuntime.ts'

const implementations = [
  ['portable', nodeChecksum],
  ['native', createRuntime({ native: true }).checksum],
] as const

test.each(implementations)('a %s stamp tells generation, sequence and place in the frame', (_, checksum) => {
  fc.assert(
    fc.property(
      fc.nat({ max: 2 ** 32 - 1 }),
      fc.nat({ max: Number.MAX_SAFE_INTEGER }),
      fc.integer({ min: 1, max: 4 }),
      fc.uint8Array({ minLength: 16, maxLength: 64 }),
      (generation, sequence, count, noise) => {
        const blocks = new Uint8Array(count * blockBytes)
        for (let at = 0; at < blocks.length; at++) blocks[at] = noise[at % noise.length]!
        checksum.sealBlocks(blocks, generation, sequence)
        const portable = blocks.slice()
        nodeChecksum.sealBlocks(portable, generation, sequence)
        expect(Buffer.compare(blocks, portable)).toBe(0)
        for (let index = 0; index < count; index++) {
          expect(readStamp(blocks, index * blockBytes, checksum)).toEqual({ generation, index, sequence })
        }
      },
    ),
    { numRuns: 50 },
  )
})

test.each(implementations)('any flipped bit makes a block unreadable (%s)', (_, checksum) => {
  const blocks = new Uint8Array(blockBytes).fill(7)
  checksum.sealBlocks(blocks, 3, 2 ** 40)
  fc.assert(
    fc.property(fc.nat({ max: blockBytes * 8 - 1 }), (bit) => {
      const flipped = blocks.slice()
      flipped[bit >> 3]! ^= 1 << (bit & 7)
      expect(readStamp(flipped, 0, checksum)).toBeNull()
    }),
  )
})

test('a block that is cut short is unreadable', () => {
  const blocks = new Uint8Array(blockBytes)
  nodeChecksum.sealBlocks(blocks, 1, 1)
  expect(readStamp(blocks.subarray(0, blockBytes - 1), 0, nodeChecksum)).toBeNull()
})

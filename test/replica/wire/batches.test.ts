import fc from 'fast-check'
import { expect, test } from 'vitest'
import type { Batch } from '../../../src/raft.ts'
import { encodeControlBatch, readBatches } from '../../../src/replica/wire/batches.ts'
import { nodeChecksum } from '../../../src/runtime/node/nodeChecksum.ts'
import { encodeBatch } from '../../../src/segment/records.ts'

/** One batch that comes: how many records, whether it begins a new epoch, leaves a gap before it, or is one that the core reads. */
const piece = fc.record({
  count: fc.integer({ min: 1, max: 3 }),
  isNewEpoch: fc.boolean(),
  gap: fc.constantFrom(0, 0, 0, 5),
  kind: fc.constantFrom('records', 'records', 'records', 'version', 'marker'),
})

function bytesOf(pieces: readonly (typeof piece extends fc.Arbitrary<infer T> ? T : never)[]): Uint8Array {
  let baseOffset = 10
  let leaderEpoch = 1
  const all = pieces.map(({ count, isNewEpoch, gap, kind }) => {
    baseOffset += gap
    if (isNewEpoch) leaderEpoch++
    const at = baseOffset
    baseOffset += kind === 'records' ? count : 1
    if (kind === 'records') {
      const records = Array.from({ length: count }, () => ({
        key: null,
        value: Buffer.from('v'),
        timestampMs: 5,
      }))
      return encodeBatch({ records, baseOffset: at, leaderEpoch }, nodeChecksum)
    }
    if (kind === 'version') {
      const control = [{ type: 'kraftVersion', version: 1 } as const]
      return encodeControlBatch(
        { baseOffset: at, lastOffset: at, leaderEpoch, control, records: null },
        5,
        nodeChecksum,
      )
    }
    // A marker of a transaction: a control record that the core does not read.
    const records = [{ key: Buffer.from([0, 0, 0, 1]), value: Buffer.alloc(6), timestampMs: 5 }]
    return encodeBatch({ records, baseOffset: at, leaderEpoch, isControl: true }, nodeChecksum)
  })
  return Buffer.concat(all)
}

const bytesIn = ({ records }: Batch): Uint8Array => records as Uint8Array

test('batches that are joined are what they are one by one, and none follows another that it could be joined with', () => {
  fc.assert(
    fc.property(fc.array(piece, { minLength: 1, maxLength: 12 }), (pieces) => {
      const bytes = bytesOf(pieces)
      const single = readBatches(bytes, nodeChecksum)
      const joined = readBatches(bytes, nodeChecksum, true)
      expect(single).toHaveLength(pieces.length)
      expect(Buffer.concat(joined.map(bytesIn))).toEqual(Buffer.concat(single.map(bytesIn)))
      // Each holds some of those one by one, with their places and epoch, and all that the core reads.
      const left = [...single]
      for (const { baseOffset, lastOffset, leaderEpoch, control, records } of joined) {
        const count = left.findIndex((each) => each.lastOffset === lastOffset) + 1
        const within = left.splice(0, count)
        expect(within[0]!.baseOffset).toBe(baseOffset)
        expect(within.every((each) => each.leaderEpoch === leaderEpoch)).toBe(true)
        expect(within.flatMap((each) => each.control)).toEqual(control)
        expect(within.reduce((sum, each) => sum + bytesIn(each).length, 0)).toBe(
          (records as Uint8Array).length,
        )
        if (control.length > 0) expect(count).toBe(1)
        for (const [index, each] of within.slice(1).entries()) {
          expect(each.baseOffset).toBe(within[index]!.lastOffset + 1)
        }
      }
      expect(left).toEqual([])
      for (const [index, next] of joined.slice(1).entries()) {
        const before = joined[index]!
        const couldBeOne =
          before.lastOffset + 1 === next.baseOffset &&
          before.leaderEpoch === next.leaderEpoch &&
          before.control.length + next.control.length === 0
        expect(couldBeOne).toBe(false)
      }
    }),
  )
})

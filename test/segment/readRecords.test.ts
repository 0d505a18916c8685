import { expect, test } from 'vitest'
import { updateChecksum } from '../../src/segment/recordBatch.ts'
import { decodeRecords, readRecords } from '../../src/segment/records.ts'
import { batchOf, runtime } from './support.ts'

/** Of a record without key and headers whose value is one byte. */
const recordBytes = 8
/** Where the first record's offset delta is, after its length, attributes and time. */
const deltaAt = 61 + 3

/** A batch of three whose records have these offset deltas, and that ends `last` after its first. */
function withDeltas(deltas: readonly number[], last: number): Uint8Array {
  const bytes = Buffer.from(batchOf(['a', 'b', 'c']))
  expect(bytes.length).toBe(61 + 3 * recordBytes)
  for (const [index, delta] of deltas.entries()) {
    bytes[deltaAt + index * recordBytes] = delta < 0 ? -2 * delta - 1 : 2 * delta
  }
  bytes.writeInt32BE(last, 23)
  updateChecksum(bytes, runtime.checksum)
  return bytes
}

const offset = (offset: number): number => offset

test.each([
  [[0, 1, 2], 2],
  [[0, 4, 9], 9],
  [[3, 5, 6], 11],
])('records at %j of a batch that ends at %i are read: compaction leaves gaps', (deltas, last) => {
  expect([...readRecords(withDeltas(deltas, last))].map((record) => record.offset)).toEqual(deltas)
})

test.each([
  ['twice the same', [0, 1, 1], 2],
  ['going back', [0, 2, 1], 2],
  ['beyond the end', [0, 1, 3], 2],
  ['before the beginning', [-1, 1, 2], 2],
])('records whose offsets are %s are refused', (_what, deltas, last) => {
  const bytes = withDeltas(deltas, last)
  const refused = expect.objectContaining({ code: 'invalidRecord' })
  expect(() => [...readRecords(bytes)]).toThrow(refused)
  expect(() => decodeRecords(bytes, offset)).toThrow(refused)
})

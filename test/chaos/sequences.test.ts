import { expect, test } from 'vitest'
import { recordBatch } from '../support/recordBatch.ts'
import { Ledger } from './ledger.ts'
import { batchesOf, blameFor, brokenSequences } from './sequences.ts'

interface Written {
  readonly at: number
  readonly records?: number
  readonly producer?: number
  readonly epoch?: number
  readonly sequence: number
}

/** The segment of a partition with these batches, each by default of five records of producer 7 in epoch 0. */
function segment(...batches: Written[]): Buffer {
  const parts = batches.map(({ at, records = 5, producer = 7, epoch = 0, sequence }) => {
    const bytes = recordBatch(at, records, 20)
    bytes.writeInt16BE(0, 21)
    bytes.writeBigInt64BE(BigInt(producer), 43)
    bytes.writeInt16BE(epoch, 51)
    bytes.writeInt32BE(sequence, 53)
    return bytes
  })
  return Buffer.concat(parts)
}

test('sequences that go on, in as many epochs as a producer likes, are no mistake', () => {
  const bytes = segment(
    { at: 0, sequence: 0 },
    { at: 5, sequence: 0, producer: 8 },
    { at: 10, sequence: 5, records: 2 },
    { at: 12, sequence: 5, producer: 8 },
    { at: 17, sequence: 0, epoch: 1 },
    { at: 22, sequence: 0, epoch: 4 },
  )
  expect(batchesOf(bytes)).toHaveLength(6)
  expect(brokenSequences('chaos-1', batchesOf(bytes))).toEqual([])
})

test('batches without a producer are passed over, and what a segment ends with in the middle', () => {
  const bytes = segment(
    { at: 0, sequence: -1, producer: -1 },
    { at: 5, sequence: 0 },
    { at: 10, sequence: 5 },
  )
  expect(batchesOf(bytes.subarray(0, bytes.length - 1)).map(({ baseOffset }) => baseOffset)).toEqual([5])
})

test.each([
  { what: 'a batch stored twice', second: { at: 5, sequence: 0 } },
  { what: 'a gap', second: { at: 5, sequence: 6 } },
  { what: 'an epoch that does not begin at 0', second: { at: 5, sequence: 5, epoch: 3 } },
  { what: 'an epoch of the past', second: { at: 5, sequence: 0, epoch: 1 } },
])('$what is what no broker may let in', ({ second }) => {
  const bytes = segment({ at: 0, sequence: 0, epoch: 2 }, { epoch: 2, ...second })
  expect(brokenSequences('chaos-1', batchesOf(bytes))).toEqual([
    expect.stringContaining('chaos-1/5 has sequence'),
  ])
})

test('a record that is there twice is the mistake of a broker unless Java had given one up before it', () => {
  const value = '77.40'
  const repeated = { value, partition: 1, offset: 6, before: 1 }
  const epochs = batchesOf(segment({ at: 0, sequence: 0 }, { at: 5, sequence: 0, epoch: 1 }))
  expect(blameFor(repeated, epochs, [39])).toBeNull()
  expect(blameFor(repeated, epochs, [])).toContain('given nothing up')
  expect(blameFor(repeated, epochs, [41])).toContain('given nothing up')
  const ofKafkajs = { ...repeated, value: 'kafkajs-1-40-123456789012' }
  expect(blameFor(ofKafkajs, epochs, [39])).toContain('given nothing up')
})

test.each([
  ['in one epoch', { at: 5, sequence: 5 }],
  ['of two producers', { at: 5, sequence: 0, producer: 8 }],
])('a record that is there twice %s is the mistake of a broker, whatever was given up', (said, second) => {
  const batches = batchesOf(segment({ at: 0, sequence: 0 }, second))
  expect(blameFor({ value: '77.40', partition: 1, offset: 6, before: 1 }, batches, [1])).toContain(said)
})

test('a record that is there twice is kept to be judged, and what is behind it has its order', () => {
  const ledger = new Ledger()
  const numbers = [1, 2, 3, 2, 3, 4]
  ledger.compare(numbers.map((number, offset) => ({ partition: 1, offset, value: `77.${number}` })))
  expect(ledger.problems).toEqual([])
  expect(ledger.repeated).toEqual([
    { value: '77.2', partition: 1, offset: 3, before: 1 },
    { value: '77.3', partition: 1, offset: 4, before: 2 },
  ])
})

test('a record of one partition that is in another, too, is wrong at once', () => {
  const ledger = new Ledger()
  ledger.compare([1, 2].map((partition) => ({ partition, offset: 0, value: '77.1' })))
  expect(ledger.problems).toEqual(['77.1 is at 1/0 and at 2/0'])
})

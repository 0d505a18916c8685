import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { EngineError } from '../../src/model/errors.ts'
import {
  BatchHeader,
  checkBatch,
  sequenceAfter,
  setBaseOffset,
  setLogAppendTime,
  setPartitionLeaderEpoch,
  updateChecksum,
} from '../../src/segment/recordBatch.ts'
import { encodeBatch, type NewRecord, readRecords } from '../../src/segment/records.ts'
import { batchOf, runtime } from './support.ts'

const { checksum } = runtime

function codeOf(bytes: Uint8Array): string {
  try {
    checkBatch(bytes, checksum)
    return 'none'
  } catch (error) {
    return (error as EngineError).code
  }
}

/** A batch with some bytes changed and the checksum made right again: it lies, but it is not damaged. */
function lying(values: readonly string[], change: (bytes: Buffer) => void): Uint8Array {
  const bytes = Buffer.from(batchOf(values))
  change(bytes)
  updateChecksum(bytes, checksum)
  return bytes
}

const record: fc.Arbitrary<NewRecord> = fc.record({
  key: fc.option(fc.uint8Array({ maxLength: 80 })),
  value: fc.option(fc.uint8Array({ maxLength: 300 })),
  headers: fc.array(
    fc.record({ key: fc.string({ maxLength: 9 }), value: fc.option(fc.uint8Array({ maxLength: 9 })) }),
    {
      maxLength: 3,
    },
  ),
  timestampMs: fc.integer({ min: 0, max: 4_000_000_000_000 }),
})

describe('a record batch', () => {
  test('is read back as it was written, and passes its own check', () => {
    fc.assert(
      fc.property(
        fc.array(record, { minLength: 1, maxLength: 20 }),
        fc.nat(2 ** 48),
        (records, baseOffset) => {
          const bytes = encodeBatch({ records, baseOffset, leaderEpoch: 7 }, checksum)
          const header = checkBatch(bytes, checksum)
          expect(header).toMatchObject({ baseOffset, partitionLeaderEpoch: 7, recordsCount: records.length })
          expect(header.maxTimestampMs).toBe(Math.max(...records.map(({ timestampMs }) => timestampMs)))
          const found = [...readRecords(bytes)]
          const plain = (bytes: Uint8Array | null): string | null =>
            bytes === null ? null : Buffer.from(bytes).toString('hex')
          expect(
            found.map(({ key, value, headers, ...rest }) => [
              plain(key),
              plain(value),
              headers.map((each) => [each.key, plain(each.value)]),
              rest,
            ]),
          ).toEqual(
            records.map(({ key, value, headers, timestampMs }, index) => [
              plain(key),
              plain(value),
              headers!.map((each) => [each.key, plain(each.value)]),
              { offset: baseOffset + index, timestampMs },
            ]),
          )
        },
      ),
    )
  })

  test('has the bytes that Kafka writes (KIP-98)', () => {
    const bytes = encodeBatch(
      { records: [{ key: Buffer.from('k'), value: Buffer.from('v'), timestampMs: 1 }] },
      checksum,
    )
    const fields = [
      ['base offset', '0000000000000000'],
      ['length', '0000003a'],
      ['leader epoch', 'ffffffff'],
      ['magic', '02'],
      ['crc', checksum.crc32c(bytes.subarray(21)).toString(16).padStart(8, '0')],
      ['attributes, last offset delta', '000000000000'],
      ['timestamps', '00000000000000010000000000000001'],
      ['producer id, epoch, sequence', 'ffffffffffffffffffffffffffff'],
      ['count', '00000001'],
      ['record: length 8, attributes, deltas, key, value, no headers', '10000000026b027600'],
    ]
    expect(Buffer.from(bytes).toString('hex')).toBe(fields.map(([, hex]) => hex).join(''))
  })

  test('takes offset, epoch and append time in place; the first two need no new checksum', () => {
    const bytes = batchOf(['a', 'b'])
    const { crc } = new BatchHeader(bytes, 0)
    setBaseOffset(bytes, 2 ** 40 + 5)
    setPartitionLeaderEpoch(bytes, 12)
    expect(checkBatch(bytes, checksum)).toMatchObject({
      baseOffset: 2 ** 40 + 5,
      partitionLeaderEpoch: 12,
      crc,
    })
    setLogAppendTime(bytes, 1_700_000_000_123, checksum)
    const timed = checkBatch(bytes, checksum)
    expect([timed.isLogAppendTime, timed.maxTimestampMs]).toEqual([true, 1_700_000_000_123])
    expect([...readRecords(bytes)].map(({ timestampMs }) => timestampMs)).toEqual([
      1_700_000_000_123, 1_700_000_000_123,
    ])
  })

  test('gets its greatest timestamp put right when the producer wrote another', () => {
    const bytes = lying(['a'], (batch) => batch.writeBigInt64BE(99n, 35))
    expect(checkBatch(bytes, checksum).maxTimestampMs).toBe(1_600_000_000_000)
    expect(codeOf(bytes)).toBe('none')
  })

  test.each<[string, Uint8Array, string]>([
    ['nothing', new Uint8Array(0), 'invalidRecord'],
    ['half a header', batchOf(['a']).subarray(0, 40), 'corruptMessage'],
    ['a batch cut short', batchOf(['a']).subarray(0, 65), 'corruptMessage'],
    ['two batches', Buffer.concat([batchOf(['a']), batchOf(['b'])]), 'invalidRecord'],
    ['magic 1', lying(['a'], (batch) => batch.writeInt8(1, 16)), 'invalidRecord'],
    ['magic 9', lying(['a'], (batch) => batch.writeInt8(9, 16)), 'corruptMessage'],
    ['a flipped bit', Buffer.from(batchOf(['abc'])).fill('x', 66, 67), 'corruptMessage'],
    ['a negative length', lying(['a'], (batch) => batch.writeInt32BE(-1, 8)), 'corruptMessage'],
    ['too many records claimed', lying(['a'], (batch) => batch.writeInt32BE(2, 57)), 'invalidRecord'],
    [
      'too many records and offsets claimed',
      lying(['a'], (batch) => {
        batch.writeInt32BE(2, 57)
        batch.writeInt32BE(1, 23)
      }),
      'invalidRecord',
    ],
    [
      'too few records claimed',
      lying(['a', 'b'], (batch) => {
        batch.writeInt32BE(1, 57)
        batch.writeInt32BE(0, 23)
      }),
      'invalidRecord',
    ],
    ['no records', lying(['a'], (batch) => batch.writeInt32BE(0, 57)), 'invalidRecord'],
    ['a record length that lies', lying(['a'], (batch) => batch.writeUInt8(0x7e, 61)), 'invalidRecord'],
    ['a varint without end', lying(['a'.repeat(20)], (batch) => batch.fill(0xff, 61)), 'invalidRecord'],
    ['codec 5', lying(['a'], (batch) => batch.writeInt16BE(5, 21)), 'unsupportedCompressionType'],
    ['a control batch', lying(['a'], (batch) => batch.writeInt16BE(0x20, 21)), 'invalidRecord'],
    [
      'a producer without a sequence',
      lying(['a'], (batch) => batch.writeBigInt64BE(5n, 43)),
      'invalidRecord',
    ],
    [
      'a timestamp beyond 2^53',
      lying(['a'], (batch) => batch.writeBigInt64BE(2n ** 60n, 27)),
      'invalidTimestamp',
    ],
  ])('that is %s is refused', (_, bytes, code) => {
    expect(codeOf(bytes)).toBe(code)
  })

  test('mutated in any way never does more than be refused', () => {
    const good = encodeBatch(
      {
        records: ['one', 'two', 'three'].map((text, index) => ({
          key: Buffer.from(text),
          value: index === 1 ? null : Buffer.from(text.repeat(9)),
          headers: [{ key: 'h', value: Buffer.from(text) }],
          timestampMs: 1_600_000_000_000 + index,
        })),
      },
      checksum,
    )
    fc.assert(
      fc.property(
        fc.array(fc.tuple(fc.nat(good.length - 1), fc.nat(255)), { minLength: 1, maxLength: 6 }),
        fc.nat(good.length),
        fc.boolean(),
        (changes, length, repair) => {
          const bytes = Uint8Array.from(good.subarray(0, repair ? good.length : length))
          for (const [at, value] of changes) if (at < bytes.length) bytes[at] = value
          if (repair) updateChecksum(bytes, checksum)
          let accepted = false
          try {
            checkBatch(bytes, checksum)
            accepted = true
          } catch (error) {
            expect(error).toBeInstanceOf(EngineError)
          }
          // What is accepted can be read in full.
          const header = new BatchHeader(bytes.length >= 61 ? bytes : good, 0)
          if (accepted && header.codec === 0) expect([...readRecords(bytes)].length).toBe(header.recordsCount)
        },
      ),
      { numRuns: 2000 },
    )
  })
})

test('sequences wrap from 2^31 - 1 to 0 (KIP-98)', () => {
  expect([sequenceAfter(2 ** 31 - 1, 1), sequenceAfter(2 ** 31 - 3, 5), sequenceAfter(4, 0)]).toEqual([
    0, 2, 4,
  ])
})

import fc from 'fast-check'
import { expect, test } from 'vitest'
import { nodeChecksum } from '../../src/runtime/node/nodeChecksum.ts'
import { type ClosedLog, closedText } from '../../src/segment/closedLog.ts'
import { decodeProducerSnapshot, encodeProducerSnapshot } from '../../src/segment/producerSnapshot.ts'

const count = fc.nat()
const offset = fc.integer({ min: -1, max: Number.MAX_SAFE_INTEGER })

const closedLogs: fc.Arbitrary<ClosedLog> = fc.record(
  {
    topicId: fc.string({ minLength: 22, maxLength: 22 }),
    logStartOffset: offset,
    logEndOffset: offset,
    leaderEpochs: fc.array(fc.record({ epoch: count, startOffset: offset })),
    hasProducers: fc.boolean(),
    segments: fc.array(fc.oneof(fc.tuple(offset, count), fc.tuple(offset, count, count, count)), {
      minLength: 1,
    }),
    active: fc.record({
      sizeBytes: count,
      maxTimestampMs: offset,
      offsetOfMaxTimestamp: offset,
      firstTimestampMs: offset,
      bytesSinceIndexEntry: count,
      digest: offset,
      firstDigest: offset,
      offsets: fc.record({ count, lastRelativeOffset: offset, lastPosition: count }),
      times: fc.record({ count, lastTimestampMs: offset, lastRelativeOffset: offset }),
    }),
    hasIndexFiles: fc.boolean(),
  },
  {
    requiredKeys: [
      'topicId',
      'logStartOffset',
      'logEndOffset',
      'leaderEpochs',
      'hasProducers',
      'segments',
      'active',
    ],
  },
)

test('a closed log is the text that JSON.stringify would make of it', () => {
  fc.assert(
    fc.property(closedLogs, (log) => {
      expect(JSON.parse(closedText(log))).toEqual(JSON.parse(JSON.stringify(log)))
    }),
  )
})

test('a snapshot of no producers is one like any other', () => {
  const bytes = encodeProducerSnapshot([], nodeChecksum)
  expect(bytes).toHaveLength(10)
  expect(decodeProducerSnapshot(bytes, nodeChecksum)).toEqual([])
})

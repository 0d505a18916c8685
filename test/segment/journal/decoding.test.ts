import fc from 'fast-check'
import { expect, test } from 'vitest'
import { CorruptionError } from '../../../src/model/errors.ts'
import { nodeChecksum } from '../../../src/runtime/node/nodeChecksum.ts'
import { blockBytes } from '../../../src/segment/journal/blocks.ts'
import { EntryHeader, EntryReader, type JournalEntry } from '../../../src/segment/journal/entries.ts'
import {
  FrameBuilder,
  followsHeader,
  joinPayload,
  readFrameHeader,
} from '../../../src/segment/journal/frames.ts'
import {
  decodeCheckpoint,
  encodeCheckpoint,
  type StoredCheckpoint,
} from '../../../src/segment/journal/nodeCheckpoint.ts'
import { logId } from './support.ts'

const id = fc.nat({ max: 255 }).map(logId)
const offset = fc.nat({ max: Number.MAX_SAFE_INTEGER })
const bytes = fc.uint8Array({ maxLength: 9_000, size: 'max' }).map((value) => Buffer.from(value))
const entry: fc.Arbitrary<JournalEntry> = fc.oneof(
  fc.record({
    type: fc.constant('append' as const),
    logId: id,
    segmentBaseOffset: offset,
    position: offset,
    baseOffset: offset,
    lastOffset: offset,
    bytes,
  }),
  fc.record({
    type: fc.constant('truncate' as const),
    logId: id,
    endOffset: offset,
    segmentBaseOffset: offset,
    position: offset,
  }),
  fc.record({ type: fc.constantFrom('truncated' as const, 'delete' as const), logId: id }),
  fc.record({
    type: fc.constant('create' as const),
    logId: id,
    topicId: id,
    name: fc.string({ unit: 'grapheme', maxLength: 300 }),
  }),
  fc.record({ type: fc.constant('startOffset' as const), logId: id, offset }),
  fc.record({ type: fc.constant('state' as const), logId: id, kind: fc.nat({ max: 255 }), bytes }),
)
const journalId = new Uint8Array(16).fill(5)
const header = {
  generation: 7,
  sequence: 2 ** 40,
  chain: 2 ** 32 - 1,
  life: 3,
  lifeStart: 9,
  flushedSequence: 2 ** 40 - 1,
  nextGeneration: 0,
  position: blockBytes,
}

test('entries come out of a frame as they went in, also from memory that was used before', () => {
  const builder = new FrameBuilder(1, new EntryHeader())
  fc.assert(
    fc.property(fc.array(entry, { maxLength: 8 }), (entries) => {
      builder.clear()
      for (const each of entries) builder.add(each)
      const blocks = builder.seal(header, journalId, nodeChecksum).slice()
      const found = readFrameHeader(blocks, 0, journalId, nodeChecksum)
      expect(found).toMatchObject({ ...header, entryCount: entries.length })
      expect(followsHeader(blocks, found!, nodeChecksum)).toBe(true)
      const payload = joinPayload(blocks, found!.payloadBytes)
      expect(new EntryReader().read(payload, entries.length, 'file', 0)).toEqual(entries)
    }),
  )
})

test('a frame of another journal, or with any flipped bit, is none', () => {
  fc.assert(
    fc.property(fc.array(entry, { minLength: 1, maxLength: 3 }), fc.nat(), (entries, place) => {
      const builder = new FrameBuilder(4)
      for (const each of entries) builder.add(each)
      const blocks = builder.seal(header, journalId, nodeChecksum).slice()
      expect(readFrameHeader(blocks, 0, new Uint8Array(16), nodeChecksum)).toBeNull()
      const bit = place % (blocks.length * 8)
      blocks[bit >> 3]! ^= 1 << (bit & 7)
      const found = readFrameHeader(blocks, 0, journalId, nodeChecksum)
      expect(found !== null && followsHeader(blocks, found, nodeChecksum)).toBe(false)
    }),
  )
})

test('bytes that are no entries are damage, whatever their lengths claim', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 200 }), fc.nat({ max: 2 ** 32 - 1 }), (payload, count) => {
      try {
        const found = new EntryReader().read(payload, count, 'file', 0)
        expect(found).toHaveLength(count)
      } catch (error) {
        expect(error).toBeInstanceOf(CorruptionError)
      }
    }),
  )
})

const state = fc.uint8Array({ maxLength: 60 }).map((value) => Buffer.from(value))
const checkpoint: fc.Arbitrary<StoredCheckpoint> = fc.record({
  number: offset,
  directoryId: fc.constant(new Uint8Array(16).fill(1)),
  journalId: fc.constant(journalId),
  replayFrom: fc.record({
    sequence: offset,
    generation: fc.nat(),
    position: offset,
    chain: fc.nat({ max: 2 ** 32 - 1 }),
    life: fc.nat(),
  }),
  flushedSequence: offset,
  usedGeneration: fc.nat({ max: 2 ** 32 - 1 }),
  clean: fc.boolean(),
  doubts: fc.nat({ max: 0x7fff }),
  logs: fc.array(
    fc.record({
      id,
      topicId: id,
      name: fc.string({ unit: 'grapheme', maxLength: 40 }),
      recoveryPoint: offset,
      logStartOffset: offset,
      states: fc.array(fc.record({ kind: fc.nat({ max: 255 }), bytes: state }), { maxLength: 3 }),
    }),
    { maxLength: 4 },
  ),
})

test('a checkpoint comes back as it was, and with a flipped bit or cut short is none', () => {
  fc.assert(
    fc.property(checkpoint, fc.nat(), (stored, place) => {
      const encoded = encodeCheckpoint(stored, nodeChecksum)
      const room = Buffer.concat([encoded, Buffer.alloc(1_000)])
      expect(decodeCheckpoint(room, nodeChecksum)).toEqual(stored)
      expect(decodeCheckpoint(encoded.subarray(0, place % encoded.length), nodeChecksum)).toBeNull()
      const bit = place % (encoded.length * 8)
      encoded[bit >> 3]! ^= 1 << (bit & 7)
      expect(decodeCheckpoint(encoded, nodeChecksum)).toBeNull()
    }),
  )
})

test('a checkpoint whose checksum is right and whose lengths lie is none', () => {
  fc.assert(
    fc.property(
      checkpoint,
      fc.nat(),
      fc.uint8Array({ minLength: 1, maxLength: 8 }),
      (stored, place, noise) => {
        const encoded = Buffer.from(encodeCheckpoint(stored, nodeChecksum))
        const from = 96 + (place % Math.max(1, encoded.length - 96 - noise.length))
        encoded.set(noise.subarray(0, encoded.length - from), from)
        encoded.writeUInt32BE(nodeChecksum.crc32c(encoded.subarray(8)), 4)
        const found = decodeCheckpoint(encoded, nodeChecksum)
        if (found !== null) expect(found.logs.length).toBeLessThanOrEqual(encoded.length / 52)
      },
    ),
  )
})

import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import type { SendPart } from '../../src/model/fileRange.ts'
import { fetchRequest, fetchResponse } from '../../src/protocol/apis/fetch.ts'
import { joinGroupRequest } from '../../src/protocol/apis/joinGroup.ts'
import { metadataRequest } from '../../src/protocol/apis/metadata.ts'
import { produceRequest } from '../../src/protocol/apis/produce.ts'
import { decode, encode, encodeParts } from '../../src/protocol/codec.ts'
import type { InferInput } from '../../src/protocol/schema.ts'
import { messageArbitrary } from './arbitraries.ts'
import { allSchemas } from './schemas.ts'

const schemas = await allSchemas()

test('whatever a version can carry comes back as it was, for every message and version', () => {
  for (const [name, schema] of schemas) {
    for (let version = schema.valid.from; version <= schema.valid.to; version++) {
      fc.assert(
        fc.property(messageArbitrary(schema, version), (value) => {
          expect(decode(schema, version, encode(schema, version, value)), `${name} ${version}`).toEqual(value)
        }),
        { numRuns: 15 },
      )
    }
  }
})

describe('encoding', () => {
  test('fields left out are at their default', () => {
    const request = decode(
      fetchRequest,
      12,
      encode(fetchRequest, 12, { topics: [{ topic: 'a', partitions: [{}] }] }),
    )
    expect(request).toMatchObject({ replicaId: -1, maxBytes: 0x7fff_ffff, sessionEpoch: -1, clusterId: null })
    expect(request.topics[0]!.partitions[0]).toEqual({
      partition: 0,
      currentLeaderEpoch: -1,
      fetchOffset: 0,
      lastFetchedEpoch: -1,
      logStartOffset: -1,
      partitionMaxBytes: 0,
      replicaDirectoryId: 'AAAAAAAAAAAAAAAAAAAAAA',
      highWatermark: Number.MAX_SAFE_INTEGER,
      own: null,
    })
  })

  test('a value that the version lacks is refused unless its field is ignorable', () => {
    expect(() => encode(metadataRequest, 3, { topics: [], allowAutoTopicCreation: false })).toThrow(
      expect.objectContaining({
        code: 'unsupportedVersion',
        message: expect.stringMatching(/^allowAutoTopicCreation: /),
      }),
    )
    expect(encode(metadataRequest, 3, { topics: [], allowAutoTopicCreation: true })).toHaveLength(4)
    const ignorable = { rebalanceTimeoutMs: 1, reason: 'because' }
    expect(encode(joinGroupRequest, 0, ignorable)).toEqual(encode(joinGroupRequest, 0, {}))
    expect(() => encode(joinGroupRequest, 4, { groupInstanceId: 'static' })).toThrow(
      expect.objectContaining({ code: 'unsupportedVersion' }),
    )
  })

  test('a struct that the version lacks is refused when one of its fields is not at its default', () => {
    const withLeader = (leaderId: number) => ({
      responses: [{ topic: 'a', partitions: [{ currentLeader: { leaderId }, records: null }] }],
    })
    expect(() => encode(fetchResponse, 11, withLeader(-1))).not.toThrow()
    expect(() => encode(fetchResponse, 11, withLeader(3))).toThrow(
      expect.objectContaining({
        code: 'unsupportedVersion',
        message: expect.stringMatching(/^responses\[0\]\.partitions\[0\]\.currentLeader: /),
      }),
    )
  })

  test('a version outside the schema is refused', () => {
    for (const version of [-1, 2, 14]) {
      expect(() => encode(produceRequest, version, {})).toThrow(
        expect.objectContaining({ code: 'unsupportedVersion' }),
      )
      expect(() => decode(produceRequest, version, new Uint8Array(0))).toThrow(
        expect.objectContaining({ code: 'unsupportedVersion' }),
      )
    }
  })

  test('a value that does not fit its type is refused with the path to it', () => {
    const refused = (value: InferInput<typeof fetchRequest>, message: RegExp) =>
      expect(() => encode(fetchRequest, 11, value)).toThrow(
        expect.objectContaining({ code: 'malformed', message: expect.stringMatching(message) }),
      )
    refused({ maxWaitMs: 2 ** 31 }, /^maxWaitMs: /)
    refused({ maxWaitMs: 0.5 }, /^maxWaitMs: /)
    refused({ maxWaitMs: Number.NaN }, /^maxWaitMs: /)
    refused({ isolationLevel: 128 }, /^isolationLevel: /)
    refused({ rackId: 'x'.repeat(0x8000) }, /^rackId: .* 32,767/)
    const offset = (fetchOffset: number) => ({ topics: [{}, { partitions: [{}, {}, { fetchOffset }] }] })
    refused(offset(2 ** 53), /^topics\[1\]\.partitions\[2\]\.fetchOffset: /)
    refused(offset(0.5), /^topics\[1\]\.partitions\[2\]\.fetchOffset: /)
    expect(() => encode(metadataRequest, 0, { topics: null })).toThrow(
      expect.objectContaining({ code: 'malformed' }),
    )
  })

  test('a message that was handed out is not touched by those that follow, nor by one that fails', () => {
    const first = encode(metadataRequest, 12, { topics: [{ name: 'kept' }] })
    const before = first.slice()
    expect(() => encode(fetchRequest, 11, { rackId: 'x'.repeat(40_000) })).toThrow()
    for (let i = 0; i < 2000; i++) encode(metadataRequest, 12, { topics: [{ name: `other-${i}` }] })
    expect(first).toEqual(before)
  })
})

describe('file ranges', () => {
  const file = { path: 'segment' }
  const range = (lengthBytes: number) => ({ file, position: 7, lengthBytes })
  const respond = (topic: string) => ({
    responses: [
      {
        topic,
        partitions: [
          { partitionIndex: 0, records: { lengthBytes: 30, parts: [range(10), range(20)] } },
          { partitionIndex: 1, records: { lengthBytes: 0, parts: [] } },
          { partitionIndex: 2, records: null },
          { partitionIndex: 3, records: new Uint8Array(2000).fill(9) },
          { partitionIndex: 4, records: Uint8Array.of(1, 2, 3) },
        ],
      },
    ],
  })
  /** The parts as bytes, a range as zeros. */
  const flatten = (parts: readonly SendPart[]) =>
    Buffer.concat(parts.map((part) => (part instanceof Uint8Array ? part : Buffer.alloc(part.lengthBytes))))

  test.each([4, 11, 12])(
    'come as parts of their own, between the bytes around them (version %i)',
    (version) => {
      // The long names behind the ranges make the message outgrow its slab, which has an earlier message in it.
      for (const behind of ['', 'x'.repeat(32_000)]) {
        encode(fetchResponse, version, {})
        const { responses } = respond('a')
        const body = { responses: [...responses, { topic: behind }, { topic: behind }, { topic: behind }] }
        const parts = encodeParts(fetchResponse, version, body)
        expect(parts.filter((part) => !(part instanceof Uint8Array))).toEqual([range(10), range(20)])
        const decoded = decode(fetchResponse, version, flatten(parts)).responses
        expect(decoded.map(({ topic }) => topic)).toEqual(['a', behind, behind, behind])
        const partitions = decoded[0]!.partitions
        const lengths = partitions.map(({ records }) => records?.length)
        expect(lengths).toEqual([30, 0, undefined, 2000, 3])
        expect(partitions[4]!.records).toEqual(Uint8Array.of(1, 2, 3))
      }
    },
  )

  test('large records in memory are not copied', () => {
    const records = new Uint8Array(4096)
    const parts = encodeParts(fetchResponse, 12, { responses: [{ partitions: [{ records }] }] })
    expect(parts).toContain(records)
  })

  test('leave the headroom that was asked for', () => {
    const bare = flatten(encodeParts(fetchResponse, 12, respond('a')))
    expect(flatten(encodeParts(fetchResponse, 12, respond('a'), 9)).subarray(9)).toEqual(bare)
  })

  test('are refused where only bytes can be given', () => {
    expect(() => encode(fetchResponse, 12, respond('a'))).toThrow(
      expect.objectContaining({ code: 'malformed' }),
    )
  })
})

describe('decoding', () => {
  test('records are views of the input, not copies', () => {
    const records = Uint8Array.of(5, 6, 7)
    const bytes = encode(produceRequest, 9, {
      topicData: [{ name: 'a', partitionData: [{ records }] }],
    }).slice()
    const decoded = decode(produceRequest, 9, bytes).topicData[0]!.partitionData[0]!.records!
    expect(decoded.buffer).toBe(bytes.buffer)
    expect(decoded).toEqual(records)
  })

  test('a count beyond the bytes that remain is refused before anything is allocated', () => {
    const claim = (count: number) => {
      const bytes = new Uint8Array(64)
      new DataView(bytes.buffer).setInt32(0, count)
      return () => decode(metadataRequest, 1, bytes)
    }
    for (const count of [33, 1_000_000, 0x7fff_ffff]) {
      expect(claim(count)).toThrow(
        expect.objectContaining({ code: 'malformed', message: expect.stringMatching(/^topics: /) }),
      )
    }
    expect(claim(-2)).toThrow(expect.objectContaining({ code: 'malformed' }))
  })

  test('an array of more than a million elements is refused though the bytes are there', () => {
    const bytes = new Uint8Array(4 + 2 * 1_000_001)
    new DataView(bytes.buffer).setInt32(0, 1_000_001)
    expect(() => decode(metadataRequest, 1, bytes)).toThrow(
      expect.objectContaining({ code: 'malformed', message: expect.stringMatching(/1000001 elements/) }),
    )
  })

  test('more than a million structs in many arrays are refused though each array is small', () => {
    const bytes = new Uint8Array(4_000_000)
    const count = [0xc1, 0x84, 0x3d] // 1,000,000 topics, the first with one partition: one struct too many.
    bytes.set([0, 0, 1, 0, 0, 0, 0, ...count, 1, 2])
    expect(() => decode(produceRequest, 9, bytes)).toThrow(
      expect.objectContaining({ code: 'malformed', message: expect.stringMatching(/1000000 structs/) }),
    )
  })

  test('more than 10,000 tagged fields are refused, and unknown ones are skipped', () => {
    const body = encode(metadataRequest, 12, { topics: [] })
    const end = body.length - 1
    const withTags = (count: number) => {
      const tags = Array.from({ length: count }, (_, tag) => [(tag & 0x7f) | 0x80, tag >> 7, 1, 42]).flat()
      return Uint8Array.from([...body.subarray(0, end), (count & 0x7f) | 0x80, count >> 7, ...tags])
    }
    expect(decode(metadataRequest, 12, withTags(10_000))).toEqual(decode(metadataRequest, 12, body))
    expect(() => decode(metadataRequest, 12, withTags(10_001))).toThrow(
      expect.objectContaining({ code: 'malformed' }),
    )
  })

  test('a tagged field whose size is not that of its value is refused', () => {
    const body = encode(fetchRequest, 12, { clusterId: 'abc' }).slice()
    const size = body.length - 5
    expect(body[size]).toBe(4)
    const longer = Uint8Array.from([...body, 0])
    longer[size] = 5
    expect(() => decode(fetchRequest, 12, longer)).toThrow(
      expect.objectContaining({ code: 'malformed', message: expect.stringMatching(/^clusterId: /) }),
    )
    const shorter = body.slice()
    shorter[size] = 3
    expect(() => decode(fetchRequest, 12, shorter)).toThrow(expect.objectContaining({ code: 'malformed' }))
  })

  test('bytes behind the message are refused', () => {
    const bytes = Uint8Array.from([...encode(metadataRequest, 12, {}), 0])
    expect(() => decode(metadataRequest, 12, bytes)).toThrow(expect.objectContaining({ code: 'malformed' }))
  })

  test('null is refused where the version does not allow it', () => {
    expect(decode(metadataRequest, 1, Uint8Array.of(255, 255, 255, 255)).topics).toBe(null)
    expect(() => decode(metadataRequest, 1, Uint8Array.of(255, 255, 255, 254))).toThrow(
      expect.objectContaining({ code: 'malformed', message: 'topics: the length -2 is negative' }),
    )
    expect(() => decode(metadataRequest, 0, Uint8Array.of(255, 255, 255, 255))).toThrow(
      expect.objectContaining({ code: 'malformed', message: 'topics: null is not allowed' }),
    )
  })
})

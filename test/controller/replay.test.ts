import { describe, expect, test } from 'vitest'
import { DeltaBuilder } from '../../src/controller/delta.ts'
import { MutableImage } from '../../src/controller/image.ts'
import { replay } from '../../src/controller/replay.ts'
import {
  decodeMetadataRecord,
  encodeMetadataRecord,
  type MetadataRecordInput,
} from '../../src/protocol/metadataRecords/metadataRecord.ts'
import { plain, testId, World } from './support.ts'

function replayed(...records: MetadataRecordInput[]): { image: MutableImage; delta: DeltaBuilder } {
  const image = new MutableImage('c')
  const delta = new DeltaBuilder()
  for (const record of records) replay(image, decodeMetadataRecord(encodeMetadataRecord(record)), delta)
  return { image, delta }
}

const topicRecord = { type: 'topicRecord', version: 0, name: 'a', topicId: testId(1) } as const
const partitionRecord = {
  type: 'partitionRecord',
  version: 1,
  partitionId: 0,
  topicId: testId(1),
  replicas: [1],
  isr: [1],
  leader: 1,
  leaderEpoch: 0,
  partitionEpoch: 0,
  directories: [testId(5)],
} as const
const configRecord = {
  type: 'configRecord',
  version: 0,
  resourceType: 2,
  resourceName: 'a',
  name: 'segment.ms',
  value: '5',
} as const

describe('replay refuses', () => {
  test.each<[string, string, MetadataRecordInput[]]>([
    ['a second topic of a name', 'corruptLog', [topicRecord, { ...topicRecord, topicId: testId(2) }]],
    ['a second topic of an id', 'corruptLog', [topicRecord, { ...topicRecord, name: 'b' }]],
    ['a partition of no topic', 'corruptLog', [partitionRecord]],
    ['a partition after a gap', 'corruptLog', [topicRecord, { ...partitionRecord, partitionId: 1 }]],
    ['a partition below zero', 'corruptLog', [topicRecord, { ...partitionRecord, partitionId: -1 }]],
    ['a config of no topic', 'corruptLog', [configRecord]],
    ['a config of what has none yet', 'unsupportedFormat', [{ ...configRecord, resourceType: 32 }]],
    [
      'the removal of no topic',
      'corruptLog',
      [{ type: 'removeTopicRecord', version: 0, topicId: testId(1) }],
    ],
    [
      'producer ids that go back',
      'corruptLog',
      [1000, 1000].map((nextProducerId) => ({
        type: 'producerIdsRecord',
        version: 0,
        brokerId: 1,
        nextProducerId,
      })),
    ],
    [
      'a record that it does not know the meaning of',
      'unsupportedFormat',
      [{ type: 'unregisterControllerRecord', version: 0, controllerId: 1 }],
    ],
  ])('%s: %s', (_, code, records) => {
    expect(() => replayed(...records)).toThrow(expect.objectContaining({ code }))
  })
})

test('a PartitionRecord for a partition that is there replaces it, and adds none', () => {
  const { image, delta } = replayed(topicRecord, partitionRecord, {
    ...partitionRecord,
    leader: 2,
    leaderEpoch: 1,
  })
  expect(image.topics.get('a')!.partitions).toEqual([
    expect.objectContaining({ partition: 0, leader: 2, leaderEpoch: 1 }),
  ])
  expect(delta.build()?.partitionsAdded).toEqual([])
})

test('a topic that one change creates and removes leaves no trace', () => {
  const remove = { type: 'removeTopicRecord', version: 0, topicId: testId(1) } as const
  const { image, delta } = replayed(topicRecord, partitionRecord, configRecord, remove)
  expect(delta.build()).toBeNull()
  expect(plain(image)).toEqual(plain(new MutableImage('c')))
})

test('a feature of level 0 is not finalized, and a no-op does nothing', () => {
  const level = (featureLevel: number): MetadataRecordInput => ({
    type: 'featureLevelRecord',
    version: 0,
    name: 'group.version',
    featureLevel,
  })
  expect(replayed(level(1)).image.features).toEqual(new Map([['group.version', 1]]))
  expect(replayed(level(1), level(0), { type: 'noOpRecord', version: 0 }).image.features.size).toBe(0)
})

describe('a registration', () => {
  const registration = (port: number) => ({
    brokerId: 1,
    incarnationId: testId(port),
    endpoints: [{ name: 'PLAINTEXT', host: 'localhost', port, securityProtocol: 0 }],
    rack: null,
    directories: [testId(2001)],
  })

  test('that says nothing new is not written again, whatever its incarnation', () => {
    const world = new World()
    expect(world.change({ type: 'registerBroker', registration: registration(9092) }).records).toEqual([])
  })

  test('of another address takes the place of the old one, in a later epoch', () => {
    const world = new World()
    const { epoch } = world.image.brokers.get(1)!
    world.run({ type: 'registerBroker', registration: registration(9999) })
    const known = world.image.brokers.get(1)!
    expect(known.endpoints[0]!.port).toBe(9999)
    expect(known.epoch).toBeGreaterThan(epoch)
    expect(world.image.brokers.size).toBe(1)
  })
})

test('blocks of producer ids never overlap', () => {
  const world = new World()
  const blocks = Array.from({ length: 3 }, () => world.run({ type: 'allocateProducerIds', brokerId: 1 }))
  expect(blocks).toEqual([
    { first: 0, count: 1000 },
    { first: 1000, count: 1000 },
    { first: 2000, count: 1000 },
  ])
})

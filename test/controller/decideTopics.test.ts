import { describe, expect, test } from 'vitest'
import type { CreatedTopic } from '../../src/controller/commands.ts'
import { zeroUuid } from '../../src/model/uuid.ts'
import { codeOr, errorOf, testId, World } from './support.ts'

describe('creating topics', () => {
  test('takes the counts from the broker when they are -1', () => {
    const world = new World({
      brokers: 3,
      broker: new Map([
        ['num.partitions', '4'],
        ['default.replication.factor', '2'],
      ]),
    })
    const { result, records, delta } = world.change({
      type: 'createTopics',
      topics: [{ name: 'orders', configs: [{ name: 'retention.ms', value: ' 5 ' }] }],
      topicIds: [testId(1)],
      requester: 'client',
    })
    expect(result).toEqual([
      {
        name: 'orders',
        topicId: testId(1),
        numPartitions: 4,
        replicationFactor: 2,
        configs: new Map([['retention.ms', '5']]),
      } satisfies CreatedTopic,
    ])
    expect(records.map((record) => record.type)).toEqual([
      'topicRecord',
      'configRecord',
      ...Array.from({ length: 4 }, () => 'partitionRecord'),
    ])
    expect(delta?.topicsCreated.map(({ name }) => name)).toEqual(['orders'])
    expect(delta).toMatchObject({ topicsDeleted: [], partitionsAdded: [], configsChanged: [] })
    const topic = world.image.topics.get('orders')!
    expect(topic.partitions.map(({ leader, replicas }) => [leader, ...replicas])).toEqual([
      [1, 1, 2],
      [2, 2, 3],
      [3, 3, 1],
      [1, 1, 3],
    ])
    expect(topic.partitions[0]).toMatchObject({
      leaderEpoch: 0,
      isr: [1, 2],
      directories: [testId(2001), testId(2002)],
    })
  })

  test.each([
    [{ numPartitions: 0 }, 'invalidPartitions', 'non-positive'],
    [{ numPartitions: -2 }, 'invalidPartitions', 'non-positive'],
    [{ numPartitions: 10_001 }, 'policyViolation', 'at most 10000'],
    [{ numPartitions: 2_147_483_647 }, 'policyViolation', 'at most 10000'],
    [{ replicationFactor: 0 }, 'invalidReplicationFactor', 'larger than 0'],
    [{ replicationFactor: -2 }, 'invalidReplicationFactor', 'larger than 0'],
    [
      { replicationFactor: 2 },
      'invalidReplicationFactor',
      'The target replication factor of 2 cannot be reached because only 1 broker(s) are registered.',
    ],
    [{ configs: [{ name: 'x', value: '1' }] }, 'invalidConfig', 'unknown topic config: x'],
    [{ configs: [{ name: 'preallocate', value: 'true' }] }, 'invalidConfig', 'not supported yet'],
    [
      {
        configs: [
          { name: 'segment.ms', value: '1' },
          { name: 'segment.ms', value: '2' },
        ],
      },
      'invalidConfig',
      'more than once',
    ],
    [
      { numPartitions: 1, assignments: [{ partitionIndex: 0, brokerIds: [1] }] },
      'invalidRequest',
      'numPartitions was not set to -1',
    ],
    [
      { replicationFactor: 1, assignments: [{ partitionIndex: 0, brokerIds: [1] }] },
      'invalidRequest',
      'replication factor was not set to -1',
    ],
    [{ assignments: [{ partitionIndex: 1, brokerIds: [1] }] }, 'invalidReplicaAssignment', 'consecutive'],
    [{ assignments: [{ partitionIndex: 0, brokerIds: [] }] }, 'invalidReplicaAssignment', 'empty'],
    [{ assignments: [{ partitionIndex: 0, brokerIds: [9] }] }, 'invalidReplicaAssignment', 'no such broker'],
    [
      { assignments: [{ partitionIndex: 0, brokerIds: [1, 1] }] },
      'invalidReplicaAssignment',
      'more than once',
    ],
    [
      {
        assignments: [
          { partitionIndex: 0, brokerIds: [1] },
          { partitionIndex: 0, brokerIds: [1] },
        ],
      },
      'invalidReplicaAssignment',
      'multiple',
    ],
  ])('refuses %j with %s', (topic, code, text) => {
    const world = new World()
    const { result, records, delta } = world.change({
      type: 'createTopics',
      topics: [{ name: 'orders', ...topic }],
      topicIds: [testId(1)],
      requester: 'client',
    })
    expect(errorOf(result[0])).toMatchObject({ code, message: expect.stringContaining(text) })
    expect(records).toEqual([])
    expect(delta).toBeNull()
  })

  test.each([
    ['num.partitions', '0', 'invalidPartitions'],
    ['num.partitions', 'many', 'invalidPartitions'],
    ['default.replication.factor', '0', 'invalidReplicationFactor'],
  ])('makes no topic of a senseless default: %s=%s', (name, value, code) => {
    const world = new World({ broker: new Map([[name, value]]) })
    expect(world.create({ name: 'orders' })).toEqual([code])
  })

  test('puts partitions where the caller says, in any order', () => {
    const world = new World({ brokers: 3 })
    const assignments = [
      { partitionIndex: 1, brokerIds: [1, 3] },
      { partitionIndex: 0, brokerIds: [2, 1] },
    ]
    expect(world.create({ name: 'orders', assignments })).toEqual(['created'])
    const { partitions } = world.image.topics.get('orders')!
    expect(partitions.map(({ replicas }) => replicas)).toEqual([
      [2, 1],
      [1, 3],
    ])
    const uneven = [
      { partitionIndex: 0, brokerIds: [1] },
      { partitionIndex: 1, brokerIds: [2, 3] },
    ]
    expect(world.create({ name: 'uneven', assignments: uneven })).toEqual(['invalidReplicaAssignment'])
  })

  test('decides about each topic on its own', () => {
    const world = new World()
    world.create({ name: 'there' })
    expect(
      world.create(
        { name: 'good' },
        { name: 'there' },
        { name: 'twice' },
        { name: '..' },
        { name: 'twice' },
        { name: 'many', numPartitions: 9_999 },
        { name: 'many-more', numPartitions: 1 },
        { name: 'last', numPartitions: 10_000 },
      ),
    ).toEqual([
      'created',
      'topicAlreadyExists',
      'invalidRequest',
      'invalidTopicException',
      'invalidRequest',
      'created',
      'policyViolation',
      'policyViolation',
    ])
    expect([...world.image.topics.keys()]).toEqual(['there', 'good', 'many'])
  })

  test('refuses names that collide, also with one of the same request, until the other is gone', () => {
    const world = new World()
    expect(world.create({ name: 'a.b' }, { name: 'a_b' }, { name: 'a-b' })).toEqual([
      'created',
      'invalidTopicException',
      'created',
    ])
    expect(world.create({ name: 'a_b' })).toEqual(['invalidTopicException'])
    const [outcome] = world.run({
      type: 'deleteTopics',
      topics: [{ name: 'a.b', topicId: zeroUuid }],
      requester: 'client',
    })
    expect(outcome).toMatchObject({ name: 'a.b' })
    expect(world.create({ name: 'a_b' })).toEqual(['created'])
  })

  test('a topic that is refused does not stand in the way of those after it', () => {
    const world = new World()
    expect(
      world.create({ name: 'a.b', numPartitions: 10_001 }, { name: 'a_b', numPartitions: 10_000 }),
    ).toEqual(['policyViolation', 'created'])
  })

  test('leaves internal topics to the broker', () => {
    const world = new World()
    expect(world.create({ name: '__consumer_offsets' }, { name: '__cluster_metadata' })).toEqual([
      'invalidTopicException',
      'topicAuthorizationFailed',
    ])
    const [outcome] = world.run({
      type: 'createTopics',
      topics: [{ name: '__consumer_offsets', numPartitions: 50 }],
      topicIds: [testId(9)],
      requester: 'broker',
    })
    expect(outcome).toMatchObject({ numPartitions: 50 })
  })
})

describe('deleting topics', () => {
  test('finds them by name and by id, and forgets their configs', () => {
    const world = new World()
    world.create({ name: 'a', configs: [{ name: 'segment.ms', value: '5' }] }, { name: 'b' }, { name: 'c' })
    const b = world.image.topics.get('b')!
    const { result, delta } = world.change({
      type: 'deleteTopics',
      topics: [
        { name: 'a', topicId: zeroUuid },
        { name: null, topicId: b.id },
        { name: 'nobody', topicId: zeroUuid },
        { name: null, topicId: testId(77) },
      ],
      requester: 'client',
    })
    expect(result.map(codeOr('deleted'))).toEqual([
      'deleted',
      'deleted',
      'unknownTopicOrPartition',
      'unknownTopicId',
    ])
    expect(delta?.topicsDeleted.map(({ name, partitions }) => [name, partitions.length])).toEqual([
      ['a', 1],
      ['b', 1],
    ])
    expect([...world.image.topics.keys()]).toEqual(['c'])
    world.create({ name: 'a' })
    expect(world.image.topics.get('a')!.configs.size).toBe(0)
  })

  test('refuses a topic that is named twice, by name and by id, and internal topics', () => {
    const world = new World()
    world.create({ name: 'a' })
    world.run({
      type: 'createTopics',
      topics: [{ name: '__consumer_offsets' }],
      topicIds: [testId(50)],
      requester: 'broker',
    })
    const { id } = world.image.topics.get('a')!
    const outcomes = world.run({
      type: 'deleteTopics',
      topics: [
        { name: 'a', topicId: zeroUuid },
        { name: null, topicId: id },
        { name: '__consumer_offsets', topicId: zeroUuid },
      ],
      requester: 'client',
    })
    expect(outcomes.map(codeOr('deleted'))).toEqual([
      'invalidRequest',
      'invalidRequest',
      'invalidTopicException',
    ])
    const byId = world.run({
      type: 'deleteTopics',
      topics: [{ name: null, topicId: testId(50) }],
      requester: 'client',
    })
    expect(byId.map(codeOr('deleted'))).toEqual(['invalidTopicException'])
    expect(world.image.topics.size).toBe(2)
  })

  test('refuses what has both a name and an id, or neither: nothing says which one is meant', () => {
    const world = new World()
    world.create({ name: 'a' }, { name: 'b' })
    const idOf = (name: string) => world.image.topics.get(name)!.id
    const { result, records } = world.change({
      type: 'deleteTopics',
      topics: [
        { name: 'a', topicId: testId(77) },
        { name: 'a', topicId: idOf('a') },
        { name: null, topicId: zeroUuid },
        { name: 'b', topicId: zeroUuid },
      ],
      requester: 'client',
    })
    const refused = 'invalidRequest'
    expect(result.map(codeOr('deleted'))).toEqual([refused, refused, refused, 'deleted'])
    expect(records).toHaveLength(1)
  })
})

describe('adding partitions', () => {
  test('grows a topic and says which partitions are new', () => {
    const world = new World({ brokers: 2 })
    world.create({ name: 'a', numPartitions: 2 })
    const { result, delta } = world.change({
      type: 'createPartitions',
      topics: [{ name: 'a', count: 4, assignments: null }],
      requester: 'client',
    })
    expect(result).toEqual([null])
    expect(delta?.partitionsAdded.map(({ topic, partitions }) => [topic.name, partitions])).toEqual([
      ['a', [2, 3]],
    ])
    expect(world.image.topics.get('a')!.partitions.map(({ leader }) => leader)).toEqual([1, 2, 1, 2])
  })

  test.each([
    [{ name: 'a', count: 2 }, 'invalidPartitions'],
    [{ name: 'a', count: 1 }, 'invalidPartitions'],
    [{ name: 'a', count: -1 }, 'invalidPartitions'],
    [{ name: 'a', count: 10_003 }, 'policyViolation'],
    [{ name: 'a', count: 2_147_483_647, assignments: [] }, 'policyViolation'],
    [{ name: 'b', count: 3 }, 'unknownTopicOrPartition'],
    [{ name: 'a', count: 4, assignments: [{ brokerIds: [1] }] }, 'invalidReplicaAssignment'],
    [{ name: 'a', count: 3, assignments: [{ brokerIds: [7] }] }, 'invalidReplicaAssignment'],
    [{ name: '__consumer_offsets', count: 3 }, 'invalidTopicException'],
  ])('refuses %j with %s', (growth, code) => {
    const world = new World()
    world.create({ name: 'a', numPartitions: 2 })
    const outcomes = world.run({ type: 'createPartitions', topics: [growth], requester: 'client' })
    expect(errorOf(outcomes[0]).code).toBe(code)
    expect(world.image.topics.get('a')!.partitions).toHaveLength(2)
  })

  test('puts them where the caller says', () => {
    const world = new World({ brokers: 3 })
    world.create({ name: 'a', numPartitions: 1, replicationFactor: 2 })
    const assignments = [{ brokerIds: [3, 1] }]
    world.run({
      type: 'createPartitions',
      topics: [{ name: 'a', count: 2, assignments }],
      requester: 'client',
    })
    expect(world.image.topics.get('a')!.partitions[1]).toMatchObject({ leader: 3, replicas: [3, 1] })
  })
})

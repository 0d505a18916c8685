import { describe, expect, test } from 'vitest'
import { type ConfigChange, ConfigOperation } from '../../src/controller/commands.ts'
import { codeOr, errorOf, testId, World } from './support.ts'

const topic = (resourceName: string) => ({ resourceType: 2, resourceName })

function worldWithTopic(): World {
  const world = new World()
  world.create({
    name: 'a',
    configs: [
      { name: 'segment.ms', value: '5' },
      { name: 'retention.ms', value: '7' },
    ],
  })
  return world
}

const configsOf = (world: World): unknown => Object.fromEntries(world.image.topics.get('a')!.configs)

describe('replacing configs', () => {
  test('sets what is named and takes back the rest', () => {
    const world = worldWithTopic()
    const configs = [
      { name: 'retention.ms', value: '7' },
      { name: 'retention.bytes', value: '100' },
    ]
    const { records, delta } = world.change({ type: 'alterConfigs', resources: [{ ...topic('a'), configs }] })
    expect(configsOf(world)).toEqual({ 'retention.ms': '7', 'retention.bytes': '100' })
    expect(records).toHaveLength(2)
    expect(delta?.configsChanged.map(({ name }) => name)).toEqual(['a'])
  })

  test('writes nothing when nothing changes', () => {
    const world = worldWithTopic()
    const configs = [
      { name: 'segment.ms', value: '5' },
      { name: 'retention.ms', value: '7' },
    ]
    const { records, delta } = world.change({ type: 'alterConfigs', resources: [{ ...topic('a'), configs }] })
    expect(records).toEqual([])
    expect(delta).toBeNull()
  })

  test.each([
    [{ ...topic('a'), configs: [{ name: 'segment.ms', value: null }] }, 'invalidConfig'],
    [{ ...topic('a'), configs: [{ name: 'segment.ms', value: '0' }] }, 'invalidConfig'],
    [
      {
        ...topic('a'),
        configs: [
          { name: 'min.compaction.lag.ms', value: '9' },
          { name: 'max.compaction.lag.ms', value: '8' },
        ],
      },
      'invalidConfig',
    ],
    [{ ...topic('b'), configs: [] }, 'unknownTopicOrPartition'],
    [{ ...topic('..'), configs: [] }, 'invalidTopicException'],
    [{ ...topic('__cluster_metadata'), configs: [] }, 'topicAuthorizationFailed'],
    [{ resourceType: 4, resourceName: '1', configs: [] }, 'invalidRequest'],
    [{ resourceType: 8, resourceName: '1', configs: [] }, 'invalidRequest'],
    [
      {
        ...topic('a'),
        configs: [
          { name: 'segment.ms', value: '1' },
          { name: 'segment.ms', value: '2' },
        ],
      },
      'invalidRequest',
    ],
  ])('refuses %j with %s', (resource, code) => {
    const world = worldWithTopic()
    const outcomes = world.run({ type: 'alterConfigs', resources: [resource] })
    expect(errorOf(outcomes[0]).code).toBe(code)
    expect(configsOf(world)).toEqual({ 'segment.ms': '5', 'retention.ms': '7' })
  })

  test('refuses a resource that is named twice, and carries out the others', () => {
    const world = worldWithTopic()
    world.create({ name: 'b' })
    const configs = [{ name: 'segment.ms', value: '9' }]
    const resources = [topic('a'), topic('b'), topic('a')].map((resource) => ({ ...resource, configs }))
    const outcomes = world.run({ type: 'alterConfigs', resources })
    expect(outcomes.map(codeOr('done'))).toEqual(['invalidRequest', 'done', 'invalidRequest'])
    expect(configsOf(world)).toEqual({ 'segment.ms': '5', 'retention.ms': '7' })
  })
})

describe('changing single configs', () => {
  function change(world: World, ...configs: ConfigChange['configs'][number][]): string {
    const resources = [{ ...topic('a'), configs }]
    return world.run({ type: 'incrementalAlterConfigs', resources }).map(codeOr('done'))[0]!
  }

  test('refuses what contradicts the rest: its own configs, and what the broker has for others (Kafka LogConfig)', () => {
    const world = new World({ broker: new Map([['log.cleaner.max.compaction.lag.ms', '1000']]) })
    world.create({ name: 'a' })
    const set = (name: string, value: string) => ({ name, configOperation: ConfigOperation.set, value })
    expect(change(world, set('min.compaction.lag.ms', '1001'))).toBe('invalidConfig')
    expect(change(world, set('min.compaction.lag.ms', '1000'))).toBe('done')
    expect(change(world, set('max.compaction.lag.ms', '999'))).toBe('invalidConfig')
    const both = [set('max.compaction.lag.ms', '5'), set('min.compaction.lag.ms', '5')]
    expect(change(world, ...both)).toBe('done')
    const configs = [{ name: 'min.compaction.lag.ms', value: '1001' }]
    expect(world.create({ name: 'b', configs })).toEqual(['invalidConfig'])
  })

  test('sets and deletes, and leaves the rest', () => {
    const world = worldWithTopic()
    const outcome = change(
      world,
      { name: 'segment.ms', configOperation: ConfigOperation.delete, value: null },
      { name: 'flush.messages', configOperation: ConfigOperation.set, value: '1' },
      { name: 'retention.bytes', configOperation: ConfigOperation.delete, value: null },
    )
    expect(outcome).toBe('done')
    expect(configsOf(world)).toEqual({ 'retention.ms': '7', 'flush.messages': '1' })
  })

  test('appends to lists and subtracts from them, beginning with the default', () => {
    const world = worldWithTopic()
    const name = 'cleanup.policy'
    const append = { name, configOperation: ConfigOperation.append, value: 'delete' }
    expect(change(world, append)).toBe('done')
    expect(configsOf(world)).toMatchObject({ 'cleanup.policy': 'delete' })
    expect(change(world, { ...append, value: 'compact' })).toBe('done')
    expect(configsOf(world)).toMatchObject({ 'cleanup.policy': 'delete,compact' })
    const subtract = { name, configOperation: ConfigOperation.subtract, value: 'delete' }
    expect(change(world, subtract)).toBe('done')
    expect(configsOf(world)).toMatchObject({ 'cleanup.policy': 'compact' })
    expect(change(world, { ...append, value: 'burn' })).toBe('invalidConfig')
    expect(configsOf(world)).toMatchObject({ 'cleanup.policy': 'compact' })
  })

  test.each([
    [{ name: 'segment.ms', configOperation: 0, value: '0' }, 'invalidConfig'],
    [{ name: 'segment.ms', configOperation: 0, value: null }, 'invalidConfig'],
    [{ name: 'nothing', configOperation: 1, value: null }, 'invalidConfig'],
    [{ name: 'nothing', configOperation: 2, value: 'a' }, 'invalidConfig'],
    [{ name: 'segment.ms', configOperation: 2, value: '5' }, 'invalidConfig'],
    [{ name: 'cleanup.policy', configOperation: 3, value: null }, 'invalidConfig'],
    [{ name: 'segment.ms', configOperation: 4, value: '5' }, 'invalidRequest'],
  ])('refuses %j with %s, and then changes nothing of the topic', (wrong, code) => {
    const world = worldWithTopic()
    const right = { name: 'retention.ms', configOperation: 0, value: '8' }
    expect(change(world, right, wrong)).toBe(code)
    expect(configsOf(world)).toEqual({ 'segment.ms': '5', 'retention.ms': '7' })
  })
})

test("the configs of internal topics are nobody else's to change", () => {
  const world = new World()
  const configs = [{ name: 'retention.ms', value: '-1' }]
  const name = '__consumer_offsets'
  world.run({
    type: 'createTopics',
    topics: [{ name, configs }],
    topicIds: [testId(1)],
    requester: 'broker',
  })
  const set = { name: 'retention.ms', configOperation: ConfigOperation.set, value: '1' }
  const outcomes = [
    ...world.run({ type: 'alterConfigs', resources: [{ ...topic(name), configs: [] }] }),
    ...world.run({ type: 'incrementalAlterConfigs', resources: [{ ...topic(name), configs: [set] }] }),
  ]
  expect(outcomes.map(codeOr('done'))).toEqual(['policyViolation', 'policyViolation'])
  expect(world.image.topics.get(name)!.configs.get('retention.ms')).toBe('-1')
})

test('the replicas of internal topics are throttled as others are, and nothing else is changed with it', () => {
  const world = new World()
  const name = '__consumer_offsets'
  world.run({
    type: 'createTopics',
    topics: [{ name, configs: [{ name: 'retention.ms', value: '-1' }] }],
    topicIds: [testId(1)],
    requester: 'broker',
  })
  const config = 'leader.replication.throttled.replicas'
  const alter = (...configs: ConfigChange['configs']) =>
    world
      .run({ type: 'incrementalAlterConfigs', resources: [{ ...topic(name), configs }] })
      .map(codeOr('done'))
  const append = { name: config, configOperation: ConfigOperation.append, value: '0:1' }
  expect(alter(append)).toEqual(['done'])
  const unset = { name: 'retention.ms', configOperation: ConfigOperation.delete, value: null }
  expect(alter({ ...append, value: '1:1' }, unset)).toEqual(['policyViolation'])
  expect(Object.fromEntries(world.image.topics.get(name)!.configs)).toEqual({
    'retention.ms': '-1',
    [config]: '0:1',
  })
})

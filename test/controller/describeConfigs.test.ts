import { describe, expect, test } from 'vitest'
import { describeConfigs } from '../../src/controller/describeConfigs.ts'
import { topicConfigTable } from '../../src/controller/topicConfigTable.ts'
import { World } from './support.ts'

const broker = new Map([
  ['log.retention.hours', '1'],
  ['num.partitions', '3'],
])
const node = { broker, nodeId: 1 }

function worldWithTopic(): World {
  const world = new World({ broker })
  world.create({ name: 'a', configs: [{ name: 'segment.bytes', value: '4096' }] })
  return world
}

const topicQuery = { resourceType: 2, resourceName: 'a', configurationKeys: null }

describe('the configs of a topic', () => {
  test('say where each value comes from', () => {
    const entries = describeConfigs(worldWithTopic().image, topicQuery, node)
    expect(entries).toHaveLength(topicConfigTable.size)
    const entry = (name: string) => entries.find((candidate) => candidate.name === name)
    expect(entry('segment.bytes')).toEqual({
      name: 'segment.bytes',
      value: '4096',
      readOnly: false,
      configSource: 1,
      isDefault: false,
      isSensitive: false,
      synonyms: [
        { name: 'segment.bytes', value: '4096', source: 1 },
        { name: 'log.segment.bytes', value: '1073741824', source: 5 },
      ],
      configType: 3,
      documentation: expect.stringContaining('segment'),
    })
    expect(entry('retention.ms')).toMatchObject({ value: '3600000', configSource: 4, isDefault: false })
    expect(entry('message.timestamp.before.max.ms')).toMatchObject({
      value: '9223372036854775807',
      configSource: 5,
      isDefault: true,
      configType: 5,
    })
  })

  test('are all of them when the list of those asked for is empty', () => {
    const query = { ...topicQuery, configurationKeys: [] }
    expect(describeConfigs(worldWithTopic().image, query, node)).toHaveLength(topicConfigTable.size)
  })

  test('are only those that were asked for, unknown names left out', () => {
    const query = { ...topicQuery, configurationKeys: ['segment.ms', 'nothing'] }
    expect(describeConfigs(worldWithTopic().image, query, node).map(({ name }) => name)).toEqual([
      'segment.ms',
    ])
  })
})

describe('the configs of the broker', () => {
  test('are what it was started with and the defaults of topics, read only', () => {
    const query = { resourceType: 4, resourceName: '1', configurationKeys: null }
    const entries = describeConfigs(worldWithTopic().image, query, node)
    expect(entries.every(({ readOnly }) => readOnly)).toBe(true)
    const values = new Map(entries.map(({ name, value, configSource }) => [name, [value, configSource]]))
    expect(values.get('num.partitions')).toEqual(['3', 4])
    expect(values.get('log.retention.hours')).toEqual(['1', 4])
    expect(values.get('log.segment.bytes')).toEqual(['1073741824', 5])
    expect(values.size).toBe(entries.length)
  })
})

test.each([
  [{ resourceType: 2, resourceName: 'b' }, 'unknownTopicOrPartition'],
  [{ resourceType: 2, resourceName: '..' }, 'invalidTopicException'],
  [{ resourceType: 4, resourceName: '2' }, 'invalidRequest'],
  [{ resourceType: 16, resourceName: 'x' }, 'invalidRequest'],
])('there are no configs of %j: %s', (resource, code) => {
  const query = { ...resource, configurationKeys: null }
  expect(() => describeConfigs(worldWithTopic().image, query, node)).toThrow(
    expect.objectContaining({ code }),
  )
})

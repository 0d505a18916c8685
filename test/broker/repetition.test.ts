import { expect, test } from 'vitest'
import { KafkaError } from '../../src/model/kafkaErrors.ts'
import { apiKeys } from '../../src/protocol/apiKeys.ts'
import { batchOf, createTopic, produce } from './support/produce.ts'
import { RawClient, runBroker } from './support/runningBroker.ts'

/** Requests that name the same thing again and again: a few bytes each, which must not mean the whole answer each. */

const error = (name: keyof typeof KafkaError): number => KafkaError[name].kafka
const topicResource = 2

async function world(partitions = 1) {
  const running = await runBroker()
  const client = await RawClient.connect(running.broker)
  await createTopic(client, 'orders', partitions)
  return { ...running, client }
}

test('metadata describes a topic once, however often its name or id is asked for', async () => {
  const { client } = await world(3)
  const topics = [{ name: 'orders' }, { name: 'missing' }, { name: 'orders' }, { name: 'missing' }]
  const byName = await client.request(apiKeys.metadata, 12, { topics, allowAutoTopicCreation: false })
  expect(byName.topics.map(({ name, partitions }) => [name, partitions.length])).toEqual([
    ['orders', 3],
    ['missing', 0],
  ])
  const { topicId } = byName.topics[0]!
  const twice = [
    { topicId, name: null },
    { topicId, name: null },
  ]
  const byId = await client.request(apiKeys.metadata, 12, { topics: twice })
  expect(byId.topics.map(({ name }) => name)).toEqual(['orders'])
})

test('configs are described once for each resource, with the keys of all its entries', async () => {
  const { client } = await world()
  const resource = { resourceType: topicResource, resourceName: 'orders' }
  const ask = async (...keys: (string[] | null)[]) => {
    const resources = keys.map((configurationKeys) => ({ ...resource, configurationKeys }))
    const { results } = await client.request(apiKeys.describeConfigs, 4, { resources })
    return results.map(({ configs }) => configs.map(({ name }) => name).sort())
  }
  expect(await ask(['retention.ms'], ['segment.bytes', 'retention.ms'])).toEqual([
    ['retention.ms', 'segment.bytes'],
  ])
  const [all] = await ask(null)
  expect(await ask(['retention.ms'], null)).toEqual([all])
  expect(await ask(null, ['retention.ms'])).toEqual([all])
})

test('a fetch answers each partition once, also over several entries of its topic', async () => {
  const { client } = await world(2)
  await produce(client, 'orders', batchOf(['a']))
  const partition = { partition: 0, fetchOffset: 0, partitionMaxBytes: 1 << 20 }
  const other = { ...partition, partition: 1 }
  const { responses } = await client.request(apiKeys.fetch, 12, {
    maxWaitMs: 0,
    minBytes: 1,
    topics: [
      { topic: 'orders', partitions: [partition, partition, other] },
      { topic: 'orders', partitions: [partition] },
    ],
  })
  const answered = responses.map(({ partitions }) =>
    partitions.map(({ partitionIndex, records }) => [partitionIndex, records!.length > 0]),
  )
  expect(answered.filter((entry) => entry.length > 0)).toEqual([
    [
      [0, true],
      [1, false],
    ],
  ])
  // The next fetch has its own count.
  const again = await client.request(apiKeys.fetch, 12, {
    maxWaitMs: 0,
    minBytes: 1,
    topics: [{ topic: 'orders', partitions: [partition] }],
  })
  expect(again.responses[0]!.partitions).toMatchObject([{ partitionIndex: 0, errorCode: 0 }])
})

test('an offset commit says of each partition what became of it when a topic stands in several entries', async () => {
  const { client } = await world(2)
  await client.request(apiKeys.findCoordinator, 4, { keyType: 0, coordinatorKeys: ['g'] })
  const commit = (...indexes: number[]) => ({
    name: 'orders',
    partitions: indexes.map((partitionIndex) => ({ partitionIndex, committedOffset: 7 })),
  })
  const topics = [commit(0, 9), { ...commit(0), name: 'missing' }, commit(1)]
  const body = { groupId: 'g', generationIdOrMemberEpoch: -1, topics }
  const answer = await client.request(apiKeys.offsetCommit, 8, body)
  const unknown = error('unknownTopicOrPartition')
  expect(answer.topics).toMatchObject([
    {
      name: 'orders',
      partitions: [
        { partitionIndex: 0, errorCode: 0 },
        { partitionIndex: 9, errorCode: unknown },
      ],
    },
    { name: 'missing', partitions: [{ partitionIndex: 0, errorCode: unknown }] },
    { name: 'orders', partitions: [{ partitionIndex: 1, errorCode: 0 }] },
  ])
})

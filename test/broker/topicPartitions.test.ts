import { expect, test } from 'vitest'
import { KafkaError } from '../../src/model/kafkaErrors.ts'
import { apiKeys } from '../../src/protocol/apiKeys.ts'
import { createTopic } from './support/produce.ts'
import { RawClient, runBroker } from './support/runningBroker.ts'

const error = (name: keyof typeof KafkaError): number => KafkaError[name].kafka
const api = apiKeys.describeTopicPartitions

async function world() {
  const { broker } = await runBroker()
  const client = await RawClient.connect(broker)
  await createTopic(client, 'b', 3)
  await createTopic(client, 'a', 2)
  return client
}

type Cursor = { readonly topicName: string; readonly partitionIndex: number } | null

async function describe(client: RawClient, names: readonly string[], limit = 2_000, cursor: Cursor = null) {
  const topics = names.map((name) => ({ name }))
  const answer = await client.request(api, 0, { topics, responsePartitionLimit: limit, cursor })
  return {
    topics: answer.topics.map(({ name, errorCode, partitions }) =>
      errorCode === 0 ? [name, partitions.map(({ partitionIndex }) => partitionIndex)] : [name, errorCode],
    ),
    next: answer.nextCursor,
  }
}

test('DescribeTopicPartitions describes topics in order, all or those asked for, each once', async () => {
  const client = await world()
  const both = [
    ['a', [0, 1]],
    ['b', [0, 1, 2]],
  ]
  expect(await describe(client, [])).toEqual({ topics: both, next: null })
  expect(await describe(client, ['b', 'a', 'b', 'no', '?'])).toEqual({
    topics: [['?', error('invalidTopicException')], ...both, ['no', error('unknownTopicOrPartition')]],
    next: null,
  })
  const [described] = (await client.request(api, 0, { topics: [{ name: 'a' }] })).topics
  expect(described!.partitions[1]).toMatchObject({
    errorCode: 0,
    leaderId: 1,
    replicaNodes: [1],
    isrNodes: [1],
    eligibleLeaderReplicas: [],
    offlineReplicas: [],
  })
})

test('what does not fit is left for the next request, which goes on at the cursor', async () => {
  const client = await world()
  const seen: unknown[] = []
  let cursor: Cursor = null
  do {
    const { topics, next } = await describe(client, [], 2, cursor)
    seen.push(topics)
    cursor = next
  } while (cursor !== null)
  expect(seen).toEqual([[['a', [0, 1]]], [['b', [0, 1]]], [['b', [2]]]])
  expect((await describe(client, ['a', 'b'], 3)).next).toEqual({ topicName: 'b', partitionIndex: 1 })
  expect((await describe(client, ['a'], 0)).topics).toEqual([['a', [0]]])
  const beyond = { topicName: 'b', partitionIndex: 9 }
  expect(await describe(client, [], 9, beyond)).toEqual({ topics: [['b', []]], next: null })
})

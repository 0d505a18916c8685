import { expect, test } from 'vitest'
import { apiKeys } from '../../src/protocol/apiKeys.ts'
import { RawClient } from './support/runningBroker.ts'
import { RunningCluster } from './support/runningCluster.ts'

test('three brokers create a topic, whichever is asked, and all of them know it', async () => {
  const cluster = await RunningCluster.start(3)
  const clients = await Promise.all(
    [...cluster.brokers.values()].map(({ broker }) => RawClient.connect(broker)),
  )
  for (const [index, client] of clients.entries()) {
    const { topics } = await client.request(apiKeys.createTopics, 7, {
      topics: [
        { name: `topic-${index}`, numPartitions: 3, replicationFactor: 3, assignments: [], configs: [] },
      ],
      timeoutMs: 10_000,
      validateOnly: false,
    })
    expect(topics).toMatchObject([
      { name: `topic-${index}`, errorCode: 0, numPartitions: 3, replicationFactor: 3 },
    ])
    // Who has created a topic sees it at once on the broker that has answered.
    const { brokers, topics: seen } = await client.request(apiKeys.metadata, 12, {
      topics: [{ name: `topic-${index}` }],
    })
    expect(brokers.map(({ nodeId }) => nodeId)).toEqual([1, 2, 3])
    expect(seen[0]!.partitions).toHaveLength(3)
  }
})

test('who creates a topic with two replicas is told what that means, in the answer and in the log', async () => {
  const cluster = await RunningCluster.start(3)
  const client = await RawClient.connect(cluster.brokers.get(1)!.broker)
  const create = async (name: string, replicationFactor: number) => {
    const { topics } = await client.request(apiKeys.createTopics, 7, {
      topics: [{ name, numPartitions: 1, replicationFactor, assignments: [], configs: [] }],
      timeoutMs: 10_000,
    })
    return topics[0]!
  }
  expect(await create('pair', 2)).toMatchObject({
    errorCode: 0,
    errorMessage: expect.stringMatching(/one of them is away/),
  })
  expect(await create('three', 3)).toMatchObject({ errorCode: 0, errorMessage: null })
  const said = [...cluster.brokers.values()].flatMap(({ logger }) => logger.lines)
  expect(said.filter((line) => line.includes('two replicas'))).toHaveLength(1)
})

import { readdirSync } from 'node:fs'
import { expect, test, vi } from 'vitest'
import { apiKeys } from '../../src/protocol/apiKeys.ts'
import { RawClient, runBroker } from './support/runningBroker.ts'
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

test('what was deleted while a broker was away is gone from its disk once it is back', async () => {
  const cluster = await RunningCluster.start(3)
  const client = await RawClient.connect(cluster.brokers.get(1)!.broker)
  const topics = ['goes', 'stays'].map((name) => ({
    name,
    numPartitions: 2,
    replicationFactor: 3,
    assignments: [],
    configs: [],
  }))
  await client.request(apiKeys.createTopics, 7, { topics, timeoutMs: 10_000 })
  const away = cluster.brokers.get(3)!
  await away.close()
  const { responses } = await client.request(apiKeys.deleteTopics, 6, {
    topics: [{ name: 'goes' }],
    timeoutMs: 10_000,
  })
  expect(responses).toMatchObject([{ errorCode: 0 }])
  expect(readdirSync(away.directory)).toContain('goes-0')
  const back = await cluster.startOne(3)
  await back.broker.cluster!.metadata.settled()
  const logs = (): string[] =>
    readdirSync(away.directory)
      .filter((name) => /^(goes|stays)-\d$/.test(name))
      .sort()
  await vi.waitFor(() => expect(logs()).toEqual(['stays-0', 'stays-1']), 10_000)
})

test('a directory of a cluster is refused by a broker that stands alone, and the other way round', async () => {
  const cluster = await RunningCluster.start(1)
  const { directory, close } = cluster.brokers.get(1)!
  await close()
  await expect(runBroker({ directory })).rejects.toMatchObject({
    code: 'directoryForeign',
    message: expect.stringMatching(/process\.roles/),
  })
  const alone = await runBroker()
  await alone.close()
  const taken = await RunningCluster.start(1, { settings: { 'log.dirs': alone.directory } }).catch(
    (error: unknown) => error,
  )
  expect(taken).toMatchObject({ code: 'directoryForeign' })
})

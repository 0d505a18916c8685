import { readdirSync } from 'node:fs'
import { expect, test, vi } from 'vitest'
import { EngineError } from '../../src/model/errors.ts'
import { apiKeys } from '../../src/protocol/apiKeys.ts'
import { batchOf, produce } from './support/produce.ts'
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

test('replicas move to a broker that came later, and leadership to whom it is given', async () => {
  const cluster = await RunningCluster.start(3, { spare: 1 })
  await cluster.startOne(4)
  const { metadata } = cluster.brokers.get(2)!.broker.cluster!
  const assignments = [{ partitionIndex: 0, brokerIds: [1, 2, 3] }]
  await metadata.createTopics([{ name: 'moves', assignments }])
  const partition = () => metadata.image.topics.get('moves')!.partitions[0]!
  await vi.waitFor(() => expect(partition()).toMatchObject({ leader: 1, isr: [1, 2, 3] }), 10_000)
  const change = { topic: 'moves', partition: 0, replicas: [4, 2, 3] }
  expect(await metadata.alterPartitionReassignments([change])).toEqual([null])
  await vi.waitFor(() => expect(metadata.listPartitionReassignments(null)).toEqual([]), 20_000)
  expect(partition()).toMatchObject({ replicas: [4, 2, 3], addingReplicas: [], removingReplicas: [] })
  await vi.waitFor(() => expect(partition().isr).toEqual([4, 2, 3]), 10_000)
  // The first replica is given the lead when that is asked for, unless it has taken it already.
  const [elected] = await metadata.electLeaders('preferred', [{ topic: 'moves', partition: 0 }], 10_000)
  expect([null, 'electionNotNeeded']).toContain(
    elected!.outcome instanceof EngineError ? elected!.outcome.code : elected!.outcome,
  )
  expect(partition().leader).toBe(4)
  const [again, unknown] = await metadata.electLeaders(
    'preferred',
    [
      { topic: 'moves', partition: 0 },
      { topic: 'nothing', partition: 0 },
    ],
    1000,
  )
  expect(again!.outcome).toMatchObject({ code: 'electionNotNeeded' })
  expect(unknown!.outcome).toMatchObject({ code: 'unknownTopicOrPartition' })
  const gone = cluster.brokers.get(1)!
  await vi.waitFor(() => expect(readdirSync(gone.directory)).not.toContain('moves-0'), 10_000)
})

test('partitions go on without a majority of the controllers; metadata waits for one', async () => {
  const rolesOf = (nodeId: number): string => (nodeId <= 3 ? 'controller' : 'broker')
  const cluster = await RunningCluster.start(6, { rolesOf })
  const { broker } = cluster.brokers.get(4)!
  const client = await RawClient.connect(broker)
  const created = await broker.cluster!.metadata.createTopics([
    { name: 'orders', assignments: [{ partitionIndex: 0, brokerIds: [4, 5, 6] }] },
  ])
  expect(created).toMatchObject([{ name: 'orders' }])
  const partition = () => broker.cluster!.metadata.image.topics.get('orders')!.partitions[0]!
  await vi.waitFor(() => expect(partition().leader).toBe(4), 10_000)
  expect((await produce(client, 'orders', batchOf(['before']))).errorCode).toBe(0)
  await Promise.all([2, 3].map((id) => cluster.brokers.get(id)!.close()))
  expect((await produce(client, 'orders', batchOf(['after']))).errorCode).toBe(0)
  const { topics } = await client.request(apiKeys.createTopics, 7, {
    topics: [{ name: 'waits', numPartitions: 1, replicationFactor: 3, assignments: [], configs: [] }],
    timeoutMs: 500,
  })
  expect(topics).toMatchObject([{ errorCode: 7 }])
  // Nobody can fence anybody, and nobody is fenced.
  expect([...broker.cluster!.metadata.image.brokers.values()].map(({ fenced }) => fenced)).toEqual([
    false,
    false,
    false,
  ])
  await cluster.startOne(2)
  await vi.waitFor(() => expect(broker.cluster!.metadata.image.topics.has('waits')).toBe(true), 10_000)
})

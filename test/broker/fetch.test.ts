import { expect, test } from 'vitest'
import { KafkaError } from '../../src/model/kafkaErrors.ts'
import { randomUuid } from '../../src/model/uuid.ts'
import { apiKeys } from '../../src/protocol/apiKeys.ts'
import type { Infer } from '../../src/protocol/schema.ts'
import { createNodeRuntime } from '../../src/runtime/node/nodeRuntime.ts'
import { BatchHeader } from '../../src/segment/recordBatch.ts'
import { batchOf, createTopic, produce } from './support/produce.ts'
import { RawClient, runBroker } from './support/runningBroker.ts'

const error = (name: keyof typeof KafkaError): number => KafkaError[name].kafka

type FetchResponse = Infer<(typeof apiKeys)['fetch']['response']>
type FetchedPartition = FetchResponse['responses'][number]['partitions'][number]

interface Ask {
  readonly partitions?: readonly number[]
  readonly fetchOffset?: number
  readonly maxWaitMs?: number
  readonly minBytes?: number
  readonly maxBytes?: number
  readonly partitionMaxBytes?: number
  readonly currentLeaderEpoch?: number
  readonly lastFetchedEpoch?: number
  readonly sessionId?: number
}

function fetchBody(topic: string, ask: Ask) {
  const { partitions = [0], fetchOffset = 0, currentLeaderEpoch = -1, lastFetchedEpoch = -1 } = ask
  const { partitionMaxBytes = 1 << 20 } = ask
  return {
    maxWaitMs: ask.maxWaitMs ?? 0,
    minBytes: ask.minBytes ?? 1,
    maxBytes: ask.maxBytes ?? 1 << 24,
    sessionId: ask.sessionId ?? 0,
    topics: [
      {
        topic,
        partitions: partitions.map((partition) => ({
          partition,
          fetchOffset,
          currentLeaderEpoch,
          lastFetchedEpoch,
          partitionMaxBytes,
        })),
      },
    ],
  }
}

async function fetch(client: RawClient, topic: string, ask: Ask = {}): Promise<readonly FetchedPartition[]> {
  const { responses } = await client.request(apiKeys.fetch, 12, fetchBody(topic, ask))
  return responses[0]!.partitions
}

/** First and last offset of each batch. */
function batches({ records }: FetchedPartition): [number, number][] {
  const found: [number, number][] = []
  for (let at = 0; at < records!.length; ) {
    const header = new BatchHeader(records!, at)
    found.push([header.baseOffset, header.lastOffset])
    at += header.sizeBytes
  }
  return found
}

async function world(partitions = 1) {
  const running = await runBroker()
  const client = await RawClient.connect(running.broker)
  await createTopic(client, 'orders', partitions)
  return { ...running, client }
}

test('a fetch returns the batches from the offset on, and where the log begins and ends', async () => {
  const { client } = await world()
  for (const values of [['a', 'b'], ['c'], ['d', 'e', 'f']]) await produce(client, 'orders', batchOf(values))
  const [from1] = await fetch(client, 'orders', { fetchOffset: 1 })
  expect(from1).toMatchObject({ errorCode: 0, highWatermark: 6, lastStableOffset: 6, logStartOffset: 0 })
  expect(batches(from1!)).toEqual([
    [0, 1],
    [2, 2],
    [3, 5],
  ])
  expect(batches((await fetch(client, 'orders', { fetchOffset: 4 }))[0]!)).toEqual([[3, 5]])
})

test('limits cut between batches, and the first batch always comes whole', async () => {
  const { client } = await world()
  for (let nth = 0; nth < 4; nth++) await produce(client, 'orders', batchOf(['x'.repeat(1000)]))
  expect(batches((await fetch(client, 'orders', { partitionMaxBytes: 10 }))[0]!)).toEqual([[0, 0]])
  expect(batches((await fetch(client, 'orders', { maxBytes: 2500 }))[0]!)).toEqual([
    [0, 0],
    [1, 1],
  ])
})

test('with a limit that is enough for one, every partition has its turn', async () => {
  const { client } = await world(3)
  for (const index of [0, 1, 2]) await produce(client, 'orders', batchOf(['x'.repeat(1000)]), { index })
  const seen = new Set<number>()
  for (let nth = 0; nth < 3; nth++) {
    for (const partition of await fetch(client, 'orders', { partitions: [0, 1, 2], maxBytes: 100 })) {
      if (partition.records!.length > 0) seen.add(partition.partitionIndex)
    }
  }
  expect([...seen].sort()).toEqual([0, 1, 2])
})

test('a fetch at the end waits until something is produced', async () => {
  const { client, broker } = await world()
  const consumer = await RawClient.connect(broker)
  consumer.send(apiKeys.fetch, 12, fetchBody('orders', { maxWaitMs: 20_000 }))
  await waits(broker, 1)
  await produce(client, 'orders', batchOf(['news']))
  const { responses } = await consumer.response(apiKeys.fetch, 12)
  expect(batches(responses[0]!.partitions[0]!)).toEqual([[0, 0]])
  expect(broker.load.waitingFetches).toBe(0)
})

test('a fetch waits for minBytes, not for the first record', async () => {
  const { client, broker } = await world()
  const consumer = await RawClient.connect(broker)
  consumer.send(apiKeys.fetch, 12, fetchBody('orders', { maxWaitMs: 20_000, minBytes: 2500 }))
  await waits(broker, 1)
  for (let nth = 0; nth < 2; nth++) {
    await produce(client, 'orders', batchOf(['x'.repeat(1000)]))
    expect(broker.load.waitingFetches).toBe(1)
  }
  await produce(client, 'orders', batchOf(['x'.repeat(1000)]))
  const { responses } = await consumer.response(apiKeys.fetch, 12)
  expect(batches(responses[0]!.partitions[0]!)).toHaveLength(3)
})

test('a fetch that has waited for maxWaitMs is answered with nothing', async () => {
  const { client } = await world()
  const [empty] = await fetch(client, 'orders', { maxWaitMs: 20 })
  expect(empty).toMatchObject({ errorCode: 0, highWatermark: 0 })
  expect(empty!.records).toHaveLength(0)
})

test.each(['destroy', 'end'] as const)('a waiting fetch ends when its client goes (%s)', async (how) => {
  const { broker } = await world()
  const consumer = await RawClient.connect(broker)
  consumer.send(apiKeys.fetch, 12, fetchBody('orders', { maxWaitMs: 600_000 }))
  await waits(broker, 1)
  consumer.socket[how]()
  await waits(broker, 0)
  expect(broker.load.requestBytes).toBe(0)
})

test('a waiting fetch learns that its topic was deleted', async () => {
  const { client, broker } = await world()
  const consumer = await RawClient.connect(broker)
  consumer.send(apiKeys.fetch, 12, fetchBody('orders', { maxWaitMs: 600_000 }))
  await waits(broker, 1)
  await client.request(apiKeys.deleteTopics, 5, { topicNames: ['orders'] })
  const { responses } = await consumer.response(apiKeys.fetch, 12)
  expect(responses[0]!.partitions[0]!.errorCode).toBe(error('unknownTopicOrPartition'))
})

test.each<[string, string, Ask, keyof typeof KafkaError]>([
  ['an offset behind the end', 'orders', { fetchOffset: 5 }, 'offsetOutOfRange'],
  ['a negative offset', 'orders', { fetchOffset: -1 }, 'offsetOutOfRange'],
  ['a topic that is not there', 'nothing', {}, 'unknownTopicOrPartition'],
  ['a partition that is not there', 'orders', { partitions: [4] }, 'unknownTopicOrPartition'],
  ['a leader epoch of the future', 'orders', { currentLeaderEpoch: 9 }, 'unknownLeaderEpoch'],
])('answered at once with an error: %s', async (_name, topic, ask, name) => {
  const { client } = await world()
  await produce(client, 'orders', batchOf(['a']))
  const [partition] = await fetch(client, topic, { maxWaitMs: 600_000, ...ask })
  expect(partition!.errorCode).toBe(error(name))
})

test('a fetch session that the broker never gave is unknown to it; a new one gets id 0', async () => {
  const { client } = await world()
  const unknown = await client.request(apiKeys.fetch, 12, fetchBody('orders', { sessionId: 77 }))
  expect(unknown.errorCode).toBe(error('fetchSessionIdNotFound'))
  const full = await client.request(apiKeys.fetch, 12, { ...fetchBody('orders', {}), sessionEpoch: 0 })
  expect(full).toMatchObject({ errorCode: 0, sessionId: 0 })
})

test('a topic id that nobody knows has no records, and no name to guess', async () => {
  const { client } = await world()
  const asked = fetchBody('orders', {})
  const topicId = randomUuid(createNodeRuntime().random)
  const body = { ...asked, topics: asked.topics.map((topic) => ({ ...topic, topicId })) }
  const { responses } = await client.request(apiKeys.fetch, 13, body)
  expect(responses[0]!.topicId).toBe(topicId)
  expect(responses[0]!.partitions[0]).toMatchObject({ errorCode: error('unknownTopicId') })
})

test('a client that claims to be a replica is refused', async () => {
  const { client } = await world()
  await produce(client, 'orders', batchOf(['a']))
  const old = await client.request(apiKeys.fetch, 12, { ...fetchBody('orders', {}), replicaId: 2 })
  const { topics } = await client.request(apiKeys.metadata, 12, { topics: [{ name: 'orders' }] })
  const asked = fetchBody('orders', {})
  const named = asked.topics.map((topic) => ({ ...topic, topicId: topics[0]!.topicId }))
  const replicaState = { replicaId: 2, replicaEpoch: 1 }
  const recent = await client.request(apiKeys.fetch, 17, { ...asked, topics: named, replicaState })
  for (const { responses } of [old, recent]) {
    expect(responses[0]!.partitions[0]).toMatchObject({ errorCode: error('topicAuthorizationFailed') })
    expect(responses[0]!.partitions[0]!.records).toHaveLength(0)
  }
})

test('every version of Fetch returns the same bytes', async () => {
  const { client } = await world()
  await produce(client, 'orders', batchOf(['a', 'b']))
  const [expected] = await fetch(client, 'orders')
  const { topics } = await client.request(apiKeys.metadata, 12, { topics: [{ name: 'orders' }] })
  const { topicId } = topics[0]!
  for (let version = apiKeys.fetch.min; version <= apiKeys.fetch.max; version++) {
    const asked = fetchBody('orders', {})
    const body = { ...asked, topics: asked.topics.map((topic) => ({ ...topic, topicId })) }
    const { responses } = await client.request(apiKeys.fetch, version, body)
    expect(Buffer.from(responses[0]!.partitions[0]!.records!)).toEqual(Buffer.from(expected!.records!))
  }
})

/** Until that many fetches wait; the broker says so, nothing is timed. */
async function waits(broker: { load: { waitingFetches: number } }, count: number): Promise<void> {
  while (broker.load.waitingFetches !== count) await new Promise((resolve) => setImmediate(resolve))
}

test('a fetch that read an epoch unknown to the log is told at once that its offset is out of range', async () => {
  const { client } = await world()
  await produce(client, 'orders', batchOf(['a']))
  const [partition] = await fetch(client, 'orders', {
    fetchOffset: 1,
    lastFetchedEpoch: 1000,
    maxWaitMs: 60_000,
  })
  expect(partition).toMatchObject({ errorCode: error('offsetOutOfRange') })
})

test.each([
  [9, [error('unsupportedCompressionType'), 0]],
  [10, [0, 0]],
])('version %i of fetch and batches of zstd', async (version, expected) => {
  const { client } = await world(2)
  const zstd = { id: 4, compress: (bytes: Uint8Array) => bytes }
  await produce(client, 'orders', batchOf(['a'], { compression: zstd }))
  await produce(client, 'orders', batchOf(['b']), { index: 1 })
  const body = fetchBody('orders', { partitions: [0, 1] })
  const { responses } = await client.request(apiKeys.fetch, version, body)
  const { partitions } = responses[0]!
  expect(partitions.map(({ errorCode }) => errorCode)).toEqual(expected)
  expect(partitions.map(({ records }) => records!.length > 0)).toEqual([version >= 10, true])
})

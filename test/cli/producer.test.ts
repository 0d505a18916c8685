import { expect, test } from 'vitest'
import { Client, type ClusterMetadata } from '../../src/cli/client.ts'
import { Producer } from '../../src/cli/producer.ts'
import { runBroker } from '../broker/support/runningBroker.ts'

/** A client that is told of other leaders first, as while a broker has died and nobody is in its place yet. */
class LateClient extends Client {
  readonly leaders: number[] = []

  override async metadata(names: readonly string[] | null, create = false): Promise<ClusterMetadata> {
    const found = await super.metadata(names, create)
    const leader = found.topics.length > 0 ? this.leaders.shift() : undefined
    if (leader === undefined) return found
    const topics = found.topics.map((topic) => ({
      ...topic,
      partitions: topic.partitions.map((partition) => ({ ...partition, leader })),
    }))
    return { ...found, topics }
  }
}

test('a producer waits while its partition is led by a broker that is gone, and then by nobody', async () => {
  const { broker, runtime } = await runBroker()
  const client = new LateClient(runtime, { bootstrap: [broker.address] })
  await client.topic('orders', true)
  client.leaders.push(7, -1)
  const producer = await Producer.open(client, runtime, 'orders', {
    acks: -1,
    batchBytes: 16_384,
    compression: null,
    partitioner: 'murmur2',
    partition: null,
    idempotent: true,
    lingerMs: 0,
    deliveryTimeoutMs: 30_000,
  })
  producer.add({ key: null, value: Buffer.from('a'), headers: [], timestampMs: null, partition: null })
  await producer.flush()
  expect(producer.stats.records).toBe(1)
  expect(client.leaders).toEqual([])
  await client.close()
})

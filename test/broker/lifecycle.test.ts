import { expect, test } from 'vitest'
import { startBroker } from '../../src/index.ts'
import { KafkaError } from '../../src/model/kafkaErrors.ts'
import { apiKeys } from '../../src/protocol/apiKeys.ts'
import { temporaryDirectory } from '../support/temporaryDirectory.ts'
import { batchOf, createTopic, produce } from './support/produce.ts'
import { RawClient, runBroker } from './support/runningBroker.ts'

test('closing answers the fetches and members that wait, and keeps what was acknowledged', async () => {
  const { broker, directory, close } = await runBroker({
    settings: { 'group.initial.rebalance.delay.ms': '600000' },
  })
  const producer = await RawClient.connect(broker)
  await createTopic(producer, 'orders')
  expect(await produce(producer, 'orders', batchOf(['a', 'b']))).toMatchObject({ errorCode: 0 })
  await producer.request(apiKeys.findCoordinator, 2, { key: 'g' })

  const consumer = await RawClient.connect(broker)
  const partitions = [{ partition: 0, fetchOffset: 2, partitionMaxBytes: 1000 }]
  consumer.send(apiKeys.fetch, 11, {
    maxWaitMs: 600_000,
    minBytes: 1,
    topics: [{ topic: 'orders', partitions }],
  })
  const member = await RawClient.connect(broker)
  member.send(apiKeys.joinGroup, 2, {
    groupId: 'g',
    sessionTimeoutMs: 60_000,
    rebalanceTimeoutMs: 600_000,
    memberId: '',
    protocolType: 'consumer',
    protocols: [{ name: 'range', metadata: Buffer.from('m') }],
  })
  while (broker.load.waitingFetches === 0 || broker.load.requestsInFlight < 2) {
    await new Promise((resolve) => setImmediate(resolve))
  }
  const closing = close()
  const { responses } = await consumer.response(apiKeys.fetch, 11)
  expect(responses[0]!.partitions[0]).toMatchObject({ errorCode: 0, highWatermark: 2 })
  const joined = await member.response(apiKeys.joinGroup, 2)
  expect(joined.errorCode).toBe(KafkaError.notCoordinator.kafka)
  await closing

  const again = await runBroker({ directory })
  const client = await RawClient.connect(again.broker)
  expect(await produce(client, 'orders', batchOf(['c']))).toMatchObject({ baseOffset: 2 })
  expect(again.logger.lines.some((line) => line.includes('recovered'))).toBe(false)
})

test('the library starts a broker with settings of its own', async () => {
  const broker = await startBroker({
    settings: { listeners: 'PLAINTEXT://127.0.0.1:0', 'log.dirs': temporaryDirectory() },
  })
  const client = await RawClient.connect(broker)
  const { clusterId } = await client.request(apiKeys.metadata, 9, { topics: [] })
  expect(clusterId).toBe(broker.clusterId)
  client.socket.destroy()
  await broker.close()
})

test('members that wait for a rebalance keep none of the memory of requests', async () => {
  const { broker } = await runBroker({ settings: { 'group.initial.rebalance.delay.ms': '600000' } })
  const client = await RawClient.connect(broker)
  await client.request(apiKeys.findCoordinator, 2, { key: 'g' })
  const join = (metadataBytes: number) => ({
    groupId: 'g',
    sessionTimeoutMs: 60_000,
    rebalanceTimeoutMs: 600_000,
    memberId: '',
    protocolType: 'consumer',
    protocols: [{ name: 'range', metadata: Buffer.alloc(metadataBytes) }],
  })
  const refused = await client.request(apiKeys.joinGroup, 2, join(5_000_000))
  expect(refused.errorCode).toBe(KafkaError.messageTooLarge.kafka)
  client.send(apiKeys.joinGroup, 2, join(1_000_000))
  while (broker.load.requestsInFlight < 1) await new Promise((resolve) => setImmediate(resolve))
  expect(broker.load.requestBytes).toBe(0)
})

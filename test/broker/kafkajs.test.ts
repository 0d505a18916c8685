import { Kafka, logLevel } from 'kafkajs'
import { expect, onTestFinished, test } from 'vitest'
import type { Broker } from '../../src/broker/broker.ts'
import { runBroker } from './support/runningBroker.ts'

function client(broker: Broker): Kafka {
  return new Kafka({
    clientId: 'test',
    brokers: [`127.0.0.1:${broker.address.port}`],
    logLevel: logLevel.NOTHING,
    retry: { initialRetryTime: 50, retries: 8 },
  })
}

/** Reads as a member of a group until `count` records have come, then commits and leaves. */
async function consume(kafka: Kafka, groupId: string, topic: string, count: number): Promise<string[]> {
  const consumer = kafka.consumer({
    groupId,
    sessionTimeout: 10_000,
    heartbeatInterval: 500,
    maxWaitTimeInMs: 100,
  })
  const values: string[] = []
  await consumer.connect()
  await consumer.subscribe({ topics: [topic], fromBeginning: true })
  await new Promise<void>((resolve, reject) => {
    consumer
      .run({
        eachMessage: async ({ message }) => {
          values.push(String(message.value))
          if (values.length === count) resolve()
        },
      })
      .catch(reject)
  })
  await consumer.stop()
  await consumer.disconnect()
  return values
}

test('kafkajs creates a topic by producing to it, and reads the same records back', async () => {
  const { broker } = await runBroker()
  const kafka = client(broker)
  const producer = kafka.producer({ allowAutoTopicCreation: true })
  await producer.connect()
  onTestFinished(() => producer.disconnect())
  const values = Array.from({ length: 200 }, (_, index) => `value ${index}`)
  await producer.send({ topic: 'greetings', messages: values.map((value) => ({ key: 'k', value })) })
  expect(await consume(kafka, 'readers', 'greetings', 200)).toEqual(values)
})

test('a group resumes where it was, also after the broker was restarted', async () => {
  const first = await runBroker()
  const producing = async (broker: Broker, values: string[]): Promise<void> => {
    const producer = client(broker).producer({ idempotent: true, maxInFlightRequests: 1 })
    await producer.connect()
    await producer.send({ topic: 'steps', messages: values.map((value) => ({ value })) })
    await producer.disconnect()
  }
  await client(first.broker)
    .admin()
    .createTopics({ topics: [{ topic: 'steps', numPartitions: 1 }] })
  await producing(first.broker, ['a', 'b', 'c'])
  expect(await consume(client(first.broker), 'walkers', 'steps', 3)).toEqual(['a', 'b', 'c'])
  await first.close()

  const second = await runBroker({ directory: first.directory })
  expect(second.broker.clusterId).toBe(first.broker.clusterId)
  await producing(second.broker, ['d', 'e'])
  expect(await consume(client(second.broker), 'walkers', 'steps', 2)).toEqual(['d', 'e'])
})

test('the admin client of kafkajs manages topics, configs, offsets and groups', async () => {
  const { broker } = await runBroker()
  const kafka = client(broker)
  const admin = kafka.admin()
  await admin.connect()
  onTestFinished(() => admin.disconnect())
  const topic = 'managed'
  expect(await admin.createTopics({ topics: [{ topic, numPartitions: 2 }] })).toBe(true)
  expect(await admin.createTopics({ topics: [{ topic, numPartitions: 2 }] })).toBe(false)
  await admin.createPartitions({ topicPartitions: [{ topic, count: 3 }] })
  const { topics } = await admin.fetchTopicMetadata({ topics: [topic] })
  expect(topics[0]!.partitions).toHaveLength(3)
  await admin.alterConfigs({
    validateOnly: false,
    resources: [{ type: 2, name: topic, configEntries: [{ name: 'retention.ms', value: '1234567' }] }],
  })
  const configs = await admin.describeConfigs({
    includeSynonyms: false,
    resources: [{ type: 2, name: topic, configNames: ['retention.ms'] }],
  })
  expect(configs.resources[0]!.configEntries[0]!.configValue).toBe('1234567')

  const producer = kafka.producer()
  await producer.connect()
  await producer.send({ topic, messages: ['a', 'b', 'c'].map((value) => ({ value, partition: 1 })) })
  await producer.disconnect()
  expect((await admin.fetchTopicOffsets(topic)).find(({ partition }) => partition === 1)).toMatchObject({
    low: '0',
    high: '3',
  })
  await admin.deleteTopicRecords({ topic, partitions: [{ partition: 1, offset: '2' }] })
  expect((await admin.fetchTopicOffsets(topic)).find(({ partition }) => partition === 1)).toMatchObject({
    low: '2',
    high: '3',
  })
  expect(await consume(kafka, 'members', topic, 1)).toEqual(['c'])
  expect((await admin.listGroups()).groups.map(({ groupId }) => groupId)).toEqual(['members'])
  expect((await admin.describeGroups(['members'])).groups[0]).toMatchObject({ state: 'Empty' })
  await admin.setOffsets({ groupId: 'members', topic, partitions: [{ partition: 1, offset: '2' }] })
  await admin.deleteGroups(['members'])
  expect((await admin.listGroups()).groups).toEqual([])
  await admin.deleteTopics({ topics: [topic] })
  expect(await admin.listTopics()).toEqual(['__consumer_offsets'])
  expect((await admin.describeCluster()).brokers).toEqual([
    { nodeId: 1, host: '127.0.0.1', port: broker.address.port },
  ])
})

import { expect, onTestFinished, test } from 'vitest'
import { LocalPartitions } from '../../src/broker/localPartitions.ts'
import { type MetadataDelta, MutableImage, type MutableTopic } from '../../src/controller/image.ts'
import { KafkaError } from '../../src/model/kafkaErrors.ts'
import { silentLogger } from '../../src/model/logger.ts'
import { randomUuid } from '../../src/model/uuid.ts'
import { apiKeys } from '../../src/protocol/apiKeys.ts'
import { defaultLogConfig } from '../../src/segment/logConfig.ts'
import { LogDirectory } from '../../src/segment/logDirectory.ts'
import { temporaryDirectory } from '../support/temporaryDirectory.ts'
import { GatedDisk } from './support/gatedDisk.ts'
import { batchOf, produce } from './support/produce.ts'
import { RawClient, runBroker } from './support/runningBroker.ts'

const error = (name: keyof typeof KafkaError): number => KafkaError[name].kafka
const nothing: MetadataDelta = {
  topicsCreated: [],
  topicsDeleted: [],
  partitionsAdded: [],
  configsChanged: [],
  partitionsChanged: [],
  brokersChanged: [],
  brokerConfigsChanged: false,
}

test('a partition has no leader before it has a log, and clients are told to come again', async () => {
  const disk = new GatedDisk()
  const { open } = disk.hold('orders-1')
  const { broker } = await runBroker({ runtime: disk.runtime })
  onTestFinished(open)
  const admin = await RawClient.connect(broker)
  const client = await RawClient.connect(broker)
  const describe = async () => {
    const { topics } = await client.request(apiKeys.metadata, 12, { topics: [{ name: 'orders' }] })
    return topics[0]!
  }
  const fetchBody = {
    maxWaitMs: 0,
    topics: [{ topic: 'orders', partitions: [{ partition: 1, fetchOffset: 0, partitionMaxBytes: 1000 }] }],
  }
  const fetchError = async (): Promise<number> => {
    const { responses } = await client.request(apiKeys.fetch, 12, fetchBody)
    return responses[0]!.partitions[0]!.errorCode
  }
  admin.send(apiKeys.createTopics, 7, {
    topics: [{ name: 'orders', numPartitions: 2, replicationFactor: 1 }],
  })
  await expect.poll(async () => (await describe()).partitions[0]?.leaderId).toBe(1)
  const { errorCode, partitions } = await describe()
  expect(errorCode).toBe(0)
  expect(partitions.map((partition) => [partition.errorCode, partition.leaderId])).toEqual([
    [0, 1],
    [error('leaderNotAvailable'), -1],
  ])
  const later = error('notLeaderOrFollower')
  expect(await produce(client, 'orders', batchOf(['a']), { index: 1 })).toMatchObject({ errorCode: later })
  expect(await fetchError()).toBe(later)
  expect(await produce(client, 'orders', batchOf(['a']), { index: 2 })).toMatchObject({
    errorCode: error('unknownTopicOrPartition'),
  })
  open()
  expect((await admin.response(apiKeys.createTopics, 7)).topics[0]!.errorCode).toBe(0)
  expect((await describe()).partitions[1]).toMatchObject({ errorCode: 0, leaderId: 1 })
  expect(await produce(client, 'orders', batchOf(['a']), { index: 1 })).toMatchObject({ errorCode: 0 })
  expect(await fetchError()).toBe(0)
})

/** Partitions over an image that a test changes itself. */
async function world() {
  const disk = new GatedDisk()
  const { runtime } = disk
  const directory = await LogDirectory.open(runtime, {
    directory: temporaryDirectory(),
    logger: silentLogger,
    nodeId: 1,
    configFor: () => defaultLogConfig,
  })
  const image = new MutableImage('test')
  const partitions = new LocalPartitions({
    directory,
    image,
    defaults: new Map(),
    logger: silentLogger,
    topicsDeleted: () => {},
  })
  onTestFinished(async () => {
    await directory.close()
    await runtime.disk.close()
  })
  const topicsCreated = (...names: string[]): MutableTopic[] =>
    names.map((name) => {
      const topic = image.addTopic(name, randomUuid(runtime.random))
      const node = { leader: 1, leaderEpoch: 0, partitionEpoch: 0, replicas: [1], isr: [1], directories: [] }
      topic.partitions.push({ partition: 0, ...node, addingReplicas: [], removingReplicas: [] })
      return topic
    })
  return { disk, directory, image, partitions, topicsCreated }
}

test('a topic that is deleted while its missing logs are tried again leaves no log behind', async () => {
  const { disk, directory, image, partitions, topicsCreated } = await world()
  disk.refused.add('a-0').add('b-0')
  const [a, b] = topicsCreated('a', 'b')
  await partitions.apply({ ...nothing, topicsCreated: [a!, b!] })
  expect(() => partitions.require('a', 0)).toThrow('could not be created')
  disk.refused.clear()
  const { open, reached } = disk.hold('a-0')
  const retried = partitions.retryMissing()
  await reached
  for (const topic of [a!, b!]) image.removeTopic(topic)
  const applied = partitions.apply({ ...nothing, topicsDeleted: [a!, b!] })
  open()
  await Promise.all([retried, applied])
  expect([...directory.logs.keys()]).toEqual([])
  expect([...partitions.all()]).toEqual([])
})

test('a log that is missing is made once, however many try', async () => {
  const { disk, partitions, topicsCreated } = await world()
  disk.refused.add('a-0')
  const [a] = topicsCreated('a')
  await partitions.apply({ ...nothing, topicsCreated: [a!] })
  disk.refused.clear()
  await Promise.all([partitions.retryMissing(), partitions.retryMissing()])
  const { log } = partitions.require('a', 0)
  await partitions.retryMissing()
  expect(partitions.require('a', 0).log).toBe(log)
  expect(log.topicId).toBe(a!.id)
})

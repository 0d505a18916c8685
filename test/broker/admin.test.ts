import { existsSync, renameSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { KafkaError } from '../../src/model/kafkaErrors.ts'
import { apiKeys } from '../../src/protocol/apiKeys.ts'
import { batchOf, createTopic, produce } from './support/produce.ts'
import { RawClient, type RunOptions, runBroker } from './support/runningBroker.ts'

const error = (name: keyof typeof KafkaError): number => KafkaError[name].kafka
const topicResource = 2
const brokerResource = 4

async function world(options: RunOptions = {}) {
  const running = await runBroker(options)
  const client = await RawClient.connect(running.broker)
  return { ...running, client }
}

async function topicOf(client: RawClient, name: string, version = 12) {
  const { topics } = await client.request(apiKeys.metadata, version, {
    topics: [{ name }],
    allowAutoTopicCreation: false,
  })
  return topics[0]!
}

async function offsetOf(client: RawClient, name: string, timestamp: number, version = 7) {
  const body = { topics: [{ name, partitions: [{ partitionIndex: 0, timestamp }] }] }
  const { topics } = await client.request(apiKeys.listOffsets, version, body)
  return topics[0]!.partitions[0]!
}

test('a topic is created in the background when it is asked for, if that is allowed', async () => {
  const { client } = await world()
  const ask = (allowAutoTopicCreation: boolean) =>
    client.request(apiKeys.metadata, 12, { topics: [{ name: 'auto' }], allowAutoTopicCreation })
  expect((await ask(false)).topics[0]!.errorCode).toBe(error('unknownTopicOrPartition'))
  expect((await ask(false)).topics[0]!.errorCode).toBe(error('unknownTopicOrPartition'))
  expect((await ask(true)).topics[0]!.errorCode).toBe(error('unknownTopicOrPartition'))
  let answer = await ask(false)
  while (!answer.topics[0]!.partitions.some(({ leaderId }) => leaderId >= 0)) answer = await ask(false)
  expect(answer.topics[0]!.partitions).toMatchObject([
    { errorCode: 0, partitionIndex: 0, leaderId: 1, replicaNodes: [1], isrNodes: [1] },
  ])
})

test('with auto.create.topics.enable=false nothing is created', async () => {
  const { client } = await world({ settings: { 'auto.create.topics.enable': 'false' } })
  await client.request(apiKeys.metadata, 12, { topics: [{ name: 'auto' }], allowAutoTopicCreation: true })
  await createTopic(client, 'other')
  expect((await topicOf(client, 'auto')).errorCode).toBe(error('unknownTopicOrPartition'))
})

test('metadata knows topics by id, all topics by null, none by an empty list, all by it in version 0', async () => {
  const { client, broker } = await world()
  await createTopic(client, 'orders', 2)
  const { topicId } = await topicOf(client, 'orders')
  const byId = await client.request(apiKeys.metadata, 12, { topics: [{ topicId, name: null }] })
  expect(byId.topics[0]).toMatchObject({ errorCode: 0, name: 'orders', topicId })
  const unknown = { topicId: 'BBBBBBBBBBBBBBBBBBBBBQ', name: null }
  const missing = await client.request(apiKeys.metadata, 12, { topics: [unknown] })
  expect(missing.topics[0]).toMatchObject({ errorCode: error('unknownTopicId'), name: null })
  expect((await client.request(apiKeys.metadata, 1, { topics: null })).topics).toHaveLength(1)
  expect((await client.request(apiKeys.metadata, 1, { topics: [] })).topics).toHaveLength(0)
  const v0 = await client.request(apiKeys.metadata, 0, { topics: [] })
  expect(v0.topics).toHaveLength(1)
  expect(v0.brokers).toEqual([{ nodeId: 1, host: '127.0.0.1', port: broker.address.port, rack: null }])
  const { clusterId, controllerId } = await client.request(apiKeys.metadata, 2, { topics: [] })
  expect([clusterId, controllerId]).toEqual([broker.clusterId, 1])
})

test('a topic that was deleted and created again is another topic, and empty', async () => {
  const { client, directory, close } = await world()
  await createTopic(client, 'orders')
  await produce(client, 'orders', batchOf(['old']))
  const before = await topicOf(client, 'orders')
  const { responses } = await client.request(apiKeys.deleteTopics, 6, {
    topics: [{ name: null, topicId: before.topicId }],
  })
  expect(responses[0]).toMatchObject({ errorCode: 0, name: 'orders' })
  expect((await topicOf(client, 'orders')).errorCode).toBe(error('unknownTopicOrPartition'))
  expect(await produce(client, 'orders', batchOf(['x']))).toMatchObject({
    errorCode: error('unknownTopicOrPartition'),
  })
  await createTopic(client, 'orders')
  const after = await topicOf(client, 'orders')
  expect(after.topicId).not.toBe(before.topicId)
  expect(await produce(client, 'orders', batchOf(['new']))).toMatchObject({ errorCode: 0, baseOffset: 0 })
  await close()

  const again = await world({ directory })
  expect((await topicOf(again.client, 'orders')).topicId).toBe(after.topicId)
  expect((await offsetOf(again.client, 'orders', -1)).offset).toBe(1)
})

test('delete.topic.enable=false keeps topics', async () => {
  const { client } = await world({ settings: { 'delete.topic.enable': 'false' } })
  await createTopic(client, 'orders')
  const { responses } = await client.request(apiKeys.deleteTopics, 5, { topicNames: ['orders'] })
  expect(responses[0]!.errorCode).toBe(error('topicDeletionDisabled'))
  expect((await topicOf(client, 'orders')).errorCode).toBe(0)
})

test('a change of configuration reaches the running log, and lasts', async () => {
  const { client, directory, close } = await world()
  await createTopic(client, 'orders')
  const large = (): Uint8Array => batchOf(['x'.repeat(2_000_000)])
  expect(await produce(client, 'orders', large())).toMatchObject({ errorCode: error('messageTooLarge') })
  const set = (name: string, value: string) => ({ name, value, configOperation: 0 })
  const resource = { resourceType: topicResource, resourceName: 'orders' }
  const { responses } = await client.request(apiKeys.incrementalAlterConfigs, 1, {
    resources: [{ ...resource, configs: [set('max.message.bytes', '3000000')] }],
  })
  expect(responses[0]).toMatchObject({ errorCode: 0, resourceName: 'orders' })
  expect(await produce(client, 'orders', large())).toMatchObject({ errorCode: 0 })
  await close()

  const again = await world({ directory })
  expect(await produce(again.client, 'orders', large())).toMatchObject({ errorCode: 0, baseOffset: 1 })
  const { results } = await again.client.request(apiKeys.describeConfigs, 4, {
    resources: [{ ...resource, configurationKeys: ['max.message.bytes', 'retention.ms'] }],
    includeSynonyms: true,
  })
  const byName = new Map(results[0]!.configs.map((config) => [config.name, config]))
  expect(byName.get('max.message.bytes')).toMatchObject({
    value: '3000000',
    configSource: 1,
    readOnly: false,
  })
  expect(byName.get('retention.ms')).toMatchObject({ value: '604800000', configSource: 5 })
})

test('what is not honoured is refused, in CreateTopics as in AlterConfigs', async () => {
  const { client } = await world()
  const configs = [{ name: 'compression.type', value: 'zstd' }]
  const topics = [{ name: 'compressed', numPartitions: 1, replicationFactor: 1, configs }]
  const created = await client.request(apiKeys.createTopics, 7, { topics })
  expect(created.topics[0]!.errorCode).toBe(error('invalidConfig'))
  expect(created.topics[0]!.errorMessage).toContain('compression.type')
  await createTopic(client, 'orders')
  const { responses } = await client.request(apiKeys.alterConfigs, 2, {
    resources: [{ resourceType: topicResource, resourceName: 'orders', configs }],
  })
  expect(responses[0]!.errorCode).toBe(error('invalidConfig'))
})

test('validateOnly changes nothing', async () => {
  const { client } = await world()
  const topics = [{ name: 'orders', numPartitions: 4, replicationFactor: 1 }]
  const { topics: checked } = await client.request(apiKeys.createTopics, 7, { topics, validateOnly: true })
  expect(checked[0]).toMatchObject({ errorCode: 0, numPartitions: 4 })
  expect((await topicOf(client, 'orders')).errorCode).toBe(error('unknownTopicOrPartition'))
})

test('partitions can be added and are served at once', async () => {
  const { client } = await world()
  await createTopic(client, 'orders')
  const topics = [{ name: 'orders', count: 3, assignments: null }]
  expect((await client.request(apiKeys.createPartitions, 3, { topics })).results[0]!.errorCode).toBe(0)
  expect(await produce(client, 'orders', batchOf(['a']), { index: 2 })).toMatchObject({ errorCode: 0 })
  const fewer = await client.request(apiKeys.createPartitions, 3, {
    topics: [{ name: 'orders', count: 2, assignments: null }],
  })
  expect(fewer.results[0]!.errorCode).toBe(error('invalidPartitions'))
})

test('the broker describes its own settings', async () => {
  const { client } = await world({ settings: { 'log.retention.hours': '5' } })
  const { results } = await client.request(apiKeys.describeConfigs, 4, {
    resources: [{ resourceType: brokerResource, resourceName: '1', configurationKeys: null }],
  })
  const settings = new Map(results[0]!.configs.map(({ name, value }) => [name, value]))
  expect(settings.get('log.retention.hours')).toBe('5')
  const other = await client.request(apiKeys.describeConfigs, 4, {
    resources: [{ resourceType: brokerResource, resourceName: '2', configurationKeys: null }],
  })
  expect(other.results[0]!.errorCode).toBe(error('invalidRequest'))
})

test.each([1, 2, 3, 4, 5, 6, 7])('ListOffsets %i finds start, end and time stamps', async (version) => {
  const { client } = await world()
  await createTopic(client, 'orders')
  expect(await offsetOf(client, 'orders', -1, version)).toMatchObject({ errorCode: 0, offset: 0 })
  expect(await offsetOf(client, 'orders', 0, version)).toMatchObject({
    errorCode: 0,
    offset: -1,
    timestamp: -1,
  })
  await produce(client, 'orders', batchOf(['a', 'b']))
  expect(await offsetOf(client, 'orders', -1, version)).toMatchObject({ offset: 2, timestamp: -1 })
  expect(await offsetOf(client, 'orders', -2, version)).toMatchObject({ offset: 0, timestamp: -1 })
  const found = await offsetOf(client, 'orders', 1, version)
  expect(found).toMatchObject({ errorCode: 0, offset: 0 })
  expect(found.timestamp).toBeGreaterThan(1)
  const max = await offsetOf(client, 'orders', -3, version)
  expect(max.errorCode).toBe(version >= 7 ? 0 : error('unsupportedVersion'))
})

test('DeleteRecords raises the start of the log, which lasts', async () => {
  const { client, directory, close } = await world()
  await createTopic(client, 'orders')
  for (const value of ['a', 'b', 'c']) await produce(client, 'orders', batchOf([value]))
  const remove = async (offset: number) => {
    const topics = [{ name: 'orders', partitions: [{ partitionIndex: 0, offset }] }]
    return (await client.request(apiKeys.deleteRecords, 2, { topics })).topics[0]!.partitions[0]!
  }
  expect(await remove(2)).toMatchObject({ errorCode: 0, lowWatermark: 2 })
  expect(await remove(1)).toMatchObject({ errorCode: 0, lowWatermark: 2 })
  expect(await remove(9)).toMatchObject({ errorCode: error('offsetOutOfRange'), lowWatermark: -1 })
  expect(await remove(-1)).toMatchObject({ errorCode: 0, lowWatermark: 3 })
  await close()
  const again = await world({ directory })
  expect((await offsetOf(again.client, 'orders', -2)).offset).toBe(3)
})

test.each([
  ['compact', 'policyViolation'],
  ['compact,delete', null],
] as const)('DeleteRecords of a topic with cleanup.policy=%s', async (policy, refusal) => {
  const { client } = await world()
  await createTopic(client, 'orders', 1, [{ name: 'cleanup.policy', value: policy }])
  const record = { key: Buffer.from('k'), value: Buffer.from('v'), timestampMs: Date.now() }
  await produce(client, 'orders', batchOf([], { records: [record] }))
  const topics = [{ name: 'orders', partitions: [{ partitionIndex: 0, offset: 1 }] }]
  const answer = await client.request(apiKeys.deleteRecords, 2, { topics })
  expect(answer.topics[0]!.partitions[0]!.errorCode).toBe(refusal === null ? 0 : error(refusal))
})

test('OffsetForLeaderEpoch says where an epoch ends', async () => {
  const { client } = await world()
  await createTopic(client, 'orders')
  await produce(client, 'orders', batchOf(['a', 'b']))
  const ask = async (leaderEpoch: number, currentLeaderEpoch = -1) => {
    const topics = [{ topic: 'orders', partitions: [{ partition: 0, leaderEpoch, currentLeaderEpoch }] }]
    return (await client.request(apiKeys.offsetForLeaderEpoch, 4, { topics })).topics[0]!.partitions[0]!
  }
  expect(await ask(0)).toMatchObject({ errorCode: 0, leaderEpoch: 0, endOffset: 2 })
  expect(await ask(5)).toMatchObject({ errorCode: 0, leaderEpoch: -1, endOffset: -1 })
  expect(await ask(0, 3)).toMatchObject({ errorCode: error('unknownLeaderEpoch') })
})

test('DescribeLogDirs tells sizes and the room that is left', async () => {
  const { client, directory } = await world()
  await createTopic(client, 'orders', 2)
  const records = batchOf(['a'])
  await produce(client, 'orders', records, { index: 1 })
  const { results } = await client.request(apiKeys.describeLogDirs, 4, {
    topics: [{ topic: 'orders', partitions: [0, 1, 2] }],
  })
  expect(results[0]!.logDir).toBe(directory)
  expect(results[0]!.usableBytes).toBeGreaterThan(0)
  expect(results[0]!.topics[0]!.partitions.map(({ partitionSize }) => partitionSize)).toEqual([
    0,
    records.length,
  ])
})

test('DescribeCluster names this broker; asked for controllers it refuses', async () => {
  const { client, broker } = await world()
  const { port } = broker.address
  expect(await client.request(apiKeys.describeCluster, 1, {})).toMatchObject({
    errorCode: 0,
    clusterId: broker.clusterId,
    controllerId: 1,
    brokers: [{ brokerId: 1, host: '127.0.0.1', port }],
  })
  const controllers = await client.request(apiKeys.describeCluster, 1, { endpointType: 2 })
  expect(controllers.errorCode).toBe(error('mismatchedEndpointType'))
})

test.each([0, 1, 2, 3])('FindCoordinator %i names this broker for a group', async (version) => {
  const { client, broker } = await world()
  const answer = await client.request(apiKeys.findCoordinator, version, { key: 'g' })
  expect(answer).toMatchObject({ errorCode: 0, nodeId: 1, host: '127.0.0.1', port: broker.address.port })
  expect((await topicOf(client, '__consumer_offsets')).isInternal).toBe(true)
})

test('FindCoordinator 4 answers several keys; there is no coordinator of transactions', async () => {
  const { client } = await world()
  const groups = await client.request(apiKeys.findCoordinator, 4, { coordinatorKeys: ['a', 'b'] })
  expect(groups.coordinators.map(({ key, errorCode, nodeId }) => [key, errorCode, nodeId])).toEqual([
    ['a', 0, 1],
    ['b', 0, 1],
  ])
  const transactions = await client.request(apiKeys.findCoordinator, 4, {
    keyType: 1,
    coordinatorKeys: ['t'],
  })
  expect(transactions.coordinators[0]!.errorCode).toBe(error('transactionalIdAuthorizationFailed'))
})

test('offsets of partitions that are not there cannot be committed, the others are', async () => {
  const { client } = await world()
  await createTopic(client, 'orders')
  await client.request(apiKeys.findCoordinator, 2, { key: 'g' })
  const partition = (partitionIndex: number) => ({
    partitionIndex,
    committedOffset: 5,
    committedMetadata: 'm',
  })
  const { topics } = await client.request(apiKeys.offsetCommit, 8, {
    groupId: 'g',
    topics: [
      { name: 'orders', partitions: [partition(0), partition(1)] },
      { name: 'nothing', partitions: [partition(0)] },
    ],
  })
  const unknown = error('unknownTopicOrPartition')
  expect(topics.map(({ partitions }) => partitions.map(({ errorCode }) => errorCode))).toEqual([
    [0, unknown],
    [unknown],
  ])
  for (const version of [1, 5, 7]) {
    const fetched = await client.request(apiKeys.offsetFetch, version, {
      groupId: 'g',
      topics: [{ name: 'orders', partitionIndexes: [0, 1] }],
    })
    expect(fetched.topics[0]!.partitions.map(({ committedOffset }) => committedOffset)).toEqual([5, -1])
  }
  const all = await client.request(apiKeys.offsetFetch, 8, { groups: [{ groupId: 'g', topics: null }] })
  expect(all.groups[0]!.topics[0]).toMatchObject({
    name: 'orders',
    partitions: [{ committedOffset: 5, metadata: 'm' }],
  })
})

test('producer ids are never given out twice, across restarts', async () => {
  const seen = new Set<number>()
  const first = await world()
  let { client, close } = first
  for (let round = 0; round < 3; round++) {
    for (let nth = 0; nth < 5; nth++) {
      const { producerId, errorCode } = await client.request(apiKeys.initProducerId, 4, {
        transactionalId: null,
      })
      expect(errorCode).toBe(0)
      expect(seen.has(producerId)).toBe(false)
      seen.add(producerId)
    }
    await close()
    ;({ client, close } = await world({ directory: first.directory }))
  }
  expect(seen.size).toBe(15)
})

test('a log whose directory is missing at the start stays offline; one of no topic is kept and not served', async () => {
  const { client, directory, close } = await world()
  await createTopic(client, 'orders', 2)
  await produce(client, 'orders', batchOf(['a']), { index: 1 })
  await close()
  renameSync(join(directory, 'orders-1'), join(directory, 'strangers-0'))
  const again = await world({ directory })
  const damaged = again.logger.lines.find((line) =>
    line.startsWith('error the log is damaged and stays offline'),
  )
  expect(damaged).toContain('found no directory')
  expect(again.logger.lines).toContain('warn a log belongs to no topic; it is kept and not served')
  expect(await produce(again.client, 'orders', batchOf(['b']), { index: 1 })).toMatchObject({
    errorCode: error('kafkaStorageError'),
  })
  expect(await produce(again.client, 'orders', batchOf(['b']), { index: 0 })).toMatchObject({ errorCode: 0 })
  expect((await topicOf(again.client, 'strangers')).errorCode).toBe(error('unknownTopicOrPartition'))
  await again.close()
  expect(existsSync(join(directory, 'strangers-0', '00000000000000000000.log'))).toBe(true)
})

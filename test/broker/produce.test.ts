import { expect, test } from 'vitest'
import { KafkaError } from '../../src/model/kafkaErrors.ts'
import { apiKeys } from '../../src/protocol/apiKeys.ts'
import { batchOf, createTopic, produce } from './support/produce.ts'
import { expectAlive, RawClient, runBroker } from './support/runningBroker.ts'

const error = (name: keyof typeof KafkaError): number => KafkaError[name].kafka

async function world(settings: Record<string, string> = {}) {
  const running = await runBroker({ settings })
  const client = await RawClient.connect(running.broker)
  await createTopic(client, 'orders', 3)
  return { ...running, client }
}

test.each([1, -1])('acks=%i is answered with the offset of the first record', async (acks) => {
  const { client } = await world()
  expect(await produce(client, 'orders', batchOf(['a', 'b']), { acks })).toMatchObject({
    errorCode: 0,
    baseOffset: 0,
    logStartOffset: 0,
    logAppendTimeMs: -1,
  })
  expect(await produce(client, 'orders', batchOf(['c']), { acks })).toMatchObject({ baseOffset: 2 })
})

test('acks=0 is not answered; what follows is, in order', async () => {
  const { client } = await world()
  const topicData = [{ name: 'orders', partitionData: [{ index: 0, records: batchOf(['x', 'y']) }] }]
  client.send(apiKeys.produce, 9, { acks: 0, timeoutMs: 1000, topicData })
  expect(await produce(client, 'orders', batchOf(['z']))).toMatchObject({ errorCode: 0, baseOffset: 2 })
})

test('acks=0 that cannot be appended closes the connection', async () => {
  const { client, broker } = await world()
  const topicData = [{ name: 'nowhere', partitionData: [{ index: 0, records: batchOf(['x']) }] }]
  client.send(apiKeys.produce, 9, { acks: 0, timeoutMs: 1000, topicData })
  expect(await client.untilClosed()).toHaveLength(0)
  await expectAlive(broker)
})

test('requests that are sent without waiting keep their order', async () => {
  const { client } = await world()
  for (let nth = 0; nth < 50; nth++) {
    const topicData = [{ name: 'orders', partitionData: [{ index: 0, records: batchOf([`${nth}`]) }] }]
    client.send(apiKeys.produce, 9, { acks: -1, timeoutMs: 1000, topicData })
  }
  for (let nth = 0; nth < 50; nth++) {
    const { responses } = await client.response(apiKeys.produce, 9)
    expect(responses[0]!.partitionResponses[0]).toMatchObject({ errorCode: 0, baseOffset: nth })
  }
})

test('partitions of one request succeed and fail each on its own', async () => {
  const { client } = await world()
  const bad = batchOf(['bad'])
  bad[70] = bad[70]! ^ 1
  const topicData = [
    {
      name: 'orders',
      partitionData: [
        { index: 0, records: batchOf(['a']) },
        { index: 1, records: bad },
        { index: 7, records: batchOf(['b']) },
        { index: 2, records: batchOf(['c']) },
      ],
    },
  ]
  const { responses } = await client.request(apiKeys.produce, 9, { acks: -1, timeoutMs: 1000, topicData })
  expect(responses[0]!.partitionResponses.map(({ errorCode }) => errorCode)).toEqual([
    0,
    error('corruptMessage'),
    error('unknownTopicOrPartition'),
    0,
  ])
})

test.each([
  ['at once', 1],
  ['as it arrives', 900_000],
])(
  'from version 13 on topics are named by their ids; one that nobody has is refused by itself (%s)',
  async (_how, bytes) => {
    const { client } = await world()
    const { topics } = await client.request(apiKeys.metadata, 12, { topics: [{ name: 'orders' }] })
    const { topicId } = topics[0]!
    const unknown = 'AAAAAAAAAAAAAAAAAAAAzw'
    const value = (letter: string): Uint8Array => batchOf([letter.repeat(bytes)])
    const { responses } = await client.request(apiKeys.produce, 13, {
      acks: -1,
      timeoutMs: 10_000,
      topicData: [
        { topicId, partitionData: [{ index: 0, records: value('a') }] },
        { topicId: unknown, partitionData: [{ index: 0, records: value('b') }] },
        {
          topicId,
          partitionData: [
            { index: 1, records: value('c') },
            { index: 7, records: value('d') },
          ],
        },
      ],
    })
    expect(responses.map((topic) => topic.topicId)).toEqual([topicId, unknown, topicId])
    expect(
      responses.map(({ partitionResponses }) => partitionResponses.map((each) => each.errorCode)),
    ).toEqual([[0], [error('unknownTopicId')], [0, error('unknownTopicOrPartition')]])
    expect(await produce(client, 'orders', batchOf(['e']), { version: 12 })).toMatchObject({ baseOffset: 1 })
  },
)

test('a batch that an idempotent producer sends twice is there once, at its first offset', async () => {
  const { client } = await world()
  const { producerId } = await client.request(apiKeys.initProducerId, 4, { transactionalId: null })
  const batch = (baseSequence: number): Uint8Array =>
    batchOf(['a', 'b'], { producerId, producerEpoch: 0, baseSequence })
  expect(await produce(client, 'orders', batch(0))).toMatchObject({ errorCode: 0, baseOffset: 0 })
  expect(await produce(client, 'orders', batch(2))).toMatchObject({ errorCode: 0, baseOffset: 2 })
  expect(await produce(client, 'orders', batch(0))).toMatchObject({ errorCode: 0, baseOffset: 0 })
  expect(await produce(client, 'orders', batch(2))).toMatchObject({ errorCode: 0, baseOffset: 2 })
  expect(await produce(client, 'orders', batch(9))).toMatchObject({
    errorCode: error('outOfOrderSequenceNumber'),
  })
  expect(await produce(client, 'orders', batchOf(['c']))).toMatchObject({ baseOffset: 4 })
})

test.each<[string, () => Uint8Array | null, object, keyof typeof KafkaError]>([
  ['acks=2', () => batchOf(['a']), { acks: 2 }, 'invalidRequiredAcks'],
  ['no records', () => null, {}, 'invalidRecord'],
  ['two batches', () => Buffer.concat([batchOf(['a']), batchOf(['b'])]), {}, 'invalidRecord'],
  ['a cut batch', () => batchOf(['a']).subarray(0, 65), {}, 'corruptMessage'],
  ['magic 1', () => patched(batchOf(['a']), 16, 1), {}, 'invalidRecord'],
  ['magic 9', () => patched(batchOf(['a']), 16, 9), {}, 'corruptMessage'],
  ['a control batch', () => batchOf(['a'], { isControl: true }), {}, 'invalidRecord'],
  ['a transactional batch', () => transactional(), {}, 'invalidTxnState'],
  [
    'a transactional id',
    () => batchOf(['a']),
    { transactionalId: 't' },
    'transactionalIdAuthorizationFailed',
  ],
  ['zstd in version 6', () => zstd(), { version: 6 }, 'unsupportedCompressionType'],
  ['more than message.max.bytes', () => batchOf(['x'.repeat(1_100_000)]), {}, 'messageTooLarge'],
])('refused with the right error: %s', async (_name, records, options, name) => {
  const { client } = await world()
  expect(await produce(client, 'orders', records(), options)).toMatchObject({
    errorCode: error(name),
    baseOffset: -1,
  })
  expect(await produce(client, 'orders', batchOf(['next']))).toMatchObject({ errorCode: 0, baseOffset: 0 })
})

test('acks=all with more in-sync replicas asked for than there are is refused, acks=1 is not', async () => {
  const { client } = await world()
  await createTopic(client, 'careful', 1, [{ name: 'min.insync.replicas', value: '2' }])
  expect(await produce(client, 'careful', batchOf(['a']))).toMatchObject({
    errorCode: error('notEnoughReplicas'),
  })
  expect(await produce(client, 'careful', batchOf(['a']), { acks: 1 })).toMatchObject({ errorCode: 0 })
})

test('with log append time the answer carries the time', async () => {
  const { client } = await world()
  await createTopic(client, 'stamped', 1, [{ name: 'message.timestamp.type', value: 'LogAppendTime' }])
  const { logAppendTimeMs } = await produce(client, 'stamped', batchOf(['a']))
  expect(Math.abs(logAppendTimeMs - Date.now())).toBeLessThan(60_000)
})

test('an InitProducerId with a transactional id is refused', async () => {
  const { client } = await world()
  const answer = await client.request(apiKeys.initProducerId, 4, { transactionalId: 't' })
  expect(answer.errorCode).toBe(error('transactionalIdAuthorizationFailed'))
})

function patched(bytes: Uint8Array, at: number, value: number): Uint8Array {
  bytes[at] = value
  return bytes
}

function transactional(): Uint8Array {
  return batchOf(['a'], { isTransactional: true, producerId: 1, producerEpoch: 0, baseSequence: 0 })
}

function zstd(): Uint8Array {
  return batchOf(['a'], { compression: { id: 4, compress: (bytes) => bytes } })
}

test('nobody but the broker writes to the topic of committed offsets', async () => {
  const { broker } = await runBroker()
  const client = await RawClient.connect(broker)
  await client.request(apiKeys.findCoordinator, 4, { keyType: 0, coordinatorKeys: ['g'] })
  const refused = await produce(client, '__consumer_offsets', batchOf(['forged']))
  expect(refused).toMatchObject({ errorCode: error('invalidTopicException'), baseOffset: -1 })
})

test('a topic that is compacted refuses uncompressed records without a key', async () => {
  const { client } = await world()
  await createTopic(client, 'latest', 1, [{ name: 'cleanup.policy', value: 'compact,delete' }])
  const record = (key: string | null) => ({
    key: key === null ? null : Buffer.from(key),
    value: null,
    timestampMs: 1,
  })
  const batch = (...keys: (string | null)[]) => batchOf([], { records: keys.map(record) })
  expect(await produce(client, 'latest', batch('a', 'b'.repeat(200)))).toMatchObject({ errorCode: 0 })
  for (const refused of [batch(null), batch('a', null), batch(null, 'a')]) {
    const answer = await produce(client, 'latest', refused)
    expect(answer).toMatchObject({ errorCode: error('invalidRecord'), baseOffset: -1 })
  }
  expect(await produce(client, 'latest', batch(''))).toMatchObject({ errorCode: 0, baseOffset: 2 })
  expect(await produce(client, 'orders', batch(null))).toMatchObject({ errorCode: 0 })
})

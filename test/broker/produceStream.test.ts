import { expect, test } from 'vitest'
import { apiKeys } from '../../src/protocol/apiKeys.ts'
import { encodeRequest } from '../../src/protocol/headers.ts'
import { readRecords } from '../../src/segment/records.ts'
import { batchOf, createTopic, produce } from './support/produce.ts'
import { RawClient, runBroker } from './support/runningBroker.ts'

const partitions = 6
/** So large that a request of a few of them is begun before it is whole. */
const value = 'x'.repeat(600_000)

async function world() {
  const running = await runBroker()
  const client = await RawClient.connect(running.broker)
  await createTopic(client, 'orders', partitions)
  return { ...running, client, watcher: await RawClient.connect(running.broker) }
}

/** The bytes of a request with a batch for each partition; `spoil` changes the last one. */
function requestOf(acks: number, spoil: (batch: Uint8Array) => void = () => {}): Buffer {
  const partitionData = Array.from({ length: partitions }, (_, index) => ({
    index,
    records: batchOf([`${index}`, value]),
  }))
  spoil(partitionData[partitions - 1]!.records)
  const body = { acks, timeoutMs: 30_000, topicData: [{ name: 'orders', partitionData }] }
  return Buffer.concat(encodeRequest(apiKeys.produce, 9, 77, 'test', body) as Uint8Array[])
}

async function endOffset(client: RawClient, partitionIndex: number): Promise<number> {
  const topics = [{ name: 'orders', partitions: [{ partitionIndex, timestamp: -1 }] }]
  const answer = await client.request(apiKeys.listOffsets, 5, { replicaId: -1, topics })
  return answer.topics[0]!.partitions[0]!.offset
}

async function until(condition: () => Promise<boolean>): Promise<void> {
  while (!(await condition()));
}

test('batches of a large request are appended while the rest of it arrives, and are answered with it', async () => {
  const { client, watcher } = await world()
  const request = requestOf(-1)
  const cut = Math.floor(request.length * 0.7)
  client.write(request.subarray(0, cut))
  await until(async () => (await endOffset(watcher, 0)) === 2)
  expect(await endOffset(watcher, partitions - 1)).toBe(0)
  client.write(request.subarray(cut))
  const { responses } = await client.response(apiKeys.produce, 9)
  const answers = responses[0]!.partitionResponses
  expect(answers.map(({ index, errorCode, baseOffset }) => [index, errorCode, baseOffset])).toEqual(
    Array.from({ length: partitions }, (_, index) => [index, 0, 0]),
  )
  for (let index = 0; index < partitions; index++) expect(await endOffset(watcher, index)).toBe(2)
  expect(await produce(client, 'orders', batchOf(['next']))).toMatchObject({ errorCode: 0, baseOffset: 2 })
})

test('a client that goes in the middle of a large request leaves the batches that were whole, each once', async () => {
  const { client, watcher, broker } = await world()
  const request = requestOf(1)
  client.write(request.subarray(0, Math.floor(request.length * 0.7)))
  await until(async () => (await endOffset(watcher, 0)) === 2)
  client.socket.destroy()
  const requestBytes = () => broker.stats.pools().find(({ name }) => name === 'requests')!.usedBytes
  await until(async () => (await endOffset(watcher, 0)) === 2 && requestBytes() < request.length)
  expect(await endOffset(watcher, 0)).toBe(2)
  expect(await endOffset(watcher, partitions - 1)).toBe(0)
  expect(await produce(watcher, 'orders', batchOf(['next']))).toMatchObject({ errorCode: 0, baseOffset: 2 })
})

test('a batch of a large request that is damaged fails alone', async () => {
  const { client } = await world()
  client.write(requestOf(-1, (batch) => batch.set([batch[70]! ^ 1], 70)))
  const { responses } = await client.response(apiKeys.produce, 9)
  const codes = responses[0]!.partitionResponses.map(({ errorCode }) => errorCode)
  expect(codes).toEqual([...Array.from({ length: partitions - 1 }, () => 0), 2])
})

test('acks=0: a large request is appended in parts, and what follows is behind it', async () => {
  const { client } = await world()
  client.write(requestOf(0))
  expect(await produce(client, 'orders', batchOf(['next']))).toMatchObject({ errorCode: 0, baseOffset: 2 })
})

test('large requests that are cut anywhere, of clients that come and go, are stored as they were sent', async () => {
  const { client, broker } = await world()
  const request = requestOf(1)
  for (let round = 0; round < 8; round++) {
    const leaver = await RawClient.connect(broker)
    leaver.write(Buffer.concat([request.subarray(0, 300_000 + round * 90_001)]))
    for (let at = 0, step = 30_011 + round * 70_003; at < request.length; at += step) {
      client.write(request.subarray(at, at + step))
      if (round === 3) leaver.socket.destroy()
    }
    const { responses } = await client.response(apiKeys.produce, 9)
    expect(responses[0]!.partitionResponses.every(({ errorCode }) => errorCode === 0)).toBe(true)
    leaver.socket.destroy()
  }
  for (let index = 0; index < partitions; index++) {
    const records = await everything(client, index)
    for (const [at, record] of records.entries()) expect(record).toBe(at % 2 === 0 ? `${index}` : value)
    expect(records.length).toBeGreaterThanOrEqual(16)
  }
})

/** The values of all records of a partition. */
async function everything(client: RawClient, partition: number): Promise<string[]> {
  const values: string[] = []
  const end = await endOffset(client, partition)
  while (values.length < end) {
    const topics = [
      {
        topic: 'orders',
        partitions: [{ partition, fetchOffset: values.length, partitionMaxBytes: 1 << 20 }],
      },
    ]
    const body = { maxWaitMs: 100, minBytes: 1, maxBytes: 1 << 20, topics }
    const { responses } = await client.request(apiKeys.fetch, 11, body)
    for (const { value } of readRecords(responses[0]!.partitions[0]!.records as Uint8Array)) {
      values.push(Buffer.from(value!).toString())
    }
  }
  return values
}

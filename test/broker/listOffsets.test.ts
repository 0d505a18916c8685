import { gzipSync } from 'node:zlib'
import { expect, test } from 'vitest'
import { Limiter } from '../../src/broker/limiter.ts'
import { KafkaError } from '../../src/model/kafkaErrors.ts'
import { apiKeys } from '../../src/protocol/apiKeys.ts'
import { nodeChecksum } from '../../src/runtime/node/nodeChecksum.ts'
import { encodeBatch } from '../../src/segment/records.ts'
import { decompressWithin } from '../../src/zerocopy/codecs.ts'
import { createTopic, produce } from './support/produce.ts'
import { RawClient, type RunOptions, requestFrame, runBroker } from './support/runningBroker.ts'

const gzip = { id: 1, compress: (bytes: Uint8Array): Uint8Array => gzipSync(bytes) }

/** A batch with one record per timestamp. */
function batchAt(timestamps: readonly number[], compression = gzip): Uint8Array {
  const records = timestamps.map((timestampMs) => ({ key: null, value: Buffer.alloc(100), timestampMs }))
  return encodeBatch({ records, compression }, nodeChecksum)
}

async function world(options: RunOptions) {
  const { broker } = await runBroker(options)
  const client = await RawClient.connect(broker)
  await createTopic(client, 'orders')
  const lookUp = async (timestamp: number): Promise<[number, number]> => {
    const topics = [{ name: 'orders', partitions: [{ partitionIndex: 0, timestamp }] }]
    const answer = await client.request(apiKeys.listOffsets, 7, { topics })
    const partition = answer.topics[0]!.partitions[0]!
    expect(partition.errorCode).toBe(0)
    return [partition.offset, partition.timestamp]
  }
  return { client, lookUp }
}

test('a lookup by time finds the record inside a compressed batch', async () => {
  const { client, lookUp } = await world({ decompress: decompressWithin(1 << 20) })
  await produce(client, 'orders', batchAt([0, 1000, 2000]))
  expect(await lookUp(1)).toEqual([1, 1000])
  expect(await lookUp(1500)).toEqual([2, 2000])
  expect(await lookUp(-3)).toEqual([2, 2000])
  expect(await lookUp(2001)).toEqual([-1, -1])
})

test.each<[string, Uint8Array]>([
  ['grows beyond the bound', batchAt([0, 1000, 2000])],
  ['is not of its codec', batchAt([0, 1000, 2000], { id: 1, compress: (bytes) => bytes })],
  ['holds no records', batchAt([0, 1000, 2000], { id: 1, compress: () => gzipSync('?') })],
])('a compressed batch that %s is found by its first record', async (_name, batch) => {
  const { client, lookUp } = await world({ decompress: decompressWithin(200) })
  expect(await produce(client, 'orders', batch)).toMatchObject({ errorCode: 0 })
  expect(await lookUp(1500)).toEqual([0, 2000])
})

test('a partition that is named twice is refused, and only that one', async () => {
  const { client } = await world({})
  const ask = (partitionIndex: number) => ({ partitionIndex, timestamp: -1 })
  await createTopic(client, 'wide', 3)
  const topics = [
    { name: 'wide', partitions: [ask(0), ask(1), ask(0)] },
    { name: 'wide', partitions: [ask(1), ask(2)] },
  ]
  const answer = await client.request(apiKeys.listOffsets, 7, { topics })
  const refused = KafkaError.invalidRequest.kafka
  expect(answer.topics.map(({ partitions }) => partitions.map(({ errorCode }) => errorCode))).toEqual([
    [refused, refused, refused],
    [refused, 0],
  ])
})

test('a limiter runs so many at once, the others in order, also after a failure', async () => {
  const limiter = new Limiter(2)
  const begun: number[] = []
  const ends: ((fail: boolean) => void)[] = []
  const work = (nth: number) =>
    limiter.run(() => {
      begun.push(nth)
      return new Promise<number>((resolve, reject) => {
        ends[nth] = (fail) => (fail ? reject(new Error(`${nth}`)) : resolve(nth))
      })
    })
  const [zero, one, two, three] = [0, 1, 2, 3].map(work)
  expect(begun).toEqual([0, 1])
  ends[1]!(true)
  await expect(one).rejects.toThrow('1')
  expect(begun).toEqual([0, 1, 2])
  ends[0]!(false)
  expect(await zero).toBe(0)
  await Promise.resolve()
  expect(begun).toEqual([0, 1, 2, 3])
  for (const end of ends.slice(2)) end(false)
  expect(await Promise.all([two, three])).toEqual([2, 3])
  const last = work(4)
  ends[4]!(false)
  expect(await last).toBe(4)
})

test.each([
  ['7fffffffffffffff', -1, 0],
  ['8000000000000000', -1, KafkaError.unsupportedVersion.kafka],
])('the time %s, beyond what numbers can say, is a time like any other', async (hex, offset, errorCode) => {
  const { client } = await world({})
  await produce(client, 'orders', batchAt([0, 1000]))
  const mark = 0x0102030405060
  const topics = [{ name: 'orders', partitions: [{ partitionIndex: 0, timestamp: mark }] }]
  const bytes = Buffer.from(requestFrame(apiKeys.listOffsets, 7, { topics }))
  const number = Buffer.alloc(8)
  number.writeBigInt64BE(BigInt(mark))
  bytes.write(hex, bytes.indexOf(number), 'hex')
  client.write(bytes)
  const answer = await client.response(apiKeys.listOffsets, 7)
  expect(answer.topics[0]!.partitions[0]).toMatchObject({ errorCode, offset })
})

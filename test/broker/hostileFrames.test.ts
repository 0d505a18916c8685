import { readFileSync } from 'node:fs'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { type AnyApi, apiByKey, apiKeys, clusterApiKeys } from '../../src/protocol/apiKeys.ts'
import { decodeRequestBody, decodeRequestHeader } from '../../src/protocol/headers.ts'
import { nodeChecksum } from '../../src/runtime/node/nodeChecksum.ts'
import { BatchHeader, updateChecksum } from '../../src/segment/recordBatch.ts'
import { frame } from './support/fakes.ts'
import { batchOf, createTopic, produce } from './support/produce.ts'
import { expectAlive, RawClient, requestFrame, runBroker } from './support/runningBroker.ts'

/**
 * Real requests, and what becomes of them when bytes are changed: whatever arrives, the broker answers it or closes
 * the connection, never fails inside, serves the next connection, and holds no memory for the one that is gone.
 */

interface Vector {
  readonly name: string
  readonly bytes: Uint8Array
}

/** A whole frame for every request of the vectors in a version that the broker implements. */
function realRequests(): Vector[] {
  const text = readFileSync(new URL('../protocol/fixtures/vectors.txt', import.meta.url), 'utf8')
  const vectors: Vector[] = []
  for (const line of text.split('\n')) {
    const [message = '', version = '', hex = ''] = line.split(' ')
    if (!message.endsWith('Request')) continue
    const name = message.slice(0, 1).toLowerCase() + message.slice(1, -'Request'.length)
    const api = (apiKeys as Readonly<Record<string, AnyApi | undefined>>)[name]
    if (!api || Number(version) < api.min || Number(version) > api.max) continue
    const header = Buffer.alloc(14)
    header.writeInt16BE(api.key, 0)
    header.writeInt16BE(Number(version), 2)
    header.writeInt32BE(7, 4)
    header.writeInt16BE(4, 8)
    header.write('test', 10)
    const tagged = Number(version) >= api.flexibleFrom ? Buffer.alloc(1) : Buffer.alloc(0)
    vectors.push({
      name: `${name} ${version}`,
      bytes: frame(Buffer.concat([header, tagged, Buffer.from(hex, 'hex')])),
    })
  }
  return vectors
}

const requests = realRequests()

/** Requests that do something: what a random vector asks for mostly does not exist. */
const useful: readonly Uint8Array[] = [
  requestFrame(apiKeys.produce, 9, {
    acks: -1,
    timeoutMs: 100,
    topicData: [{ name: 'target', partitionData: [{ index: 0, records: batchOf(['a', 'b', 'c']) }] }],
  }),
  requestFrame(apiKeys.fetch, 11, {
    maxWaitMs: 1,
    minBytes: 1,
    topics: [{ topic: 'target', partitions: [{ partition: 0, fetchOffset: 0, partitionMaxBytes: 1000 }] }],
  }),
  requestFrame(apiKeys.listOffsets, 7, {
    topics: [{ name: 'target', partitions: [{ partitionIndex: 0, timestamp: 1_600_000_000_000 }] }],
  }),
  requestFrame(apiKeys.metadata, 12, { topics: [{ name: 'target' }] }),
  requestFrame(apiKeys.offsetCommit, 8, {
    groupId: 'g',
    topics: [
      { name: 'target', partitions: [{ partitionIndex: 0, committedOffset: 1, committedMetadata: '' }] },
    ],
  }),
  requestFrame(apiKeys.deleteRecords, 2, {
    topics: [{ name: 'target', partitions: [{ partitionIndex: 0 }] }],
  }),
]

const mutation = fc.oneof(
  fc.record({ kind: fc.constant('set' as const), at: fc.nat(), value: fc.nat(255) }),
  fc.record({
    kind: fc.constant('extreme' as const),
    at: fc.nat(),
    value: fc.constantFrom(0, 0x7f, 0x80, 0xff),
  }),
  fc.record({ kind: fc.constant('cut' as const), at: fc.nat(), value: fc.nat() }),
  fc.record({ kind: fc.constant('insert' as const), at: fc.nat(), value: fc.nat(255) }),
)
type Mutation = typeof mutation extends fc.Arbitrary<infer T> ? T : never

/** Changes the body; the size is made right again unless `keepSize`. */
function mutate(bytes: Uint8Array, mutations: readonly Mutation[], keepSize: boolean): Uint8Array {
  let body = Buffer.from(bytes.subarray(4))
  for (const { kind, at, value } of mutations) {
    const place = body.length === 0 ? 0 : at % body.length
    if (kind === 'cut') body = body.subarray(0, place)
    else if (kind === 'insert')
      body = Buffer.concat([body.subarray(0, place), Buffer.of(value), body.subarray(place)])
    else if (body.length > 0) body[place] = value
  }
  return keepSize ? Buffer.concat([bytes.subarray(0, 4), body]) : frame(body)
}

async function world() {
  const running = await runBroker({ settings: { 'offsets.topic.num.partitions': '1' } })
  const client = await RawClient.connect(running.broker)
  await createTopic(client, 'target')
  await client.request(apiKeys.findCoordinator, 2, { key: 'g' })
  client.socket.destroy()
  return running
}

/** Some vectors hold numbers beyond 2^53, which are refused. */
function isReadable(bytes: Uint8Array): boolean {
  const header = decodeRequestHeader(bytes.subarray(4))
  try {
    decodeRequestBody(apiByKey(header.apiKey)!, header, bytes.subarray(4))
    return true
  } catch {
    return false
  }
}

/** The lines that say that something went wrong inside. */
function bugs({ lines }: { readonly lines: readonly string[] }): string[] {
  return lines.filter((line) => line.startsWith('error') || line.includes('cannot be encoded'))
}

test('requests with arbitrary contents are answered, in every version of every API', async () => {
  const { broker, logger } = await world()
  expect(requests.length).toBeGreaterThan(300)
  for (const { name, bytes } of requests) {
    const client = await RawClient.connect(broker)
    client.write(bytes)
    // The client leaves: whatever would wait for long is cut short, and the answer is sent.
    client.socket.end()
    const answer = await client.untilClosed()
    expect(`${name}: ${bugs(logger).join()}`).toBe(`${name}: `)
    // Produce with acks=0 has no answer, nor a Fetch that cannot say what is wrong with it, nor what a broker alone does not know.
    const isKnown = !clusterApiKeys.has(decodeRequestHeader(bytes.subarray(4)).apiKey)
    if (isKnown && isReadable(bytes) && !/^produce|^fetch [456]$/.test(name))
      expect(`${name}: ${answer.length > 7}`).toBe(`${name}: true`)
  }
  expect(broker.load).toMatchObject({ requestBytes: 0, waitingFetches: 0, waitingForDisk: 0 })
  await expectAlive(broker)
})

test('changed requests never take the broker down or leave anything behind', async () => {
  const { broker, logger } = await world()
  const before = process.memoryUsage().rss
  const sample = fc.constantFrom(...requests.map(({ bytes }) => bytes), ...useful, ...useful, ...useful)
  const run = fc.record({
    frames: fc.array(
      fc.record({
        bytes: sample,
        mutations: fc.array(mutation, { minLength: 1, maxLength: 4 }),
        keepSize: fc.boolean(),
      }),
      { minLength: 1, maxLength: 6 },
    ),
    leaves: fc.constantFrom('end' as const, 'destroy' as const),
  })
  await fc.assert(
    fc.asyncProperty(run, async ({ frames, leaves }) => {
      const client = await RawClient.connect(broker)
      for (const { bytes, mutations, keepSize } of frames) client.write(mutate(bytes, mutations, keepSize))
      await expectAlive(broker)
      client.socket[leaves]()
      if (leaves === 'end') await client.untilClosed()
      expect(bugs(logger)).toEqual([])
    }),
    { numRuns: 300 },
  )
  while (broker.load.connections > 0) await new Promise((resolve) => setImmediate(resolve))
  expect(broker.load).toMatchObject({ requestBytes: 0, waitingFetches: 0 })
  expect(process.memoryUsage().rss - before).toBeLessThan(256 * 1024 * 1024)
})

test('changed batches with a right checksum are refused or stored so that every offset can be read', async () => {
  const { broker, logger } = await world()
  const client = await RawClient.connect(broker)
  let endOffset = 0
  const change = fc.record({ at: fc.nat(), value: fc.nat(255) })
  await fc.assert(
    fc.asyncProperty(fc.array(change, { minLength: 1, maxLength: 5 }), async (changes) => {
      const records = batchOf(['first', 'second', 'third'])
      for (const { at, value } of changes) records[12 + (at % (records.length - 12))] = value
      updateChecksum(records, nodeChecksum)
      const { errorCode, baseOffset } = await produce(client, 'target', records)
      if (errorCode === 0) {
        expect(baseOffset).toBe(endOffset)
        endOffset = baseOffset + new BatchHeader(records, 0).recordsCount
      }
      expect(bugs(logger)).toEqual([])
    }),
    { numRuns: 300 },
  )
  let nextOffset = 0
  while (nextOffset < endOffset) {
    const partitions = [{ partition: 0, fetchOffset: nextOffset, partitionMaxBytes: 1 << 20 }]
    const topics = [{ topic: 'target', partitions }]
    const { responses } = await client.request(apiKeys.fetch, 11, { maxWaitMs: 0, minBytes: 1, topics })
    const { errorCode, records, highWatermark } = responses[0]!.partitions[0]!
    expect([errorCode, highWatermark]).toEqual([0, endOffset])
    for (let at = 0; at < records!.length; ) {
      const header = new BatchHeader(records!, at)
      expect(header.baseOffset).toBe(nextOffset)
      nextOffset = header.lastOffset + 1
      at += header.sizeBytes
    }
  }
  expect(nextOffset).toBe(endOffset)
})

test('clients that announce large requests and send nothing hold next to nothing', async () => {
  const { broker } = await runBroker({ settings: { 'queued.max.request.bytes': '33554432' } })
  const before = process.memoryUsage().rss
  const clients = await Promise.all(Array.from({ length: 30 }, () => RawClient.connect(broker)))
  const size = Buffer.alloc(8)
  size.writeInt32BE(10 * 1024 * 1024)
  for (const client of clients) client.write(size)
  const announcedBytes = 10 * 1024 * 1024 + 29 * 16_384
  while (broker.load.requestBytes < announcedBytes) await new Promise((resolve) => setImmediate(resolve))
  expect(broker.load.requestBytes).toBe(announcedBytes)
  await expectAlive(broker)
  expect(process.memoryUsage().rss - before).toBeLessThan(100 * 1024 * 1024)
  for (const client of clients) client.socket.destroy()
  while (broker.load.connections > 0) await new Promise((resolve) => setImmediate(resolve))
  expect(broker.load.requestBytes).toBe(0)
  await expectAlive(broker)
})

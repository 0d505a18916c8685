import { expect, test } from 'vitest'
import { Broker } from '../../src/broker/broker.ts'
import { brokerConfig } from '../../src/broker/brokerConfig.ts'
import { EngineError } from '../../src/model/errors.ts'
import { KafkaError } from '../../src/model/kafkaErrors.ts'
import { silentLogger } from '../../src/model/logger.ts'
import { apiKeys, clusterApiKeys } from '../../src/protocol/apiKeys.ts'
import { decodeResponse } from '../../src/protocol/headers.ts'
import type { Network } from '../../src/runtime/network.ts'
import { nodeChecksum } from '../../src/runtime/node/nodeChecksum.ts'
import { createNodeRuntime } from '../../src/runtime/node/nodeRuntime.ts'
import { updateChecksum } from '../../src/segment/recordBatch.ts'
import { frame } from './support/fakes.ts'
import { batchOf, createTopic, produce } from './support/produce.ts'
import { expectAlive, RawClient, requestFrame, runBroker } from './support/runningBroker.ts'

const error = (name: keyof typeof KafkaError): number => KafkaError[name].kafka

/** Sends bytes on a connection of their own and returns what came back before the broker closed it. */
async function sendAndBeClosed(bytes: Uint8Array): Promise<{ answer: Buffer; warnings: string[] }> {
  const { broker, logger } = await runBroker()
  const client = await RawClient.connect(broker)
  client.write(bytes)
  const answer = Buffer.from(await client.untilClosed())
  await expectAlive(broker)
  expect(broker.load.requestBytes).toBe(0)
  return { answer, warnings: logger.lines.filter((line) => line.startsWith('warn')) }
}

/** A request header, version 1: API, version, correlation id 1, no client id. */
function header(apiKey: number, version: number): Buffer {
  const bytes = Buffer.alloc(10)
  bytes.writeInt16BE(apiKey, 0)
  bytes.writeInt16BE(version, 2)
  bytes.writeInt32BE(1, 4)
  bytes.writeInt16BE(-1, 8)
  return bytes
}

const metadataV1 = header(3, 1)

test.each<[string, Uint8Array]>([
  ['a negative size', Buffer.from('fffffff0', 'hex')],
  ['the smallest size', Buffer.from('80000000', 'hex')],
  ['a size above socket.request.max.bytes', Buffer.from('06400001', 'hex')],
  ['a TLS client', Buffer.from('160301020001000000', 'hex')],
  ['an empty request', Buffer.from('00000000', 'hex')],
  ['half a header', frame(Buffer.from('0003', 'hex'))],
  ['an unknown API', frame(header(999, 0))],
  ['a negative API', frame(header(-5, 0))],
  ['an API that brokers keep to themselves', frame(header(4, 1))],
  ['a version of the future', frame(header(3, 99))],
  ['a version of the past', frame(header(0, 2))],
  ['a negative version', frame(header(3, -1))],
  ['an array count beyond the bytes', frame(Buffer.concat([metadataV1, Buffer.from('7fffffff', 'hex')]))],
  ['a negative array count', frame(Buffer.concat([metadataV1, Buffer.from('80000000', 'hex')]))],
  ['a string beyond the bytes', frame(Buffer.concat([metadataV1, Buffer.from('000000017fff61', 'hex')]))],
  ['a cut body', frame(Buffer.concat([metadataV1, Buffer.from('0000', 'hex')]))],
  ['bytes behind the body', frame(Buffer.concat([metadataV1, Buffer.from('ffffffff00', 'hex')]))],
  ['a client id with a lying length', frame(Buffer.from('00030001000000017fff61', 'hex'))],
])('closes the connection with one line in the log, and goes on: %s', async (_name, bytes) => {
  const { answer, warnings } = await sendAndBeClosed(bytes)
  expect(answer).toHaveLength(0)
  expect(warnings).toHaveLength(1)
})

test('HTTP is told in HTTP that this is a Kafka port', async () => {
  const { answer } = await sendAndBeClosed(Buffer.from('GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n'))
  expect(answer.toString()).toMatch(/^HTTP\/1\.1 400 .*This is a Kafka port/s)
})

test.each([6, 7, 99, 32_767, -1])(
  'ApiVersions version %i is answered in version 0 with error 35',
  async (version) => {
    const { broker } = await runBroker()
    const client = await RawClient.connect(broker)
    client.write(frame(Buffer.concat([header(18, version), Buffer.alloc(version >= 3 ? 3 : 0)])))
    const answer = decodeResponse(apiKeys.apiVersions, 0, await client.frame())
    const { min: minVersion, max: maxVersion } = apiKeys.apiVersions
    expect(answer).toMatchObject({ errorCode: 35, apiKeys: [{ apiKey: 18, minVersion, maxVersion }] })
    // The connection stays usable for the retry.
    expect((await client.request(apiKeys.apiVersions, maxVersion, software)).errorCode).toBe(0)
  },
)

const software = { clientSoftwareName: 'test', clientSoftwareVersion: '1.0' }

test('a client software name that is none is refused with 42', async () => {
  const { broker } = await runBroker()
  const client = await RawClient.connect(broker)
  const answer = await client.request(apiKeys.apiVersions, 3, { ...software, clientSoftwareName: '-\n' })
  expect(answer.errorCode).toBe(error('invalidRequest'))
})

test('a broker that stands alone advertises every version of every API that needs no cluster', async () => {
  const { broker } = await runBroker()
  const client = await RawClient.connect(broker)
  const { apiKeys: advertised } = await client.request(apiKeys.apiVersions, 3, software)
  const implemented = Object.values(apiKeys)
    .filter(({ key }) => !clusterApiKeys.has(key))
    .map(({ key, advertisedMin, max }) => [key, advertisedMin, max])
  const named = advertised.map(({ apiKey, minVersion, maxVersion }) => [apiKey, minVersion, maxVersion])
  expect(named.sort((a, b) => a[0]! - b[0]!)).toEqual(implemented.sort((a, b) => a[0]! - b[0]!))
})

test.each(['', '.', '..', 'a/b', '../../etc', 'ä', 'x'.repeat(250), 'x'.repeat(300), 'a b', 'nul\0'])(
  'a topic cannot be called %j, neither when it is created nor when it is asked for',
  async (name) => {
    const { broker } = await runBroker()
    const client = await RawClient.connect(broker)
    const topics = [{ name, numPartitions: 1, replicationFactor: 1 }]
    const created = await client.request(apiKeys.createTopics, 5, { topics })
    expect(created.topics[0]!.errorCode).toBe(error('invalidTopicException'))
    const metadata = await client.request(apiKeys.metadata, 5, {
      topics: [{ name }],
      allowAutoTopicCreation: true,
    })
    expect(metadata.topics[0]!.errorCode).toBe(error('invalidTopicException'))
    expect((await client.request(apiKeys.metadata, 5, { topics: null })).topics).toEqual([])
  },
)

test('a batch whose records are fewer than it says is refused, checksum or not', async () => {
  const { broker } = await runBroker()
  const client = await RawClient.connect(broker)
  await createTopic(client, 'orders')
  const lying = batchOf(['a', 'b', 'c'])
  lying[60] = 9 // recordsCount
  lying[26] = 8 // lastOffsetDelta
  updateChecksum(lying, nodeChecksum)
  expect(await produce(client, 'orders', lying)).toMatchObject({ errorCode: error('invalidRecord') })
})

test('connections beyond max.connections are closed, and accepted again when there is room', async () => {
  const { broker } = await runBroker({ settings: { 'max.connections': '2' } })
  const first = await RawClient.connect(broker)
  await first.request(apiKeys.apiVersions, 0, {})
  const second = await RawClient.connect(broker)
  await second.request(apiKeys.apiVersions, 0, {})
  const third = await RawClient.connect(broker)
  await third.untilClosed()
  first.socket.destroy()
  while (broker.load.connections > 1) await new Promise((resolve) => setImmediate(resolve))
  await expectAlive(broker)
})

test('without max.connections no more are accepted than the network says there can be', async () => {
  const runtime = createNodeRuntime()
  const { network } = runtime
  const listen: Network['listen'] = (address, accept) => network.listen(address, accept)
  const connect: Network['connect'] = (address, timeoutMs) => network.connect(address, timeoutMs)
  const { broker } = await runBroker({
    runtime: { ...runtime, network: { listen, connect, maxConnections: 1 } },
  })
  const first = await RawClient.connect(broker)
  await first.request(apiKeys.apiVersions, 0, {})
  await (await RawClient.connect(broker)).untilClosed()
  await first.request(apiKeys.apiVersions, 0, {})
})

test('requests of one connection that are sent at once are all answered, in order', async () => {
  const { broker } = await runBroker()
  const client = await RawClient.connect(broker)
  const frames = Array.from({ length: 500 }, (_, nth) => requestFrame(apiKeys.apiVersions, 0, {}, nth))
  client.write(Buffer.concat(frames))
  for (let nth = 0; nth < 500; nth++) expect(Buffer.from(await client.frame()).readInt32BE(0)).toBe(nth)
})

async function startError(settings: Record<string, string>): Promise<EngineError> {
  const runtime = createNodeRuntime()
  try {
    const config = brokerConfig(settings, { hostName: 'localhost' })
    const broker = await Broker.start(runtime, config, silentLogger)
    await broker.close()
  } catch (cause) {
    expect(cause).toBeInstanceOf(EngineError)
    return cause as EngineError
  } finally {
    await runtime.disk.close()
  }
  throw new Error('the broker started')
}

test('a port in use is an error of one line, and leaves the directory usable', async () => {
  const running = await runBroker()
  const other = await runBroker()
  await other.close()
  const listeners = `PLAINTEXT://127.0.0.1:${running.broker.address.port}`
  const found = await startError({ listeners, 'log.dirs': other.directory })
  expect(found.code).toBe('addressInUse')
  expect(found.message).not.toContain('\n')
  const again = await runBroker({ directory: other.directory })
  await expectAlive(again.broker)
})

test('a directory in use names its owner', async () => {
  const running = await runBroker()
  const found = await startError({ listeners: 'PLAINTEXT://127.0.0.1:0', 'log.dirs': running.directory })
  expect(found.code).toBe('directoryLocked')
  expect(found.message).toContain(String(process.pid))
  await expectAlive(running.broker)
})

test('a directory of another cluster or node is refused', async () => {
  const { close, directory } = await runBroker()
  await close()
  const settings = { listeners: 'PLAINTEXT://127.0.0.1:0', 'log.dirs': directory }
  expect((await startError({ ...settings, 'cordwood.cluster.id': 'AAAAAAAAAAAAAAAAAAAABQ' })).code).toBe(
    'directoryForeign',
  )
  expect((await startError({ ...settings, 'node.id': '9' })).code).toBe('directoryForeign')
})

test.each([10, 11])(
  'metadata version %i has no topics without a name: the connection is closed',
  async (version) => {
    const { broker, logger } = await runBroker()
    const client = await RawClient.connect(broker)
    const topics = [{ name: null, topicId: 'BBBBBBBBBBBBBBBBBBBBBQ' }]
    client.send(apiKeys.metadata, version, { topics })
    expect(await client.untilClosed()).toHaveLength(0)
    expect(logger.lines.filter((line) => !line.startsWith('info'))).toEqual([
      expect.stringMatching(/^warn .*without a name/),
    ])
  },
)

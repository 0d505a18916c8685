import { mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { java, type javaTools, kcat, kcatRead, kgoCat } from './support/clients.ts'
import { createTopic, withAdmin } from './support/kafkajs.ts'
import { until } from './support/run.ts'
import { isCordwood, ownsServer, type Server, startServer } from './support/server.ts'

const run = `${process.pid}`

let server: Server
beforeAll(async () => {
  server = await startServer()
})
afterAll(() => server?.stop())

/** Runs one of Kafka's tools against the server; returns everything it printed. */
async function tool(name: keyof typeof javaTools, ...args: string[]): Promise<string> {
  const { stdout, stderr } = await java(name, ['--bootstrap-server', server.bootstrap, ...args], {
    mayFail: true,
  })
  return stdout + stderr
}

test('kafka-topics creates, describes, extends, lists and deletes a topic', async () => {
  const topic = `tools-${run}`
  const create = await tool(
    'topics',
    '--create',
    '--topic',
    topic,
    '--partitions',
    '2',
    '--config',
    'retention.ms=3600000',
  )
  expect(create).toContain(`Created topic ${topic}`)
  expect(await tool('topics', '--create', '--topic', topic)).toMatch(/already exists/)

  const described = await tool('topics', '--describe', '--topic', topic)
  expect(described).toMatch(/PartitionCount: 2\s+ReplicationFactor: 1\s+Configs:.*retention\.ms=3600000/)
  expect(described).toMatch(/Partition: 1\s+Leader: (\d+)\s+Replicas: \1\s+Isr: \1/)

  await tool('topics', '--alter', '--topic', topic, '--partitions', '5')
  expect(await tool('topics', '--describe', '--topic', topic)).toContain('PartitionCount: 5')
  expect(await tool('topics', '--alter', '--topic', topic, '--partitions', '3')).toMatch(
    /higher than|InvalidPartitions|currently has 5/,
  )

  await tool('topics', '--delete', '--topic', topic)
  expect(await tool('topics', '--list')).not.toContain(topic)
})

test.each([
  ['..', /Topic name is invalid|InvalidTopicException|cannot be/],
  ['a'.repeat(300), /too long|longer than|InvalidTopicException|invalid/],
  ['a b', /InvalidTopicException|illegal|invalid/],
])('a topic cannot be called %s', async (topic, refusal) => {
  expect(await tool('topics', '--create', '--topic', topic)).toMatch(refusal)
})

test('kafka-configs alters, describes and removes a config, and a wrong value is refused', async () => {
  const topic = `configs-${run}`
  await createTopic(server.bootstrap, topic, 1)
  const configs = (...args: string[]) =>
    tool('configs', '--entity-type', 'topics', '--entity-name', topic, ...args)

  expect(await configs('--alter', '--add-config', 'retention.bytes=5000000,segment.bytes=2000000')).toContain(
    'Completed updating',
  )
  expect(await configs('--describe')).toMatch(/retention\.bytes=5000000/)
  expect(await configs('--alter', '--delete-config', 'retention.bytes')).toContain('Completed updating')
  const described = await configs('--describe')
  expect(described).toMatch(/segment\.bytes=2000000/)
  expect(described).not.toMatch(/retention\.bytes=5000000/)
  expect(await configs('--alter', '--add-config', 'retention.ms=soon')).toMatch(/InvalidConfig|Invalid value/)
  expect(await configs('--describe', '--all')).toMatch(/max\.message\.bytes=1048588/)
})

test('kafka-cluster, kafka-broker-api-versions and kafka-log-dirs get an answer', async () => {
  const topic = `dirs-${run}`
  await createTopic(server.bootstrap, topic, 1)
  await kcat(server.bootstrap, ['-P', '-t', topic], { input: 'one\ntwo\n' })

  const cluster = await java('cluster', ['cluster-id', '--bootstrap-server', server.bootstrap])
  expect(cluster.stdout).toMatch(/Cluster ID: [A-Za-z0-9_-]{22}/)

  const versions = await tool('brokerApiVersions')
  for (const api of ['Produce(0): 0 to', 'Fetch(1): 4 to', 'ApiVersions(18): 0 to'])
    expect(versions).toContain(api)
  expect(versions).not.toMatch(/ERROR|Exception/)

  const dirs = await tool('logDirs', '--describe', '--topic-list', topic)
  const { brokers } = JSON.parse(dirs.split('\n').find((line) => line.startsWith('{'))!)
  expect(brokers[0].logDirs[0].error).toBe(null)
  expect(brokers[0].logDirs[0].partitions[0]).toMatchObject({
    partition: `${topic}-0`,
    offsetLag: 0,
    isFuture: false,
  })
  expect(brokers[0].logDirs[0].partitions[0].size).toBeGreaterThan(60)
})

describe('offsets', () => {
  const topic = `offsets-${run}`

  test('kafka-get-offsets finds earliest, latest, the largest timestamp and the offset at a time', async () => {
    await createTopic(server.bootstrap, topic, 2)
    await kcat(server.bootstrap, ['-P', '-t', topic, '-p', '0'], { input: 'a\nb\nc\n' })
    await kcat(server.bootstrap, ['-P', '-t', topic, '-p', '0'], { input: 'd\n' })
    const at = (time: string) => tool('getOffsets', '--topic', topic, '--time', time)
    expect(await at('latest')).toContain(`${topic}:0:4\n${topic}:1:0`)
    expect(await at('earliest')).toContain(`${topic}:0:0\n${topic}:1:0`)
    expect(await at('max-timestamp')).toContain(`${topic}:0:3`)
    expect(await at('1000')).toContain(`${topic}:0:0`)
  })

  test('kafka-delete-records moves the log start, and reading from the beginning starts there', async () => {
    const partitions = [{ topic, partition: 0, offset: 3 }]
    const file = join(mkdtempSync(join(tmpdir(), 'cordwood-interop-')), 'offsets.json')
    writeFileSync(file, JSON.stringify({ partitions, version: 1 }))
    const stdout = await tool('deleteRecords', '--offset-json-file', file)
    rmSync(dirname(file), { recursive: true })
    expect(stdout).toMatch(/partition: \S+-0\s+low_watermark: 3/)
    const read = await kcatRead(server.bootstrap, topic)
    expect(read).toEqual([{ partition: 0, offset: 3, key: '', value: 'd' }])
  })

  // Kafka itself writes it down once a minute only.
  test.runIf(isCordwood)('the moved log start survives SIGKILL', async () => {
    await server.kill()
    await server.restart()
    const at = await until('the offsets', () =>
      withAdmin(server.bootstrap, (admin) => admin.fetchTopicOffsets(topic)),
    )
    expect(at.find(({ partition }) => partition === 0)).toMatchObject({ low: '3', high: '4' })
  })
})

test('retention by size deletes whole segments, oldest first', async () => {
  const topic = `retention-${run}`
  await createTopic(server.bootstrap, topic, 1, {
    'segment.bytes': '1048576',
    'retention.bytes': '2097152',
    'file.delete.delay.ms': '500',
  })
  const input = Array.from({ length: 6000 }, (_, i) => `k\t${'x'.repeat(1000)}${i}\n`).join('')
  await kgoCat('produce', server.bootstrap, ['-t', topic], { input })
  const low = await until('the oldest segments to go', async () => {
    const [offsets] = await withAdmin(server.bootstrap, (admin) => admin.fetchTopicOffsets(topic))
    expect(Number(offsets!.high)).toBe(6000)
    return Number(offsets!.low) > 0 && Number(offsets!.low)
  })
  const read = await kcatRead(server.bootstrap, topic)
  const offsets = read.map(({ offset }) => offset)
  expect(offsets.at(-1)).toBe(5999)
  expect(offsets[0]).toBeGreaterThanOrEqual(low)
  if (ownsServer) {
    const oldest = `${`${offsets[0]}`.padStart(20, '0')}.log`
    const directory = join(server.logDirectory, `${topic}-0`)
    const logs = () => readdirSync(directory).filter((name) => name.endsWith('.log'))
    await until('the files to go as well', () => logs().sort()[0] === oldest)
  }
})

test('a topic that does not exist is made when a client writes to it', async () => {
  const topic = `auto-${run}`
  await kcat(server.bootstrap, ['-P', '-t', topic], { input: 'first\n' })
  const { stdout } = await kcat(server.bootstrap, [
    '-q',
    '-C',
    '-t',
    topic,
    '-o',
    'beginning',
    '-e',
    '-f',
    '%o %s\n',
  ])
  expect(stdout).toBe('0 first\n')
})

test('null keys, empty values, headers and timestamps come back as they went in', async () => {
  const topic = `shapes-${run}`
  await createTopic(server.bootstrap, topic, 1)
  const produce = ['-P', '-t', topic, '-K', ':', '-Z']
  await kcat(server.bootstrap, [...produce, '-H', 'trace=abc', '-H', 'trace=def', '-H', 'empty='], {
    input: 'k:v\n:v2\nk3:\n',
  })
  const { stdout } = await kcat(server.bootstrap, ['-q', '-C', '-t', topic, '-o', 'beginning', '-e', '-J'])
  const seen = stdout
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line))
  expect(seen.map(({ key, payload }) => [key, payload])).toEqual([
    ['k', 'v'],
    [null, 'v2'],
    ['k3', null],
  ])
  expect(seen[0].headers).toEqual(['trace', 'abc', 'trace', 'def', 'empty', ''])
  expect(Math.abs(seen[0].ts - Date.now())).toBeLessThan(600_000)
  expect(seen[0].tstype).toBe('create')
})

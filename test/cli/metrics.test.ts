import { createServer } from 'node:net'
import { expect, test } from 'vitest'
import { Client, checkAnswer } from '../../src/cli/client.ts'
import { Families } from '../../src/cli/metrics/families.ts'
import { MetricsServer } from '../../src/cli/metrics/metricsServer.ts'
import { MetricsText } from '../../src/cli/metrics/registry.ts'
import { parseAddresses } from '../../src/cli/options.ts'
import { Histogram } from '../../src/model/histogram.ts'
import { createNodeRuntime } from '../../src/runtime/node/nodeRuntime.ts'
import { temporaryDirectory } from '../support/temporaryDirectory.ts'
import { type RunningCommand, run, start } from './commandLine.ts'

/** A broker on free ports, with metrics. */
async function serve(
  ...more: readonly string[]
): Promise<{ broker: RunningCommand; address: string; url: string }> {
  const broker = start([
    'serve',
    '--listen',
    '127.0.0.1:0',
    '--directory',
    temporaryDirectory(),
    '--metrics',
    '127.0.0.1:0',
    '--log-level',
    'error',
    ...more,
  ])
  await Promise.race([
    broker.printed('ready'),
    broker.done.then(({ stderr }) => Promise.reject(new Error(stderr))),
  ])
  const [, address, url] = / on (\S+) after .*metrics on (\S+)\/metrics/.exec(broker.stdout())!
  return { broker, address: address!, url: url! }
}

/** Commits an offset as a consumer without a group's membership does. */
async function commit(
  address: string,
  groupId: string,
  topic: string,
  committedOffset: number,
): Promise<void> {
  const [bootstrap] = parseAddresses(address)
  const client = new Client(createNodeRuntime(), { bootstrap: [bootstrap!] })
  await client.retrying(async () => {
    const found = await client.send('findCoordinator', {
      keyType: 0,
      coordinatorKeys: [groupId],
    })
    checkAnswer(found.coordinators[0]?.errorCode ?? found.errorCode, 'no coordinator')
    const { topics: known } = await client.send('metadata', { topics: [{ name: topic }] })
    const partitions = [{ partitionIndex: 0, committedOffset, committedMetadata: '' }]
    const body = {
      groupId,
      generationIdOrMemberEpoch: -1,
      memberId: '',
      topics: [{ topicId: known[0]!.topicId, partitions }],
    }
    const { topics } = await client.send('offsetCommit', body)
    checkAnswer(topics[0]!.partitions[0]!.errorCode, 'the commit failed')
  })
  await client.close()
}

async function get(url: string): Promise<{ status: number; text: string }> {
  const response = await fetch(url)
  return { status: response.status, text: await response.text() }
}

/** The value of one series, or undefined. */
function seriesValue(text: string, series: string): number | undefined {
  const line = text.split('\n').find((each) => each.startsWith(`${series} `))
  return line === undefined ? undefined : Number(line.slice(series.length + 1))
}

test('a scrape shows what clients have done, from the first record to the lag of a group', async () => {
  const { broker, address, url } = await serve()
  const to = ['--bootstrap', address]
  await run(['produce', 'orders', '--quiet', ...to], 'a\nb\nc\n')
  await run(['produce', 'orders', '--quiet', ...to], 'd\n')
  await commit(address, 'g', 'orders', 3)
  await commit(address, 'done', 'orders', 4)
  const { status, text } = await get(`${url}/metrics`)
  expect(status).toBe(200)
  expect(seriesValue(text, 'kafka_network_requestmetrics_requests_total{request="Produce"}')).toBe(2)
  expect(seriesValue(text, 'kafka_server_brokertopicmetrics_bytesin_total')).toBeGreaterThan(100)
  expect(seriesValue(text, 'kafka_log_log_logendoffset{topic="orders",partition="0"}')).toBe(4)
  expect(seriesValue(text, 'cordwood_log_high_watermark{topic="orders",partition="0"}')).toBe(4)
  expect(seriesValue(text, 'cordwood_request_duration_seconds_bucket{request="Produce",le="+Inf"}')).toBe(2)
  expect(seriesValue(text, 'cordwood_flush_duration_seconds_count')).toBeGreaterThanOrEqual(2)
  const lagOf = (group: string): string => `{consumergroup="${group}",topic="orders",partition="0"}`
  expect(seriesValue(text, `kafka_consumergroup_lag${lagOf('g')}`)).toBe(1)
  expect(seriesValue(text, `kafka_consumergroup_current_offset${lagOf('g')}`)).toBe(3)
  const ageSeconds = seriesValue(text, `kafka_consumergroup_lag_seconds${lagOf('g')}`)!
  expect(ageSeconds).toBeGreaterThanOrEqual(0)
  expect(ageSeconds).toBeLessThan(60)
  expect(seriesValue(text, `kafka_consumergroup_lag${lagOf('done')}`)).toBe(0)
  expect(seriesValue(text, `kafka_consumergroup_lag_seconds${lagOf('done')}`)).toBe(0)
  expect(seriesValue(text, 'cordwood_groups{state="Empty"}')).toBe(2)
  expect(seriesValue(text, 'kafka_server_replicamanager_underreplicatedpartitions')).toBe(0)
  expect(seriesValue(text, 'process_cpu_seconds_total')).toBeGreaterThan(0)
  broker.interrupt()
  await broker.done
})

test('health, readiness and other paths', async () => {
  const { broker, url } = await serve()
  expect(await get(`${url}/healthz`)).toEqual({ status: 200, text: 'alive\n' })
  expect(await get(`${url}/readyz`)).toEqual({ status: 200, text: 'ready\n' })
  expect((await get(`${url}/`)).status).toBe(404)
  expect((await fetch(`${url}/metrics`, { method: 'POST' })).status).toBe(405)
  broker.interrupt()
  expect((await broker.done).exitCode).toBe(0)
})

test('before the broker is there it is alive and not ready, with the reason', async () => {
  const reasons = ['the broker is starting']
  const server = await MetricsServer.listen(
    { host: '127.0.0.1', port: 0 },
    { families: async () => null, notReady: () => reasons },
  )
  const url = `http://127.0.0.1:${server.address.port}`
  expect((await get(`${url}/healthz`)).status).toBe(200)
  expect(await get(`${url}/readyz`)).toEqual({ status: 503, text: 'the broker is starting\n' })
  expect((await get(`${url}/metrics`)).status).toBe(503)
  await server.close()
})

test('scrapes that come together are one', async () => {
  let collected = 0
  let give: () => void = () => {}
  const families = (): Promise<[]> =>
    new Promise((resolve) => {
      collected += 1
      give = () => resolve([])
    })
  const server = await MetricsServer.listen({ host: '127.0.0.1', port: 0 }, { families, notReady: () => [] })
  const url = `http://127.0.0.1:${server.address.port}/metrics`
  const both = [get(url), get(url)]
  while (collected === 0) await new Promise((resolve) => setImmediate(resolve))
  // The second is sure to be there once a third, which comes later on the same server, has been answered.
  await get(`http://127.0.0.1:${server.address.port}/healthz`)
  give()
  expect((await Promise.all(both)).map(({ status }) => status)).toEqual([200, 200])
  expect(collected).toBeLessThanOrEqual(2)
  await server.close()
})

test('more partitions than the bound have no series of their own, and the node still counts them', async () => {
  const { broker, address, url } = await serve('--set', 'cordwood.metrics.partitions.max=4')
  await run(['topics', 'create', 'wide', '--partitions', '5', '--bootstrap', address])
  const { text } = await get(`${url}/metrics`)
  expect(seriesValue(text, 'kafka_server_replicamanager_partitioncount')).toBe(5)
  expect(seriesValue(text, 'cordwood_partitions_without_series')).toBe(5)
  expect(text).not.toContain('topic="wide"')
  broker.interrupt()
  await broker.done
})

test('a port that is taken is one line', async () => {
  const taken = createServer()
  await new Promise<void>((resolve) => taken.listen(0, '127.0.0.1', resolve))
  const { port } = taken.address() as { port: number }
  const { exitCode, stderr } = await run([
    'serve',
    '--listen',
    '127.0.0.1:0',
    '--directory',
    temporaryDirectory(),
    '--metrics',
    `127.0.0.1:${port}`,
  ])
  expect([exitCode, stderr]).toEqual([
    1,
    expect.stringMatching(/^cordwood: cannot serve metrics on \S+: .*; choose another --metrics\n$/),
  ])
  await new Promise((resolve) => taken.close(resolve))
})

test('an address for metrics that is none is refused before anything starts', async () => {
  const { exitCode, stderr } = await run([
    'serve',
    '--set',
    'cordwood.metrics.listener=nowhere',
    '--check-config',
  ])
  expect([exitCode, stderr]).toEqual([2, expect.stringContaining('--set: cordwood.metrics.listener=nowhere')])
})

test('a family of many series is written in parts and is the same family', async () => {
  const families = new Families()
  for (let partition = 0; partition < 1000; partition++)
    families.gauge('g', 'Help.', partition, { partition })
  families.gauge('h', 'Other.', 1)
  let turns = 0
  let isDone = false
  const others = (async () => {
    while (!isDone) {
      await new Promise((resolve) => setImmediate(resolve))
      turns += 1
    }
  })()
  const lines = (await new MetricsText().text(families.all())).split('\n')
  isDone = true
  await others
  expect(lines.slice(0, 1004)).toEqual([
    '# HELP g Help.',
    '# TYPE g gauge',
    ...Array.from({ length: 1000 }, (_, partition) => `g{partition="${partition}"} ${partition}`),
    '# HELP h Other.',
    '# TYPE h gauge',
  ])
  expect(turns).toBeGreaterThanOrEqual(3)
})

test('a histogram becomes cumulated buckets in the unit that its name says', async () => {
  const histogram = new Histogram([1, 10])
  for (const ms of [0.5, 1, 5, 100]) histogram.note(ms)
  const families = new Families()
  families.histogram('h_seconds', 'Help.', histogram, 0.001, { api: 'a"b' })
  const text = await new MetricsText().text(families.all())
  expect(text.split('\n').slice(0, 7)).toEqual([
    '# HELP h_seconds Help.',
    '# TYPE h_seconds histogram',
    'h_seconds_bucket{api="a\\"b",le="0.001"} 2',
    'h_seconds_bucket{api="a\\"b",le="0.01"} 3',
    'h_seconds_bucket{api="a\\"b",le="+Inf"} 4',
    'h_seconds_sum{api="a\\"b"} 0.1065',
    'h_seconds_count{api="a\\"b"} 4',
  ])
})

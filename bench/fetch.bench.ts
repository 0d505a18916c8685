import { execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Broker } from '../src/broker/broker.ts'
import { brokerConfig } from '../src/broker/brokerConfig.ts'
import { silentLogger } from '../src/model/logger.ts'
import { type AnyApi, apiKeys } from '../src/protocol/apiKeys.ts'
import { encodeRequest } from '../src/protocol/headers.ts'
import { encodeBatch } from '../src/segment/records.ts'
import { createRuntime } from '../src/zerocopy/nativeRuntime.ts'

/**
 * How near does a fetch of records that are in memory come to a bare loop of sendfile? One client, a C program, asks
 * both for the same MiBs, one request at a time or two (so that neither waits for the other), and throws the answers
 * away; rounds take turns. Needs `cc`.
 */

const rounds = 7
const seconds = 2
const totalBytes = 256 << 20
const responseBytes = 1 << 20

const directory = mkdtempSync(join(tmpdir(), 'cordwood-bench-'))
const floor = join(directory, 'fetch')
const source = new URL('../../../bench/peers/floor/fetch.c', import.meta.url).pathname
execFileSync('cc', ['-O2', source, '-o', floor])

const runtime = createRuntime()
const config = brokerConfig(
  {
    listeners: 'PLAINTEXT://127.0.0.1:0',
    'log.dirs': join(directory, 'data'),
    'cordwood.flush.policy': 'none',
  },
  { hostName: 'localhost' },
)
const broker = await Broker.start(runtime, config, silentLogger)

/** One batch of a kilobyte per record; sixteen make an answer of nearly a MiB. */
const timestampMs = runtime.clock.wallMs()
const records = Array.from({ length: 62 }, () => ({ key: null, value: Buffer.alloc(1024, 97), timestampMs }))
const batch = encodeBatch({ records }, runtime.checksum)
const batchesPerAnswer = Math.floor(responseBytes / batch.length)
const batches = Math.floor(totalBytes / batch.length / batchesPerAnswer) * batchesPerAnswer

function frame(api: AnyApi, version: number, body: object): Buffer {
  return Buffer.concat(encodeRequest(api, version, 1, 'bench', body as never) as Uint8Array[])
}

/** Sends requests one after the other and waits for the answer of each. */
async function send(frames: Iterable<Uint8Array>): Promise<void> {
  const socket = connect(broker.address.port, '127.0.0.1')
  let missing = 0
  let wake = (): void => {}
  let received = Buffer.alloc(0)
  socket.on('data', (chunk) => {
    received = Buffer.concat([received, chunk])
    while (received.length >= 4 && received.length >= 4 + received.readInt32BE(0)) {
      received = received.subarray(4 + received.readInt32BE(0))
      missing--
    }
    wake()
  })
  for (const each of frames) {
    socket.write(each)
    missing++
    while (missing > 0) await new Promise<void>((resolve) => (wake = resolve))
  }
  socket.destroy()
}

function* setup(): Iterable<Uint8Array> {
  const topic = { name: 'bench', numPartitions: 1, replicationFactor: 1, configs: [] }
  yield frame(apiKeys.createTopics, 7, { timeoutMs: 10_000, topics: [topic] })
  for (let index = 0; index < batches; index++) {
    const topicData = [{ name: 'bench', partitionData: [{ index: 0, records: batch }] }]
    yield frame(apiKeys.produce, 9, { acks: 1, timeoutMs: 10_000, transactionalId: null, topicData })
  }
}

await send(setup())
const log = join(directory, 'data', 'bench-0', `${'0'.repeat(20)}.log`)
if (statSync(log).size !== batches * batch.length) throw new Error('the broker did not take all batches')

const requests: Buffer[] = []
for (let index = 0; index < batches; index += batchesPerAnswer) {
  const partitionMaxBytes = batchesPerAnswer * batch.length
  const partition = { partition: 0, fetchOffset: index * records.length, partitionMaxBytes }
  const topics = [{ topic: 'bench', partitions: [partition] }]
  requests.push(frame(apiKeys.fetch, 12, { maxWaitMs: 500, minBytes: 1, maxBytes: 1 << 26, topics }))
}
const requestBytes = requests[0]!.length
const requestFile = join(directory, 'requests')
writeFileSync(requestFile, Buffer.concat(requests))

/** Answers and bytes a second, `depth` requests at a time. */
async function read(port: number, depth: number): Promise<{ answers: number; bytes: number }> {
  const args = ['read', String(port), requestFile, String(requestBytes), String(seconds), '0', String(depth)]
  const child = spawn(floor, args, { stdio: ['ignore', 'pipe', 'inherit'] })
  let printed = ''
  child.stdout.on('data', (chunk) => (printed += chunk))
  const [code] = await once(child, 'close')
  const [answers = 0, bytes = 0] = printed.split(' ').map(Number)
  if (code !== 0 || answers === 0) throw new Error('the client failed')
  return { answers, bytes }
}

async function readBare(depth: number): Promise<{ answers: number; bytes: number }> {
  const args = ['serve', log, String(requestBytes), String(batchesPerAnswer * batch.length)]
  const server = spawn(floor, args, { stdio: ['ignore', 'pipe', 'inherit'] })
  const [port] = await once(server.stdout, 'data')
  const found = await read(Number(port), depth)
  server.kill()
  return found
}

const at = (values: number[], share: number): number =>
  values.toSorted((left, right) => left - right)[Math.floor((values.length - 1) * share)]!
const show = (values: number[]): string =>
  `${at(values, 0.5).toFixed(0)} MB/s (p10 ${at(values, 0.1).toFixed(0)}, p90 ${at(values, 0.9).toFixed(0)})`

console.log(
  `answers of ${((batchesPerAnswer * batch.length) / 1024).toFixed(0)} KiB, ${rounds} rounds of ${seconds} s`,
)
for (const depth of [1, 2]) {
  const bare: number[] = []
  const ours: number[] = []
  const ratio: number[] = []
  const cpu: number[] = []
  for (let round = 0; round <= rounds; round++) {
    const floorRound = await readBare(depth)
    const before = process.cpuUsage()
    const ourRound = await read(broker.address.port, depth)
    const used = process.cpuUsage(before)
    // The first of each warms up.
    if (round === 0) continue
    bare.push(floorRound.bytes / 1e6)
    ours.push(ourRound.bytes / 1e6)
    ratio.push((ourRound.bytes / floorRound.bytes) * 100)
    cpu.push((used.user + used.system) / 1e6 / seconds)
  }
  console.log(
    `${depth} at a time: bare sendfile ${show(bare)}; fetch ${show(ours)}, ${at(cpu, 0.5).toFixed(2)} cores`,
  )
  console.log(
    `  ratio, round by round: median ${at(ratio, 0.5).toFixed(0)} %, best ${at(ratio, 1).toFixed(0)} %`,
  )
}
await broker.close()
await runtime.disk.close()
rmSync(directory, { recursive: true })

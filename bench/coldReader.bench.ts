import { type ChildProcess, execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { Broker } from '../src/broker/broker.ts'
import { brokerConfig } from '../src/broker/brokerConfig.ts'
import { silentLogger } from '../src/model/logger.ts'
import { type AnyApi, apiKeys } from '../src/protocol/apiKeys.ts'
import { encodeRequest } from '../src/protocol/headers.ts'
import { nodeChecksum } from '../src/runtime/node/nodeChecksum.ts'
import { encodeBatch } from '../src/segment/records.ts'
import { createRuntime } from '../src/zerocopy/nativeRuntime.ts'

/**
 * Does a consumer that reads from the disk delay those whose records are in memory? A broker serves a paced producer
 * and a consumer that follows it: alone; beside a C program that reads a large topic over and over while that is in
 * memory, which costs the same processor time; and beside the same while the topic's pages are dropped all the time, so
 * that all of it comes from the disk. Needs `cc`.
 * Arguments: flush policy (default none), seconds of a phase (5), rounds (5), MiBs that are read a second (300).
 */

const [policy = 'none', secondsText = '5', roundsText = '5', rateText = '300'] = process.argv.slice(2)
const [seconds, rounds] = [Number(secondsText), Number(roundsText)]
const coldBytes = 1280 << 20
const requestsPerSecond = 200

const directory =
  process.env.COLD_BENCH ?? mkdtempSync(join(process.env.BENCH_DIR ?? tmpdir(), 'cordwood-cold-'))

async function serve(): Promise<void> {
  const properties = {
    listeners: 'PLAINTEXT://127.0.0.1:0',
    'log.dirs': join(directory, 'data'),
    'cordwood.flush.policy': policy,
  }
  const config = brokerConfig(properties, { hostName: 'localhost' })
  const broker = await Broker.start(createRuntime({ native: true }), config, silentLogger)
  console.log(broker.address.port)
}

async function measure(): Promise<void> {
  const server = spawn(process.execPath, [fileURLToPath(import.meta.url), policy], {
    stdio: ['ignore', 'pipe', 'inherit'],
    env: { ...process.env, COLD_BENCH: directory },
  })
  const port = Number((await once(server.stdout, 'data'))[0])
  try {
    const requests = await fill(port)
    const large = join(directory, 'data', 'cold-0', `${'0'.repeat(20)}.log`)
    execFileSync('sync', [large])
    const byThread = new Map<string, number>()
    const phases: Record<PhaseName, Phase[]> = { alone: [], memory: [], disk: [] }
    for (let round = 0; round <= rounds; round++) {
      for (const name of phaseNames) {
        if (name === 'memory') await runReader(port, requests, 0)
        const before = bytesRead(server.pid!)
        const dropping = name === 'disk' ? startDropping(large) : null
        const reader = name === 'alone' ? 0 : runReader(port, requests, Number(rateText))
        const hot = await runHot(port)
        const coldRate = await reader
        dropping?.kill()
        // The first round warms up.
        if (round === 0) continue
        let fromDisk = 0
        for (const [thread, bytes] of bytesRead(server.pid!)) {
          const more = bytes - (before.get(thread) ?? 0)
          fromDisk += more / seconds
          byThread.set(thread, (byThread.get(thread) ?? 0) + more)
        }
        phases[name].push({ ...hot, coldRate, fromDisk })
      }
    }
    report(phases)
    const readers = [...byThread].filter(([, bytes]) => bytes > 0)
    console.log(
      `read from the disk by ${readers.map(([name, bytes]) => `${name} ${(bytes / 2 ** 20).toFixed(1)} MiB`).join(', ')}`,
    )
  } finally {
    server.kill('SIGKILL')
    await once(server, 'close')
    await sleep(100)
    rmSync(directory, { recursive: true })
  }
}

const phaseNames = ['alone', 'memory', 'disk'] as const
type PhaseName = (typeof phaseNames)[number]

/** What one phase showed: latencies in milliseconds, rates in bytes a second. */
interface Phase {
  readonly produce: number[]
  readonly endToEnd: number[]
  readonly coldRate: number
  readonly fromDisk: number
}

/** Bytes that each kind of thread of the broker has read from the disk: who waits for it. */
function bytesRead(pid: number): Map<string, number> {
  const found = new Map<string, number>()
  for (const thread of readdirSync(`/proc/${pid}/task`)) {
    const at = `/proc/${pid}/task/${thread}`
    const name = Number(thread) === pid ? 'event loop' : readFileSync(`${at}/comm`, 'latin1').trim()
    const bytes = Number(/^read_bytes: (\d+)/m.exec(readFileSync(`${at}/io`, 'latin1'))![1])
    found.set(name, (found.get(name) ?? 0) + bytes)
  }
  return found
}

function frame(api: AnyApi, version: number, body: object): Buffer {
  return Buffer.concat(encodeRequest(api, version, 1, 'bench', body as never) as Uint8Array[])
}

/** A connection: sends a request and resolves with the whole answer. One at a time. */
class Link {
  readonly #socket
  #received = Buffer.alloc(0)
  #wake: () => void = () => {}

  constructor(port: number) {
    this.#socket = connect(port, '127.0.0.1')
    this.#socket.setNoDelay(true)
    this.#socket.on('data', (chunk) => {
      this.#received = Buffer.concat([this.#received, chunk])
      this.#wake()
    })
  }

  async ask(request: Uint8Array): Promise<Buffer> {
    this.#socket.write(request)
    const isWhole = (): boolean =>
      this.#received.length >= 4 && this.#received.length >= 4 + this.#received.readInt32BE(0)
    while (!isWhole()) await new Promise<void>((resolve) => (this.#wake = resolve))
    const answer = this.#received
    this.#received = Buffer.alloc(0)
    return answer
  }

  close(): void {
    this.#socket.destroy()
  }
}

function produceFrame(topic: string, records: Uint8Array): Buffer {
  const topicData = [{ name: topic, partitionData: [{ index: 0, records }] }]
  return frame(apiKeys.produce, 9, { acks: 1, timeoutMs: 30_000, transactionalId: null, topicData })
}

function fetchFrame(topic: string, fetchOffset: number, partitionMaxBytes: number): Buffer {
  const topics = [{ topic, partitions: [{ partition: 0, fetchOffset, partitionMaxBytes }] }]
  return frame(apiKeys.fetch, 12, { maxWaitMs: 500, minBytes: 1, maxBytes: 1 << 26, topics })
}

/** Makes both topics, fills the large one and returns the requests that read all of it. */
async function fill(port: number): Promise<{ file: string; bytes: number }> {
  const link = new Link(port)
  for (const name of ['hot', 'cold']) {
    const topic = { name, numPartitions: 1, replicationFactor: 1, configs: [] }
    await link.ask(frame(apiKeys.createTopics, 7, { timeoutMs: 10_000, topics: [topic] }))
  }
  const value = Buffer.alloc(1024, 97)
  const records = Array.from({ length: 62 }, () => ({ key: null, value, timestampMs: 1 }))
  const batch = encodeBatch({ records }, nodeChecksum)
  const request = produceFrame('cold', batch)
  const count = Math.floor(coldBytes / batch.length / 16) * 16
  for (let index = 0; index < count; index++) await link.ask(request)
  link.close()
  const fetches: Buffer[] = []
  for (let index = 0; index < count; index += 16) {
    fetches.push(fetchFrame('cold', index * records.length, 16 * batch.length))
  }
  const file = join(directory, 'requests')
  writeFileSync(file, Buffer.concat(fetches))
  return { file, bytes: fetches[0]!.length }
}

/** Has nothing of a file stay in memory, in a process of its own. */
function startDropping(path: string): ChildProcess {
  const addon = fileURLToPath(new URL('../src/zerocopy/addon.js', import.meta.url))
  const program =
    `import { loadAddon } from ${JSON.stringify(addon)}; const { addon } = loadAddon();` +
    `setInterval(() => addon.dropCached(${JSON.stringify(path)}), 50)`
  return spawn(process.execPath, ['--input-type=module', '-e', program], { stdio: 'ignore' })
}

/** Reads the large topic for the length of a phase, so many MiB a second (0: all there is); bytes a second. */
async function runReader(
  port: number,
  requests: { file: string; bytes: number },
  rate: number,
): Promise<number> {
  const floor = join(directory, 'fetch')
  if (!existsSync(floor)) {
    const source = new URL('../../../bench/peers/floor/fetch.c', import.meta.url).pathname
    execFileSync('cc', ['-O2', source, '-o', floor])
  }
  const args = ['read', String(port), requests.file, String(requests.bytes), String(seconds), String(rate)]
  const child = spawn(floor, args, { stdio: ['ignore', 'pipe', 'inherit'] })
  const [printed] = await once(child.stdout, 'data')
  return Number(String(printed).split(' ')[1])
}

/** The base offset that a phase began with. */
let next0 = 0

/** The paced producer and the consumer that follows it. */
async function runHot(port: number): Promise<{ produce: number[]; endToEnd: number[] }> {
  const [producer, consumer] = [new Link(port), new Link(port)]
  const produce: number[] = []
  const endToEnd: number[] = []
  /** When the batch with each base offset was due. */
  const dueAt = new Map<number, number>()
  const value = Buffer.alloc(1024, 98)
  const records = Array.from({ length: 8 }, () => ({ key: null, value, timestampMs: 1 }))
  const batch = encodeBatch({ records }, nodeChecksum)
  const request = produceFrame('hot', batch)
  const count = seconds * requestsPerSecond
  let next = -1
  let acked = 0
  const following = (async () => {
    // The base offset of the first batch of the phase is that of the first answer.
    while (next < 0) await sleep(1)
    const end = next + count * records.length
    while (next < end) {
      const answer = await consumer.ask(fetchFrame('hot', next, 1 << 20))
      const nowMs = performance.now()
      const found = Math.floor(answer.length / batch.length) * records.length
      for (let offset = next; offset < next + found; offset += records.length) {
        endToEnd.push(nowMs - dueAt.get(offset)!)
      }
      next += found
    }
  })()
  const startMs = performance.now()
  for (let index = 0; index < count; index++) {
    const dueMs = startMs + (index * 1000) / requestsPerSecond
    await sleep(Math.max(0, dueMs - performance.now()))
    const sentMs = performance.now()
    if (acked > 0) dueAt.set(next0 + index * records.length, sentMs)
    const answer = await producer.ask(request)
    produce.push(performance.now() - sentMs)
    if (acked++ === 0) {
      next0 = baseOffsetOf(answer)
      dueAt.set(next0, sentMs)
      next = next0
    }
  }
  await following
  producer.close()
  consumer.close()
  return { produce, endToEnd }
}

/** Of a Produce answer of version 9 for one partition: size, correlation id, tags, topics, name, partitions, index, error. */
function baseOffsetOf(answer: Buffer): number {
  const nameBytes = answer[10]! - 1
  return Number(answer.readBigInt64BE(11 + nameBytes + 1 + 4 + 2))
}

function report(phases: Record<PhaseName, Phase[]>): void {
  const at = (values: number[], share: number): number =>
    values.toSorted((left, right) => left - right)[Math.floor((values.length - 1) * share)]!
  const median = (values: number[]): string => at(values, 0.5).toFixed(2)
  console.log(
    `policy ${policy}, ${rounds} rounds of ${seconds} s, ${requestsPerSecond} appends of 8 KiB a second, ` +
      `large topic ${coldBytes >> 20} MiB; medians of the rounds, ms`,
  )
  for (const name of phaseNames) {
    const of = (pick: (phase: Phase) => number[], share: number): string =>
      median(phases[name].map((phase) => at(pick(phase), share)))
    const row = (pick: (phase: Phase) => number[]): string =>
      `p50 ${of(pick, 0.5)}  p99 ${of(pick, 0.99)}  max ${of(pick, 1)}`
    const rate = (pick: (phase: Phase) => number): string =>
      (at(phases[name].map(pick), 0.5) / 1e6).toFixed(0)
    const title = {
      alone: 'alone',
      memory: 'beside a reader of memory',
      disk: 'beside a reader of the disk',
    }[name]
    console.log(
      `${title.padEnd(28)} append ${row((phase) => phase.produce)}   end to end ${row((phase) => phase.endToEnd)}` +
        `   read ${rate((phase) => phase.coldRate)} MB/s, ${rate((phase) => phase.fromDisk)} from the disk`,
    )
  }
}

if (process.env.COLD_BENCH !== undefined) await serve()
else await measure()

import { type ChildProcess, execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import {
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
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
 * Does a consumer that reads a log larger than memory delay those whose records are in memory? A broker that may have no
 * more than 384 MiB, page cache included, serves a paced producer and a consumer that follows it: alone; beside a C
 * program that reads, over and over, 96 MiB that stay in memory, which costs the same processor time; beside the same
 * that reads 1.5 GiB, so that all of it comes from the disk and pushes everything else out of memory; and beside the
 * same that reads as much from a bare loop of `sendfile` within the same limit, which the broker knows nothing of: what
 * that moves is the machine's part. Needs `cc`, and root for the limit (a memory cgroup); without it the large log is
 * dropped from memory all the time instead. Ends within 90 s.
 * In the environment: `POLICY` (none), `SECONDS` of a phase (3), `ROUNDS` (5), `RATE` in MiB read a second (300),
 * `DIRECTORY`.
 */

const number = (name: string, otherwise: number): number => Number(process.env[name] ?? otherwise)
const policy = process.env.POLICY ?? 'none'
const seconds = number('SECONDS', 3)
const rounds = number('ROUNDS', 5)
const rate = number('RATE', 300)
const limitMs = 85_000
const memoryBytes = 384 << 20
const residentAnswers = 96
const largeAnswers = 1536
const requestsPerSecond = 200

const inServer = process.env.COLD_BENCH !== undefined
const directory =
  process.env.COLD_BENCH ?? mkdtempSync(join(process.env.DIRECTORY ?? tmpdir(), 'cordwood-cold-'))
const say = (text: string): void =>
  console.log(`${(performance.now() / 1000).toFixed(0).padStart(3)} s  ${text}`)

async function serve(): Promise<void> {
  // Whoever started it holds the other end; when that is gone, however it went, so is the broker.
  process.stdin.on('end', () => process.exit()).resume()
  const properties = {
    listeners: 'PLAINTEXT://127.0.0.1:0',
    'log.dirs': join(directory, 'data'),
    'cordwood.flush.policy': policy,
  }
  const config = brokerConfig(properties, { hostName: 'localhost' })
  const broker = await Broker.start(createRuntime({ native: true }), config, silentLogger)
  console.log(broker.address.port)
}

/** What must not outlive the run: removed when it ends, however it ends. */
const leftovers: (() => void)[] = []

function removeLeftovers(): void {
  for (const remove of leftovers.splice(0).reverse()) {
    try {
      remove()
    } catch (error) {
      console.error(error)
    }
  }
}

async function measure(): Promise<void> {
  leftovers.push(() => rmSync(directory, { recursive: true, force: true, maxRetries: 5 }))
  process.on('exit', removeLeftovers)
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, () => process.exit(1))
  const server = spawn(process.execPath, [fileURLToPath(import.meta.url)], {
    stdio: ['pipe', 'pipe', 'inherit'],
    env: { ...process.env, COLD_BENCH: directory },
  })
  leftovers.push(() => server.kill('SIGKILL'))
  const ended = once(server, 'exit').then(([code, signal]) => {
    throw new Error(`the broker ended by itself (${signal ?? `code ${code}`})`)
  })
  await Promise.race([measureBeside(server), ended])
  server.removeAllListeners('exit')
  server.kill('SIGKILL')
  await once(server, 'close')
}

async function measureBeside(server: ChildProcess): Promise<void> {
  const port = Number((await once(server.stdout!, 'data'))[0])
  const group = memoryGroup(server.pid!)
  say(`filling a log with ${largeAnswers} answers of a MiB`)
  const requests = await fill(port)
  // What a bare loop reads is a copy: the broker cannot know what another process has brought into memory.
  copyFileSync(join(directory, 'data', 'cold-0', `${'0'.repeat(20)}.log`), join(directory, 'bare'))
  execFileSync('sync', ['-f', directory])
  if (group !== null) writeFileSync(group.limit, String(memoryBytes))
  say(
    group === null
      ? 'no memory cgroup: the large log is dropped from memory every 50 ms while it is read'
      : `the broker and what it has in the page cache may take ${memoryBytes >> 20} MiB from here on`,
  )
  const phases: Record<PhaseName, Phase[]> = { alone: [], memory: [], disk: [], bare: [] }
  const byThread = new Map<string, number>()
  for (let round = 0; round <= rounds; round++) {
    // The first round warms up.
    const length = round === 0 ? 1 : seconds
    if (round > 1 && performance.now() + phaseNames.length * (length + 1) * 1000 > limitMs) break
    for (const name of phaseNames) {
      if (name === 'memory') await runReader(port, requests.resident, 0.5, 0)
      const before = bytesRead(server.pid!)
      const dropping = (name === 'disk' || name === 'bare') && group === null ? startDropping() : null
      const reader =
        name === 'alone'
          ? 0
          : runReader(
              name === 'bare' ? await startBare(requests.large.bytes, group) : port,
              name === 'memory' ? requests.resident : requests.large,
              length,
              rate,
            )
      const hot = await runHot(port, length)
      const coldRate = await reader
      dropping?.kill()
      let fromDisk = 0
      for (const [thread, bytes] of bytesRead(server.pid!)) {
        const more = bytes - (before.get(thread) ?? 0)
        fromDisk += more / length
        if (round > 0 && name === 'disk') byThread.set(thread, (byThread.get(thread) ?? 0) + more)
      }
      const phase = { ...hot, coldRate, fromDisk }
      if (round > 0) phases[name].push(phase)
      say(
        `${round === 0 ? 'warming up' : `round ${round}`}, ${titles[name]}: append p99 ${at(hot.produce, 0.99).toFixed(1)} ms, ` +
          `end to end p99 ${at(hot.endToEnd, 0.99).toFixed(1)} ms`,
      )
    }
  }
  report(phases)
  const readers = [...byThread].filter(([, bytes]) => bytes > 0)
  const readBy = readers.map(([name, bytes]) => `${name} ${(bytes / 2 ** 20).toFixed(1)} MiB`)
  console.log(`beside a reader of the disk, read from it by: ${readBy.join(', ')}`)
}

const phaseNames = ['alone', 'memory', 'disk', 'bare'] as const
type PhaseName = (typeof phaseNames)[number]
const titles: Readonly<Record<PhaseName, string>> = {
  alone: 'alone',
  memory: 'beside a reader of memory',
  disk: 'beside a reader of the disk',
  bare: 'beside sendfile of the disk',
}

/** What one phase showed: latencies in milliseconds, rates in bytes a second. */
interface Phase {
  readonly produce: number[]
  readonly endToEnd: number[]
  readonly coldRate: number
  readonly fromDisk: number
}

/** The files of a memory cgroup to write a limit and further processes to. */
interface MemoryGroup {
  readonly limit: string
  readonly members: string
}

/** Puts a process into a memory cgroup of its own; null if that cannot be. */
function memoryGroup(pid: number): MemoryGroup | null {
  for (const [root, limit] of [
    ['/sys/fs/cgroup/memory', 'memory.limit_in_bytes'],
    ['/sys/fs/cgroup', 'memory.max'],
  ] as const) {
    const group = join(root, `cordwood-cold-${process.pid}`)
    try {
      mkdirSync(group)
      // Once the broker has gone; a dying process leaves its group a moment later.
      leftovers.unshift(() =>
        execFileSync('sh', [
          '-c',
          'for i in 1 2 3 4 5; do rmdir "$0" 2>/dev/null && exit; sleep 0.2; done; exit 1',
          group,
        ]),
      )
      if (!existsSync(join(group, limit))) continue
      const members = join(group, 'cgroup.procs')
      writeFileSync(members, String(pid))
      return { limit: join(group, limit), members }
    } catch {} // Not mounted, or not allowed.
  }
  return null
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

/** A connection: sends requests, answers come back in their order. */
class Link {
  readonly #socket
  readonly #waiters: { resolve: (answer: Buffer) => void; reject: (error: Error) => void }[] = []
  #received = Buffer.alloc(0)

  constructor(port: number) {
    this.#socket = connect(port, '127.0.0.1')
    this.#socket.setNoDelay(true)
    this.#socket.on('error', () => {}) // 'close' comes after it.
    this.#socket.on('close', () => {
      for (const { reject } of this.#waiters.splice(0)) reject(new Error('the broker closed a connection'))
    })
    this.#socket.on('data', (chunk) => {
      this.#received = this.#received.length === 0 ? chunk : Buffer.concat([this.#received, chunk])
      while (this.#received.length >= 4 && this.#received.length >= 4 + this.#received.readInt32BE(0)) {
        const bytes = 4 + this.#received.readInt32BE(0)
        this.#waiters.shift()!.resolve(this.#received.subarray(0, bytes))
        this.#received = this.#received.subarray(bytes)
      }
    })
  }

  ask(request: Uint8Array): Promise<Buffer> {
    return new Promise((resolve, reject) => {
      this.#waiters.push({ resolve, reject })
      this.#socket.write(request)
    })
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

/** Requests in a file, all of one length, for the C program. */
interface Requests {
  readonly file: string
  readonly bytes: number
}

/** Makes both topics, fills the large one; the requests that read all of it, and those that read its beginning. */
async function fill(port: number): Promise<{ large: Requests; resident: Requests }> {
  const link = new Link(port)
  for (const name of ['hot', 'cold']) {
    const topic = { name, numPartitions: 1, replicationFactor: 1, configs: [] }
    await link.ask(frame(apiKeys.createTopics, 7, { timeoutMs: 10_000, topics: [topic] }))
  }
  const value = Buffer.alloc(1024, 97)
  // Records of today: retention would delete older ones.
  const records = Array.from({ length: 63 }, () => ({ key: null, value, timestampMs: Date.now() }))
  const batch = encodeBatch({ records }, nodeChecksum)
  const request = produceFrame('cold', batch)
  for (let index = 0; index < largeAnswers; index++) {
    const answers = await Promise.all(Array.from({ length: 16 }, () => link.ask(request)))
    if (baseOffsetOf(answers[15]!) !== (index * 16 + 15) * records.length)
      throw new Error('a batch was not taken')
  }
  link.close()
  const frames = Array.from({ length: largeAnswers }, (_, index) =>
    fetchFrame('cold', index * 16 * records.length, 16 * batch.length),
  )
  const write = (name: string, count: number): Requests => {
    const file = join(directory, name)
    writeFileSync(file, Buffer.concat(frames.slice(0, count)))
    return { file, bytes: frames[0]!.length }
  }
  return {
    large: write('requests-large', largeAnswers),
    resident: write('requests-resident', residentAnswers),
  }
}

/** Has nothing of the large log stay in memory, in a process of its own. */
function startDropping(): ChildProcess {
  const addon = fileURLToPath(new URL('../src/zerocopy/addon.js', import.meta.url))
  const cold = join(directory, 'data', 'cold-0')
  const paths = readdirSync(cold)
    .filter((name) => name.endsWith('.log'))
    .map((name) => join(cold, name))
  const program =
    `import { loadAddon } from ${JSON.stringify(addon)}; const { addon } = loadAddon();` +
    `setInterval(() => ${JSON.stringify(paths)}.forEach((path) => addon.dropCached(path)), 50)`
  const child = spawn(process.execPath, ['--input-type=module', '-e', program], { stdio: 'ignore' })
  leftovers.push(() => child.kill('SIGKILL'))
  return child
}

/** Starts a bare loop of `sendfile` over a copy of the large log's first segment, for one reader; its port. */
async function startBare(requestBytes: number, group: MemoryGroup | null): Promise<number> {
  const file = join(directory, 'bare')
  const child = spawn(floorProgram(), ['serve', file, String(requestBytes), String(1 << 20)])
  leftovers.push(() => child.kill('SIGKILL'))
  if (group !== null) writeFileSync(group.members, String(child.pid))
  return Number((await once(child.stdout, 'data'))[0])
}

function floorProgram(): string {
  const floor = join(directory, 'fetch')
  if (!existsSync(floor)) {
    const source = new URL('../../../bench/peers/floor/fetch.c', import.meta.url).pathname
    execFileSync('cc', ['-O2', source, '-o', floor])
  }
  return floor
}

/** Reads a log over and over for so many seconds, so many MiB in each (0: all there is); bytes a second. */
async function runReader(port: number, requests: Requests, length: number, rate: number): Promise<number> {
  const args = ['read', String(port), requests.file, String(requests.bytes), String(length), String(rate)]
  const child = spawn(floorProgram(), args, { stdio: ['ignore', 'pipe', 'inherit'] })
  leftovers.push(() => child.kill('SIGKILL'))
  let printed = ''
  child.stdout.on('data', (chunk) => (printed += chunk))
  const [code] = await once(child, 'close')
  const [answers = 0, bytes = 0] = printed.split(' ').map(Number)
  if (code !== 0 || bytes < answers * 900_000 || bytes === 0) {
    throw new Error(
      `the reader of the large log failed (code ${code}, ${answers} answers, ${bytes} bytes a second)`,
    )
  }
  return bytes
}

/** The base offset that a phase began with. */
let next0 = 0

/** The paced producer and the consumer that follows it. */
async function runHot(port: number, length: number): Promise<{ produce: number[]; endToEnd: number[] }> {
  const [producer, consumer] = [new Link(port), new Link(port)]
  const produce: number[] = []
  const endToEnd: number[] = []
  /** When the batch with each base offset was due. */
  const dueAt = new Map<number, number>()
  const value = Buffer.alloc(1024, 98)
  const records = Array.from({ length: 8 }, () => ({ key: null, value, timestampMs: Date.now() }))
  const batch = encodeBatch({ records }, nodeChecksum)
  const request = produceFrame('hot', batch)
  const count = length * requestsPerSecond
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

function at(values: readonly number[], share: number): number {
  return values.toSorted((left, right) => left - right)[Math.floor((values.length - 1) * share)]!
}

function report(phases: Record<PhaseName, Phase[]>): void {
  console.log(
    `\npolicy ${policy}, ${phases.alone.length} rounds of ${seconds} s, ${requestsPerSecond} appends of 8 KiB a second, ` +
      `${rate} MiB read a second of ${largeAnswers} MiB; medians of the rounds, ms`,
  )
  for (const name of phaseNames) {
    const of = (pick: (phase: Phase) => number[], share: number): string =>
      at(
        phases[name].map((phase) => at(pick(phase), share)),
        0.5,
      )
        .toFixed(2)
        .padStart(6)
    const row = (pick: (phase: Phase) => number[]): string =>
      `p50 ${of(pick, 0.5)}  p99 ${of(pick, 0.99)}  max ${of(pick, 1)}`
    const megabytes = (pick: (phase: Phase) => number): string =>
      (at(phases[name].map(pick), 0.5) / 1e6).toFixed(0)
    console.log(
      `${titles[name].padEnd(28)} append ${row((phase) => phase.produce)}   end to end ${row((phase) => phase.endToEnd)}` +
        `   read ${megabytes((phase) => phase.coldRate)} MB/s, ${megabytes((phase) => phase.fromDisk)} from the disk`,
    )
  }
  for (const [what, pick] of [
    ['append', (phase: Phase) => phase.produce],
    ['end to end', (phase: Phase) => phase.endToEnd],
  ] as const) {
    const beside = (name: PhaseName): string => {
      const ratios = phases.disk.map(
        (phase, round) => at(pick(phase), 0.99) / at(pick(phases[name][round]!), 0.99),
      )
      const range = `${at(ratios, 0).toFixed(2)}-${at(ratios, 1).toFixed(2)}`
      return `${at(ratios, 0.5).toFixed(2)} x (${range})`
    }
    console.log(
      `p99 ${what}, beside a reader of the disk: ${beside('alone')} of alone, ${beside('memory')} of beside a reader ` +
        `of memory, ${beside('bare')} of beside a bare loop of sendfile that reads from the disk`,
    )
  }
}

if (inServer) await serve()
else await measure()

import { type ChildProcess, fork } from 'node:child_process'
import { subscribe } from 'node:diagnostics_channel'
import { closeSync, fdatasyncSync, mkdtempSync, openSync, readFileSync, rmSync, writeSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { startNode } from '../src/index.ts'
import { silentLogger } from '../src/model/logger.ts'
import { randomUuid, type Uuid } from '../src/model/uuid.ts'
import type { Voter } from '../src/raft.ts'
import { PeerTransport } from '../src/replica/peerTransport.ts'
import { ReplicaHost } from '../src/replica/replicaHost.ts'
import type { Address } from '../src/runtime/network.ts'
import { defaultLogConfig } from '../src/segment/logConfig.ts'
import { LogDirectory } from '../src/segment/logDirectory.ts'
import { encodeBatch } from '../src/segment/records.ts'
import { createRuntime } from '../src/zerocopy/nativeRuntime.ts'

/**
 * Three processes on loopback, journal flush. What a commit costs beside one fdatasync of the same disk, how many bytes a second
 * are committed beside a group with one voter, how long nobody leads after the leader was killed, and what idle groups cost.
 *
 * `SECONDS` (4) for each throughput, `KILLS` (11), `IDLE_GROUPS` (10000), `IDLE_WINDOWS` of 10 s (5), `ONLY` (latency, throughput, failover, library, idle) in
 * the environment; `DIRECTORY` is where. `library` is what `failover` is, with `startNode`: to the new leader, and to the next append
 * that is acknowledged.
 */

const number = (name: string, otherwise: number): number => Number(process.env[name] ?? otherwise)
const recordBytes = number('RECORD_BYTES', 1024)

/** What a node is told. */
type Command =
  | {
      readonly type: 'open'
      readonly voters: readonly Voter[]
      readonly groups: number
      readonly topicId: Uuid
    }
  | { readonly type: 'latency'; readonly count: number }
  | { readonly type: 'throughput'; readonly seconds: number; readonly writers: number }
  | { readonly type: 'state' }
  | { readonly type: 'usage' }
  | { readonly type: 'close' }

/** What a node answers. */
interface State {
  readonly leads: number
  readonly follows: number
  readonly highWatermark: number
}

/** A run that is cut off leaves no node behind that goes on alone. */
function endWithParent(): void {
  process.on('disconnect', () => process.exit(1))
}

/** One node: LogDirectory, transport, host, and an ear for the parent. */
async function runNode(nodeId: number, directory: string): Promise<void> {
  const runtime = createRuntime()
  const logs = await LogDirectory.open(runtime, {
    directory,
    logger: silentLogger,
    nodeId,
    clusterId: 'bench',
    configFor: () => defaultLogConfig,
  })
  let transport!: PeerTransport
  const host = await ReplicaHost.open(runtime, {
    nodeId,
    clusterId: 'bench',
    endpoints: [],
    logs,
    logger: silentLogger,
    transport: (handler) => {
      transport = new PeerTransport(runtime, { nodeId, clusterId: 'bench', logger: silentLogger }, handler)
      return transport
    },
  })
  const address = await transport.listen({ host: '127.0.0.1', port: Number(process.argv[5] ?? 0) })
  const record = (): Uint8Array =>
    encodeBatch(
      { records: [{ key: null, value: new Uint8Array(recordBytes), timestampMs: Date.now() }] },
      runtime.checksum,
    )
  const first = () => [...host.groups.values()][0]!
  const carryOut = async (command: Command): Promise<unknown> => {
    switch (command.type) {
      case 'open': {
        const { voters, groups, topicId } = command
        const spec = { topic: 't', topicId, kind: 'partition' as const, config: defaultLogConfig, voters }
        for (let partition = 0; partition < groups; partition += 100) {
          const some = Array.from(
            { length: Math.min(100, groups - partition) },
            (_, index) => partition + index,
          )
          await Promise.all(some.map((each) => host.openGroup({ ...spec, partition: each })))
        }
        first().watch({
          leadership: (state) => {
            if (state === 'leader') process.send!({ event: 'leads', nodeId })
          },
        })
        if (first().state === 'leader') process.send!({ event: 'leads', nodeId })
        return null
      }
      case 'latency': {
        const group = first()
        const took: number[] = []
        for (let round = 0; round < command.count; round++) {
          const batch = record()
          const startedMs = performance.now()
          await group.append(batch, { acks: 'all' })
          took.push(performance.now() - startedMs)
        }
        return took
      }
      case 'throughput': {
        const group = first()
        const batch = record()
        const untilMs = performance.now() + command.seconds * 1000
        let count = 0
        const write = async (): Promise<void> => {
          while (performance.now() < untilMs) {
            await group.append(batch, { acks: 'all' })
            count++
          }
        }
        await Promise.all(Array.from({ length: command.writers }, write))
        return count / command.seconds
      }
      case 'state': {
        const groups = [...host.groups.values()]
        const leads = groups.filter(({ state }) => state === 'leader').length
        const follows = groups.filter(({ state, leaderId }) => state === 'follower' && leaderId > 0).length
        return { leads, follows, highWatermark: first().highWatermark } satisfies State
      }
      case 'usage': {
        const { user, system } = process.cpuUsage()
        const status = readFileSync('/proc/self/status', 'utf8')
        const kib = (name: string): number => Number(new RegExp(`${name}:\\s+(\\d+)`).exec(status)?.[1] ?? 0)
        const mib = (kib('RssAnon') + kib('RssShmem')) / 1024
        return { cpuMs: (user + system) / 1000, mib, elections: host.stats.elections }
      }
      case 'close':
        await host.close()
        await logs.close()
        return null
    }
  }
  process.on('message', ({ id, command }: { id: number; command: Command }) => {
    carryOut(command).then(
      (value) => process.send!({ id, value }),
      (error) => process.send!({ id, error: String(error) }),
    )
  })
  endWithParent()
  process.send!({ event: 'ready', directoryId: logs.directoryId, address })
}

/** What a node of `startNode` is told, and answers with a time on the clock that all processes share. */
type LibraryCommand = { readonly type: 'leader' } | { readonly type: 'append' }

const nowMs = (): number => performance.timeOrigin + performance.now()

/** One node of `startNode`. */
async function runLibrary(nodeId: number, directory: string, places: string): Promise<void> {
  const voters = places
    .split(',')
    .map((port, index) => ({ id: index + 1, host: '127.0.0.1', port: Number(port) }))
  subscribe('cordwood:leadership', (message) => {
    const { topic, state } = message as { topic: string; state: string }
    if (topic === 't' && state === 'leader') process.send!({ event: 'leads', nodeId, atMs: nowMs() })
  })
  const { port } = voters[nodeId - 1]!
  const node = await startNode({ nodeId, directory, listen: `127.0.0.1:${port}`, voters })
  const partition = node.partition('t')
  const value = Buffer.alloc(recordBytes)
  // What was on its way to the leader that died may be there or not: it is appended once more.
  const append = async (): Promise<void> => {
    for (;;) {
      try {
        await partition.append({ value })
        return
      } catch (error) {
        const { code } = error as { code?: string }
        if (code !== 'networkException' && code !== 'notEnoughReplicasAfterAppend') throw error
      }
    }
  }
  process.on('message', ({ id, command }: { id: number; command: LibraryCommand }) => {
    const answer = command.type === 'leader' ? Promise.resolve(node.leaderOf('t')) : append()
    answer.then(
      (value) => process.send!({ id, value: command.type === 'leader' ? value : nowMs() }),
      (error) => process.send!({ id, error: String(error) }),
    )
  })
  endWithParent()
  process.send!({ event: 'ready', directoryId: '', address: { host: '127.0.0.1', port } })
}

/** A node as the parent sees it. */
class Node {
  readonly id: number
  readonly directory: string
  directoryId: Uuid = ''
  address: Address = { host: '', port: 0 }
  process!: ChildProcess
  onLeads: ((atMs: number) => void) | null = null
  #next = 0
  readonly #waiting = new Map<number, { resolve: (value: never) => void; reject: (error: Error) => void }>()

  readonly role: 'node' | 'library'
  /** Ports of all nodes, where they are known beforehand. */
  readonly places: string | null

  constructor(id: number, root: string, places: string | null = null) {
    this.id = id
    this.directory = join(root, `${id}`)
    this.role = places === null ? 'node' : 'library'
    this.places = places
  }

  start(): Promise<void> {
    return new Promise((resolve) => {
      const args = [this.role, `${this.id}`, this.directory, this.places ?? `${this.address.port}`]
      this.process = fork(fileURLToPath(import.meta.url), args)
      this.process.on('message', (message: Record<string, unknown>) => {
        if (message.event === 'ready') {
          this.directoryId = message.directoryId as Uuid
          this.address = message.address as Address
          resolve()
        } else if (message.event === 'leads') this.onLeads?.(message.atMs as number)
        else {
          const waiting = this.#waiting.get(message.id as number)!
          this.#waiting.delete(message.id as number)
          if (message.error === undefined) waiting.resolve(message.value as never)
          else waiting.reject(new Error(message.error as string))
        }
      })
    })
  }

  ask<T>(command: Command | LibraryCommand): Promise<T> {
    return new Promise((resolve, reject) => {
      const id = ++this.#next
      this.#waiting.set(id, { resolve, reject })
      this.process.send({ id, command })
    })
  }

  kill(): Promise<void> {
    return new Promise((resolve) => {
      this.process.once('exit', () => resolve())
      this.process.kill('SIGKILL')
    })
  }
}

const root =
  process.argv[2] === 'node' || process.argv[2] === 'library'
    ? ''
    : mkdtempSync(join(process.env.DIRECTORY ?? tmpdir(), 'cordwood-bench-'))
const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms))
const quantile = (values: readonly number[], share: number): number =>
  [...values].sort((a, b) => a - b)[Math.min(values.length - 1, Math.floor(values.length * share))]!

/** As many nodes with as many groups; resolves when each group has a leader that the others follow. */
async function startCluster(name: string, count: number, groups: number): Promise<Cluster> {
  const nodes = Array.from({ length: count }, (_, index) => new Node(index + 1, join(root, name)))
  for (const node of nodes) await node.start()
  const voters = nodes.map(
    ({ id, directoryId, address }): Voter => ({
      id,
      directoryId,
      endpoints: [{ name: 'CONTROLLER', ...address }],
      minVersion: 0,
      maxVersion: 1,
    }),
  )
  const random = { fill: (bytes: Uint8Array) => crypto.getRandomValues(bytes) }
  const open: Command = { type: 'open', voters, groups, topicId: randomUuid(random) }
  await Promise.all(nodes.map((node) => node.ask(open)))
  const cluster = { nodes, open }
  await settled(cluster, groups)
  return cluster
}

interface Cluster {
  readonly nodes: readonly Node[]
  readonly open: Command
}

async function settled({ nodes }: Cluster, groups: number): Promise<Node> {
  for (;;) {
    const states = await Promise.all(nodes.map((node) => node.ask<State>({ type: 'state' })))
    const leads = states.reduce((sum, state) => sum + state.leads, 0)
    const follows = states.reduce((sum, state) => sum + state.follows, 0)
    if (leads === groups && follows === groups * (nodes.length - 1)) {
      return nodes[states.findIndex((state) => state.leads > 0)]!
    }
    await pause(50)
  }
}

async function stop({ nodes }: Cluster): Promise<void> {
  await Promise.all(nodes.map((node) => node.ask({ type: 'close' })))
  for (const node of nodes) node.process.kill()
}

function measureSync(): number {
  const file = openSync(join(root, 'sync'), 'w')
  const block = Buffer.alloc(4096)
  writeSync(file, Buffer.alloc(4 << 20), 0, 4 << 20, 0)
  fdatasyncSync(file)
  const took: number[] = []
  for (let at = 0; at < 300; at++) {
    const startedMs = performance.now()
    writeSync(file, block, 0, block.length, at * 4096)
    fdatasyncSync(file)
    took.push(performance.now() - startedMs)
  }
  closeSync(file)
  return quantile(took, 0.5)
}

async function latency(): Promise<void> {
  const cluster = await startCluster('latency', 3, 1)
  const leader = await settled(cluster, 1)
  await leader.ask({ type: 'latency', count: 200 })
  const syncMs = measureSync()
  const took = await leader.ask<number[]>({ type: 'latency', count: 1000 })
  const p50 = quantile(took, 0.5)
  const limit = 2 * syncMs + 1
  console.log(
    `fdatasync p50 ${syncMs.toFixed(2)} ms; commit p50 ${p50.toFixed(2)} ms, p99 ${quantile(took, 0.99).toFixed(2)} ms; goal 2 x + 1 ms = ${limit.toFixed(2)} ms`,
  )
  await stop(cluster)
}

interface Usage {
  readonly cpuMs: number
  readonly mib: number
  /** How often a replica of the node has stood for election so far. */
  readonly elections: number
}

async function throughput(): Promise<void> {
  const seconds = number('SECONDS', 4)
  for (const writers of [32, 256, 2048]) {
    const figures: number[] = []
    const costs: string[] = []
    for (const count of [1, 3]) {
      const cluster = await startCluster(`throughput-${writers}-${count}`, count, 1)
      const leader = await settled(cluster, 1)
      await leader.ask({ type: 'throughput', seconds: 1, writers })
      const usage = () => Promise.all(cluster.nodes.map((node) => node.ask<Usage>({ type: 'usage' })))
      const before = await usage()
      const rate = await leader.ask<number>({ type: 'throughput', seconds, writers })
      const after = await usage()
      const each = after.map(({ cpuMs }, index) => {
        const micros = ((cpuMs - before[index]!.cpuMs) * 1000) / (rate * seconds)
        return `${micros.toFixed(1)}${cluster.nodes[index] === leader ? ' (leader)' : ''}`
      })
      figures.push(rate)
      costs.push(each.join(', '))
      await stop(cluster)
    }
    const [one, three] = figures as [number, number]
    console.log(
      `${writers} writers of ${recordBytes} B: one voter ${Math.round(one)}/s, three ${Math.round(three)}/s, ratio ${(three / one).toFixed(2)}; goal 0.8; CPU µs an append: ${costs.join(' | ')}`,
    )
  }
}

async function failover(): Promise<void> {
  const cluster = await startCluster('failover', 3, 1)
  const took: number[] = []
  for (let round = 0; round < number('KILLS', 11); round++) {
    const leader = await settled(cluster, 1)
    await leader.ask({ type: 'latency', count: 20 })
    await pause(300)
    const led = new Promise<number>((resolve) => {
      for (const node of cluster.nodes) node.onLeads = () => resolve(performance.now())
    })
    const startedMs = performance.now()
    await leader.kill()
    took.push((await led) - startedMs)
    for (const node of cluster.nodes) node.onLeads = null
    await leader.start()
    await leader.ask(cluster.open)
  }
  console.log(
    `leader killed to new leader: median ${quantile(took, 0.5).toFixed(0)} ms, worst of ${took.length} ${Math.max(...took).toFixed(0)} ms; goal 600 and 2000`,
  )
  await stop(cluster)
}

async function library(): Promise<void> {
  const firstPort = number('FIRST_PORT', 27_100)
  const places = [0, 1, 2].map((at) => firstPort + at).join(',')
  const nodes = [1, 2, 3].map((id) => new Node(id, join(root, 'library'), places))
  await Promise.all(nodes.map((node) => node.start()))
  const tookLeader: number[] = []
  const tookAck: number[] = []
  for (let round = 0; round < number('KILLS', 11); round++) {
    // Everybody is there and follows.
    let leader: Node | undefined
    while (leader === undefined) {
      const seen = await Promise.all(nodes.map((node) => node.ask<number>({ type: 'leader' })))
      if (seen.every((id) => id > 0 && id === seen[0])) leader = nodes.find(({ id }) => id === seen[0])
      else await pause(20)
    }
    await Promise.all(nodes.map((node) => node.ask({ type: 'append' })))
    await pause(200)
    const others = nodes.filter((node) => node !== leader)
    const led = new Promise<number>((resolve) => {
      for (const node of others) node.onLeads = resolve
    })
    const startedMs = nowMs()
    const killed = leader.kill()
    const acked = Promise.any(others.map((node) => node.ask<number>({ type: 'append' })))
    tookLeader.push((await led) - startedMs)
    tookAck.push((await acked) - startedMs)
    await killed
    for (const node of nodes) node.onLeads = null
    await leader.start()
  }
  const text = (took: number[]): string =>
    `median ${quantile(took, 0.5).toFixed(0)} ms, worst of ${took.length} ${Math.max(...took).toFixed(0)} ms`
  console.log(
    `startNode, leader killed: to a new one ${text(tookLeader)}; to the next append acknowledged ${text(tookAck)}`,
  )
  for (const node of nodes) node.process.kill()
}

async function idle(): Promise<void> {
  const groups = number('IDLE_GROUPS', 10_000)
  const startedMs = performance.now()
  const cluster = await startCluster('idle', 3, groups)
  console.log(
    `${groups} groups lead or follow after ${((performance.now() - startedMs) / 1000).toFixed(1)} s`,
  )
  // Until the journal has let go of what the start wrote.
  await pause(12_000)
  const usage = () => Promise.all(cluster.nodes.map((node) => node.ask<Usage>({ type: 'usage' })))
  let before = await usage()
  // Beyond the time that groups sleep at a stretch: what happens when they are looked after belongs to it.
  for (let window = 1; window <= number('IDLE_WINDOWS', 5); window++) {
    await pause(10_000)
    const after = await usage()
    after.forEach(({ cpuMs, mib, elections }, index) => {
      const percent = (cpuMs - before[index]!.cpuMs) / 100
      const stood = elections - before[index]!.elections
      console.log(
        `10 s, no ${window}: node ${index + 1}: ${percent.toFixed(1)} % CPU, ${mib.toFixed(0)} MiB, ${stood} elections; goal 2 %, 300 MiB, none`,
      )
    })
    before = after
  }
  await stop(cluster)
}

if (process.argv[2] === 'node') {
  await runNode(Number(process.argv[3]), process.argv[4]!)
} else if (process.argv[2] === 'library') {
  await runLibrary(Number(process.argv[3]), process.argv[4]!, process.argv[5]!)
} else {
  // Whoever started this may be gone, as when its time is over: then nobody waits for the figures.
  const parent = process.ppid
  setInterval(() => {
    if (process.ppid === parent) return
    rmSync(root, { recursive: true, force: true })
    process.exit(1)
  }, 1000).unref()
  try {
    const all: Record<string, () => Promise<void>> = { latency, throughput, failover, library, idle }
    for (const [name, run] of Object.entries(all)) {
      if ((process.env.ONLY ?? name).split(',').includes(name)) await run()
    }
  } finally {
    rmSync(root, { recursive: true, force: true })
  }
  process.exit()
}

// npm run bench -- --cluster: three brokers, RF 3, acks=all, two in-sync replicas wanted; ours, which syncs before every
// answer, beside Kafka's defaults, which do not. Throughput, CPU, paced latency, failover, controlled shutdown, many partitions.
import { spawnSync } from 'node:child_process'
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { parseArgs } from 'node:util'
import { Kafka, logLevel } from 'kafkajs'
import { startCluster } from './clusters.mjs'
import { kgoConsume, kgoPaced, kgoProduce } from './loads.mjs'
import { machine, warmMemory } from './measured.mjs'
import { cpuSeconds, memoryMib } from './processes.mjs'
import { root } from './servers.mjs'

const gib = 2 ** 30
const results = join(root, 'bench/results')
const help = `npm run bench -- --cluster [options]

  --rounds N      rounds (default 3)
  --only REGEX    of throughput, paced, memory, failover, shutdown, partitions
  --systems LIST  of cordwood,kafka (default both)
  --kills N       leaders killed in a round of failover (default 10; Kafka, and controlled shutdowns: a third of it)
  --directory D   where the brokers keep their data (default: the system's temporary directory)`

/** Every case gets a started cluster and gives named figures. */
const cases = {
  async throughput(cluster) {
    const target = { bootstrap: cluster.bootstrap, topic: 'bench-throughput', replicas: 3 }
    await kgoProduce({ ...target, topic: 'bench-warm', size: 1024, records: 200_000 })
    const before = cpu(cluster)
    const load = { size: 1024, records: 1_000_000 }
    const produced = await kgoProduce({ ...target, ...load })
    const consumed = await kgoConsume({ ...target, ...load })
    return {
      'records/s': produced.recordsPerSecond,
      'consumed MiB/s': consumed.mibPerSecond,
      'CPU s, 1.1 M records in and out': cpu(cluster) - before,
      'memory after load, MiB a node': memory(cluster),
    }
  },
  async paced(cluster) {
    const target = { bootstrap: cluster.bootstrap, topic: 'bench-paced', replicas: 3 }
    const { p50Ms, p99Ms } = await kgoPaced({ ...target, size: 1024, records: 50_000, rate: 5000 })
    return { 'p50 ms at 5,000/s': p50Ms, 'p99 ms at 5,000/s': p99Ms }
  },
  async memory(cluster) {
    await sleep(3000)
    return { 'idle memory, MiB a node': memory(cluster) }
  },
  async failover(cluster, { kills }) {
    const times = []
    await withWriter(cluster, 'bench-failover', async (writer) => {
      for (let index = 0; index < (cluster.system === 'kafka' ? Math.ceil(kills / 3) : kills); index++) {
        const leader = await writer.leader()
        const killedAt = performance.now()
        await cluster.end(leader, 'SIGKILL')
        times.push(await writer.nextAfter(killedAt))
        cluster.start(leader)
        await writer.inSync(3)
      }
    })
    times.sort((a, b) => a - b)
    return {
      'leader SIGKILL to next ack, ms, median': times[times.length >> 1],
      'worst ms': times.at(-1),
      kills: times.length,
    }
  },
  async shutdown(cluster, { kills }) {
    let longest = 0
    let failures = 0
    await withWriter(cluster, 'bench-shutdown', async (writer) => {
      for (let index = 0; index < Math.ceil(kills / 3); index++) {
        const leader = await writer.leader()
        const from = performance.now()
        await cluster.end(leader, 'SIGTERM')
        await sleep(1000)
        longest = Math.max(longest, writer.longestGap(from))
        cluster.start(leader)
        await writer.inSync(3)
      }
      failures = writer.failures
    })
    return {
      'controlled shutdown, longest gap ms': longest,
      'failed requests': failures,
      shutdowns: Math.ceil(kills / 3),
    }
  },
  async partitions(cluster) {
    const admin = client(cluster, 120_000).admin()
    await admin.connect()
    try {
      const topic = 'bench-partitions'
      const madeFrom = performance.now()
      await admin.createTopics({
        topics: [{ topic, numPartitions: 1000, replicationFactor: 3 }],
        timeout: 120_000,
      })
      const leaders = async () => (await admin.fetchTopicMetadata({ topics: [topic] })).topics[0].partitions
      while ((await leaders().catch(() => [])).filter(({ leader }) => leader > 0).length < 1000)
        await sleep(100)
      const madeMs = performance.now() - madeFrom
      await sleep(5000)
      const idle = memory(cluster)
      const cpuBefore = cpu(cluster)
      await sleep(5000)
      const idleCpu = (100 * (cpu(cluster) - cpuBefore)) / 5 / 3
      const victim = 2
      const killedAt = performance.now()
      await cluster.end(victim, 'SIGKILL')
      const isLed = ({ leader }) => leader > 0 && leader !== victim
      while ((await leaders().catch(() => [])).filter(isLed).length < 1000) await sleep(20)
      const ledMs = performance.now() - killedAt
      cluster.start(victim)
      return {
        '1,000 partitions made and led, ms': madeMs,
        '1,000 partitions, broker lost to all led, ms': ledMs,
        'idle memory with them, MiB a node': idle,
        'idle CPU with them, % a node': idleCpu,
      }
    } finally {
      await admin.disconnect()
    }
  },
}

/** Runs it as the command line asks; returns the exit code. */
export async function runCluster(args) {
  const { values } = parseArgs({
    args,
    options: {
      rounds: { type: 'string', default: '3' },
      only: { type: 'string', default: '' },
      systems: { type: 'string', default: 'cordwood,kafka' },
      kills: { type: 'string', default: '10' },
      directory: { type: 'string', default: tmpdir() },
      help: { type: 'boolean', default: false },
    },
  })
  if (values.help) {
    console.log(help)
    return 0
  }
  const setup = spawnSync(process.execPath, [join(root, 'scripts/interop-setup.mjs')], {
    stdio: ['ignore', 2, 2],
  })
  if (setup.status !== 0) return 1
  mkdirSync(results, { recursive: true })
  warmMemory(values.directory, 6 * gib)
  const only = new RegExp(values.only)
  const runs = []
  for (let round = 1; round <= Number(values.rounds); round++) {
    const systems = values.systems.split(',')
    for (const system of round % 2 === 1 ? systems : systems.toReversed()) {
      const cluster = await startCluster(system, values.directory)
      try {
        for (const [name, measure] of Object.entries(cases)) {
          if (!only.test(name)) continue
          const figures = await measure(cluster, { kills: Number(values.kills) })
          runs.push({ name, system, round, figures })
          console.error(`round ${round} ${system} ${name}: ${JSON.stringify(figures)}`)
        }
      } finally {
        await cluster.stop()
      }
    }
  }
  const file = join(results, 'cluster.json')
  const before = existsSync(file) ? JSON.parse(readFileSync(file, 'utf8')).runs : []
  const replaced = new Set(runs.map(({ name, system }) => `${name} ${system}`))
  const all = [...before.filter(({ name, system }) => !replaced.has(`${name} ${system}`)), ...runs]
  writeFileSync(file, `${JSON.stringify({ machine: machine(values.directory), runs: all }, null, 1)}\n`)
  console.log(report(machine(values.directory), all))
  return 0
}

function report(where, runs) {
  const metrics = [...new Set(runs.flatMap(({ figures }) => Object.keys(figures)))]
  const of = (system, metric) =>
    runs
      .filter((run) => run.system === system && Number.isFinite(run.figures[metric]))
      .map(({ figures }) => figures[metric])
      .sort((a, b) => a - b)
  const shown = (all) => {
    if (all.length === 0) return '–'
    const text = (value) => (value >= 1000 ? `${Math.round(value)}` : `${Number(value.toPrecision(3))}`)
    return `${text(all[all.length >> 1])} (${text(all[0])}–${text(all.at(-1))}, ${all.length})`
  }
  const rows = metrics.map((metric) => {
    const [ours, theirs] = [of('cordwood', metric), of('kafka', metric)]
    const ratio =
      ours.length > 0 && theirs.length > 0
        ? (ours[ours.length >> 1] / theirs[theirs.length >> 1]).toFixed(2)
        : '–'
    return `| ${metric} | ${shown(ours)} | ${shown(theirs)} | ${ratio} |`
  })
  const text = `# Three brokers

Made by \`npm run bench -- --cluster\` on ${where.date}. ${where.cpu}, ${where.cores} cores shared with the client, ${where.memoryGib} GiB, ${where.fileSystem}, Node ${where.node}, Kafka ${where.kafka}.
RF 3, acks=all, min.insync.replicas=2; cordwood syncs before every answer, Kafka's defaults do not. Medians (lowest–highest, rounds).

| | cordwood | Kafka | ratio |
|---|---|---|---|
${rows.join('\n')}
`
  writeFileSync(join(results, 'cluster.md'), text)
  return text
}

const cpu = (cluster) => cluster.pids().reduce((sum, pid) => sum + cpuSeconds(pid), 0)
const memory = (cluster) => Math.max(...cluster.pids().map((pid) => memoryMib(pid).ownMib))

function client(cluster, requestTimeout = 5000) {
  const retry = { initialRetryTime: 20, maxRetryTime: 100, factor: 0, multiplier: 1.2, retries: 1000 }
  const brokers = cluster.bootstrap.split(',')
  return new Kafka({
    brokers,
    retry,
    connectionTimeout: 500,
    requestTimeout,
    logLevel: logLevel.NOTHING,
  })
}

/** Writes one record after the other to a topic with one partition while `body` does its harm. */
async function withWriter(cluster, topic, body) {
  const kafka = client(cluster)
  const admin = kafka.admin()
  const producer = kafka.producer({ maxInFlightRequests: 1 })
  await admin.connect()
  await admin.createTopics({
    topics: [{ topic, numPartitions: 1, replicationFactor: 3 }],
    waitForLeaders: true,
  })
  await producer.connect()
  const acks = []
  let isOver = false
  let failures = 0
  const metadata = async () => (await admin.fetchTopicMetadata({ topics: [topic] })).topics[0].partitions[0]
  const writing = (async () => {
    while (!isOver) {
      try {
        await producer.send({ topic, acks: -1, messages: [{ value: 'x'.repeat(100) }] })
        acks.push(performance.now())
      } catch {
        failures += 1
      }
      await sleep(1)
    }
  })()
  const nextAfter = async (time) => {
    // The first that was sent after the kill, not one that was on its way.
    for (;;) {
      const index = acks.findIndex((ack) => ack > time + 5)
      if (index >= 0) return acks[index] - time
      await sleep(2)
    }
  }
  const inSync = async (count) => {
    while ((await metadata().catch(() => ({ isr: [] }))).isr.length < count) await sleep(100)
    await sleep(1500)
  }
  const longestGap = (from) => {
    const later = [from, ...acks.filter((ack) => ack > from)]
    return Math.max(...later.slice(1).map((ack, index) => ack - later[index]))
  }
  const leader = async () => (await metadata()).leader
  const writer = { leader, nextAfter, inSync, longestGap }
  Object.defineProperty(writer, 'failures', { get: () => failures })
  try {
    await nextAfter(0)
    await inSync(3)
    await body(writer)
  } finally {
    isOver = true
    await writing
    await producer.disconnect()
    await admin.disconnect()
  }
}

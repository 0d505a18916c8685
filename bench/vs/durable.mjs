// npm run bench -- --durable: what it costs to sync before every answer. Our journal beside our own `none`, Kafka's
// defaults (which sync nothing) and Kafka with flush.messages=1, interleaved, over many recycles of the journal.
import { spawnSync } from 'node:child_process'
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { Kafka, logLevel } from 'kafkajs'
import { warmUp } from './cases.mjs'
import { writeDurableReport } from './durableReport.mjs'
import { kgoConsume, kgoProduce } from './loads.mjs'
import { machine, measured, settled, warmMemory } from './measured.mjs'
import { root, startServer } from './servers.mjs'

const gib = 2 ** 30
/** Small, so that every figure is taken over at least ten rounds through it. */
const journalMib = 128
const results = join(root, 'bench/results')

const help = `npm run bench -- --durable [options]

  --rounds N      rounds (default 5)
  --only REGEX    the cases whose name matches, such as 'partitions/1000'
  --systems LIST  of journal,none,kafka,kafka-flush (default all)
  --report        only write the table anew
  --directory D   where the servers keep their data (default: the system's temporary directory)`

const systems = {
  journal: ['cordwood', 'journal', ['--set', `cordwood.journal.bytes=${journalMib * 2 ** 20}`]],
  none: ['cordwood', 'none', []],
  kafka: ['kafka', 'none', []],
  'kafka-flush': ['kafka', 'batch', []],
}

/** Records: enough for ten times the journal, fewer where Kafka syncs every request. */
function cases(system) {
  const slow = system === 'kafka-flush'
  const list = []
  for (const partitions of [1, 100, 1000]) {
    const records = slow ? { 1: 400_000, 100: 150_000, 1000: 60_000 }[partitions] : 1_400_000
    const load = { size: 1024, records, partitions, acks: '1', window: partitions > 1 ? 50_000 : 10_000 }
    list.push({
      name: `partitions/${partitions}`,
      partitions,
      steps: { produce: (to) => kgoProduce({ ...to, ...load }) },
    })
  }
  if (slow) return list
  for (const [size, records] of [
    [1024, 1_400_000],
    [10_240, 140_000],
  ]) {
    const load = { size, records, window: size > 4096 ? 2000 : 10_000 }
    list.push({
      name: `one/${size}B`,
      partitions: 1,
      steps: {
        produce: (to) => kgoProduce({ ...to, ...load }),
        consume: (to) => kgoConsume({ ...to, ...load }),
      },
    })
  }
  return list
}

/** Runs it as the command line asks; returns the exit code. */
export async function runDurable(args) {
  const { values } = parseArgs({
    args,
    options: {
      rounds: { type: 'string', default: '5' },
      only: { type: 'string', default: '' },
      systems: { type: 'string', default: Object.keys(systems).join(',') },
      report: { type: 'boolean', default: false },
      directory: { type: 'string', default: tmpdir() },
      help: { type: 'boolean', default: false },
    },
  })
  if (values.help) {
    console.log(help)
    return 0
  }
  mkdirSync(results, { recursive: true })
  const file = join(results, 'durable.json')
  const before = existsSync(file) ? JSON.parse(readFileSync(file, 'utf8')).runs : []
  if (!values.report) {
    const setup = spawnSync(process.execPath, [join(root, 'scripts/interop-setup.mjs')], {
      stdio: ['ignore', 2, 2],
    })
    if (setup.status !== 0) return 1
    const only = new RegExp(values.only)
    const chosen = values.systems.split(',')
    const runs = []
    for (let round = 1; round <= Number(values.rounds); round++) {
      const order = round % 2 === 1 ? chosen : chosen.toReversed()
      for (const system of order) {
        await session(system, round, only, values.directory, (run) => runs.push(run))
        const replaced = new Set(runs.map((run) => `${run.system} ${run.name}`))
        const kept = before.filter((run) => !replaced.has(`${run.system} ${run.name}`))
        writeFileSync(
          file,
          `${JSON.stringify({ machine: machine(values.directory), journalMib, runs: [...kept, ...runs] }, null, 1)}\n`,
        )
      }
    }
  }
  console.log(writeDurableReport(JSON.parse(readFileSync(file, 'utf8')), results))
  return 0
}

async function session(system, round, only, directory, note) {
  const wanted = cases(system).filter(({ name }) => only.test(name))
  if (wanted.length === 0) return
  const server = await startServer(...systems[system].slice(0, 2), directory, systems[system][2])
  const admin = new Kafka({ brokers: [server.bootstrap], logLevel: logLevel.NOTHING }).admin()
  try {
    await admin.connect()
    await warmUp({ bootstrap: server.bootstrap, topic: 'bench-warm-up' }, 1)
    for (const { name, partitions, steps } of wanted) {
      const topic = `bench-${name.replaceAll('/', '-')}`
      await admin.createTopics({
        topics: [{ topic, numPartitions: partitions }],
        timeout: 60_000,
        waitForLeaders: false,
      })
      await settled(server.pid, partitions)
      for (const [step, load] of Object.entries(steps)) {
        // Of a virtual machine, free memory goes back to its host within seconds: before each step, not once for all.
        if (step === 'produce') warmMemory(directory, 3 * gib)
        const figures = await measured(server.pid, () => load({ bootstrap: server.bootstrap, topic }))
        note({ name: `${name}/${step}`, system, round, ...figures })
        const { recordsPerSecond, cpuSecondsPerGib, p99Ms, otherCpuPercent } = figures
        const more = `${cpuSecondsPerGib.toFixed(2)} CPU s/GiB, p99 ${p99Ms ?? '-'} ms, others ${otherCpuPercent.toFixed(0)} %`
        console.error(
          `round ${round} ${system} ${name}/${step}: ${Math.round(recordsPerSecond)} records/s, ${more}`,
        )
      }
      await admin.deleteTopics({ topics: [topic], timeout: 60_000 })
      await settled(server.pid, partitions)
    }
  } finally {
    await admin.disconnect()
    await server.stop()
  }
}

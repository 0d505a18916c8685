// Side by side with real Kafka: sessions of either server in turn, A B A B, figures into results/.
import { spawnSync } from 'node:child_process'
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { Kafka, logLevel } from 'kafkajs'
import { caseNames, casesOf, warmUp } from './cases.mjs'
import { machine, measured, settled, warmMemory } from './measured.mjs'
import { parseOptions } from './options.mjs'
import { memoryMib } from './processes.mjs'
import { writeReadme } from './readme.mjs'
import { writeReport } from './report.mjs'
import { root, startServer } from './servers.mjs'

const gib = 2 ** 30

/** Runs the comparison as the command line asks; returns the exit code. */
export async function runVsKafka(args) {
  const options = parseOptions(args)
  if (options === null) return 0
  if (options.list) {
    console.log(caseNames().join('\n'))
    return 0
  }
  const out = options.out ?? results
  const file = join(out, 'vs-kafka.json')
  mkdirSync(out, { recursive: true })
  const before = existsSync(file) && !options.fresh ? JSON.parse(readFileSync(file, 'utf8')) : { runs: [] }
  if (options.report) {
    report(before, options)
    return 0
  }

  const setup = spawnSync(process.execPath, [join(root, 'scripts/interop-setup.mjs')], {
    stdio: ['ignore', 2, 2],
  })
  if (setup.status !== 0) return 1
  const directory = options.directory ?? tmpdir()
  warmMemory(directory, options.quick ? 3 * gib : 6 * gib)

  const runs = []
  const session = { ...options, directory, scale: options.quick ? 0.4 : 1, record: (run) => runs.push(run) }
  let failed = 0
  for (let round = 1; round <= options.rounds; round++) {
    for (const policy of ['none', 'batch']) {
      // Whoever goes second finds the machine as the first left it, so they take turns at that too.
      const order = round % 2 === 1 ? ['cordwood', 'kafka'] : ['kafka', 'cordwood']
      for (const system of order) {
        try {
          failed += await runSession({ ...session, round, policy, system })
        } catch (error) {
          failed++
          console.error(`round ${round} ${system} (${policy}) was cut short: ${error.stack}`)
        }
      }
      // A run that is cut short leaves what it has.
      const merged = merge(before, { machine: machine(directory), runs: [...runs] })
      writeFileSync(file, `${JSON.stringify(merged, null, 1)}\n`)
    }
  }
  report(JSON.parse(readFileSync(file, 'utf8')), options)
  return failed === 0 ? 0 : 1
}

/** Where the figures go when nothing else is said, beside which README.md shows the main ones. */
const results = join(root, 'bench/results')

function report(figures, { out = results }) {
  console.log(writeReport(figures, out))
  if (out === results) writeReadme(figures, join(root, 'README.md'))
}

/** One start of one server with the cases of one policy. Returns how many cases failed. */
async function runSession({ round, policy, system, only, directory, scale, record }) {
  const cases = casesOf(policy, scale).filter(({ name, steps }) =>
    Object.keys(steps).some((step) => only.test(`${name}/${step}`)),
  )
  const wantsStart = only.test('start/listening') || only.test('start/idle-memory')
  if (cases.length === 0 && !(wantsStart && policy === 'none')) return 0
  const say = (text) =>
    console.error(`${new Date().toISOString().slice(11, 19)} round ${round} ${system} ${text}`)
  const note = (name, figures) => record({ name, system, round, ...figures })

  say(`starts (${policy})`)
  const server = await startServer(system, policy, directory)
  const admin = new Kafka({ brokers: [server.bootstrap], logLevel: logLevel.NOTHING }).admin()
  let failed = 0
  try {
    if (policy === 'none') {
      note('start/listening', { ms: server.listeningMs, formatMs: server.formatMs })
      await sleep(3000)
      note('start/idle-memory', memoryMib(server.pid))
    }
    await admin.connect()
    if (cases.length > 0) await warmUp({ bootstrap: server.bootstrap, topic: 'bench-warm-up' }, scale)
    for (const { name, steps, partitions = 1 } of cases) {
      const topic = `bench-${name.replaceAll('/', '-')}-${round}`
      const topics = [{ topic, numPartitions: partitions }]
      await admin.createTopics({ topics, timeout: 60_000, waitForLeaders: false })
      await settled(server.pid, partitions)
      for (const [step, load] of Object.entries(steps)) {
        try {
          const figures = await measured(server.pid, () => load({ bootstrap: server.bootstrap, topic }))
          if (only.test(`${name}/${step}`)) note(`${name}/${step}`, figures)
          const { mibPerSecond, cpuSecondsPerGib, otherCpuPercent } = figures
          const cpu = `${cpuSecondsPerGib.toFixed(2)} CPU s/GiB, others ${otherCpuPercent.toFixed(0)} %`
          say(`${name}/${step}: ${mibPerSecond.toFixed(1)} MiB/s, ${cpu}`)
        } catch (error) {
          failed++
          say(`${name}/${step} FAILED: ${error.message}`)
          break
        }
      }
      if (name === cases.at(-1).name) break // Everything goes with the server.
      await admin.deleteTopics({ topics: [topic], timeout: 60_000 })
      await settled(server.pid, partitions)
    }
    if (only.test(`${policy}/memory-after-load`)) note(`${policy}/memory-after-load`, memoryMib(server.pid))
  } finally {
    await admin.disconnect()
    await server.stop()
  }
  return failed
}

/** New figures take the place of old ones of the same case; other cases stay. */
function merge(before, now) {
  const replaced = new Set(now.runs.map(({ name }) => name))
  return {
    machine: now.machine,
    runs: [...before.runs.filter(({ name }) => !replaced.has(name)), ...now.runs],
  }
}

// Side by side with real Kafka: sessions of either server in turn, A B A B, figures into results/.
import { spawnSync } from 'node:child_process'
import {
  closeSync,
  existsSync,
  fsyncSync,
  mkdirSync,
  openSync,
  readFileSync,
  rmSync,
  statfsSync,
  writeFileSync,
  writeSync,
} from 'node:fs'
import { arch, cpus, release, tmpdir, totalmem } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { Kafka, logLevel } from 'kafkajs'
import { caseNames, casesOf, warmUp } from './cases.mjs'
import { parseOptions } from './options.mjs'
import { childrenCpuSeconds, cpuSeconds, machineCpuSeconds, memoryMib } from './processes.mjs'
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

/** Waits until a server has done what making or removing partitions left it to do: under a tenth of a core for a second. */
async function settled(pid, partitions) {
  if (partitions === 1) return await sleep(200)
  for (let second = 0; second < 30; second++) {
    const before = cpuSeconds(pid)
    await sleep(1000)
    if (cpuSeconds(pid) - before < 0.1) return
  }
}

/** Runs a load and adds the server's CPU seconds per GiB and the share of the machine that neither client nor server used. */
async function measured(pid, load) {
  const [machineBefore, serverBefore, clientBefore] = [
    machineCpuSeconds(),
    cpuSeconds(pid),
    childrenCpuSeconds(),
  ]
  const figures = await load()
  const machineAfter = machineCpuSeconds()
  const server = cpuSeconds(pid) - serverBefore
  const client = childrenCpuSeconds() - clientBefore
  const other = machineAfter.busy - machineBefore.busy - server - client
  const otherCpuPercent = Math.max(0, (100 * other) / (machineAfter.total - machineBefore.total))
  return { ...figures, cpuSeconds: server, cpuSecondsPerGib: (server * gib) / figures.bytes, otherCpuPercent }
}

/** Memory that is touched for the first time costs ten times as much: writes a file as large as the test and removes it. */
function warmMemory(directory, bytes) {
  console.error(`warming ${bytes / gib} GiB of memory`)
  const path = join(directory, `bench-warm-${process.pid}`)
  const chunk = Buffer.alloc(16 * 2 ** 20, 1)
  const file = openSync(path, 'w')
  try {
    for (let written = 0; written < bytes; written += chunk.length) writeSync(file, chunk)
    fsyncSync(file)
  } finally {
    closeSync(file)
    rmSync(path)
  }
}

/** New figures take the place of old ones of the same case; other cases stay. */
function merge(before, now) {
  const replaced = new Set(now.runs.map(({ name }) => name))
  return {
    machine: now.machine,
    runs: [...before.runs.filter(({ name }) => !replaced.has(name)), ...now.runs],
  }
}

/** Where this was measured. */
function machine(directory) {
  const fileSystems = {
    61267: 'ext4',
    1481003842: 'xfs',
    2435016766: 'btrfs',
    16914836: 'tmpfs',
    2035054128: 'overlay',
  }
  const versionOf = (command, ...args) => {
    const { stdout, stderr } = spawnSync(command, args, { encoding: 'utf8' })
    return `${stdout}${stderr}`.split('\n')[0].trim()
  }
  return {
    cpu: cpus()[0].model.trim(),
    cores: cpus().length,
    memoryGib: Math.round(totalmem() / gib),
    kernel: `Linux ${release()} ${arch()}`,
    fileSystem: fileSystems[statfsSync(directory).type] ?? 'another file system',
    node: process.version,
    java: versionOf('java', '-version'),
    kafka: process.env.KAFKA_VERSION ?? '4.3.1',
    date: new Date().toISOString().slice(0, 10),
  }
}

// npm run planted: how long simulated clusters take to find known mistakes; `--help` names the options.
import { fork } from 'node:child_process'
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { availableParallelism, cpus } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'
import { aboveZero, readOptions } from './options.mjs'

const help = `npm run planted -- [options]

Turns on one planted mistake after the other and measures how long simulated clusters take to find it, each in one process.
Renews what bench/results/planted.md and .json say of the mistakes that were tried, but for samples.

  --only NAME     this one; may be given more than once
  --minutes M     of a processor's time that each may take (5)
  --sample N      tries N of those that were found quickly before, other ones for every seed
  --seed S        which clusters (1)
  --jobs J        how many at once (1)

Ends with 0 when each was found in time.`

const self = fileURLToPath(import.meta.url)
const root = fileURLToPath(new URL('..', import.meta.url))
const results = join(root, 'bench/results')
/** What is quick enough for a sample, in seconds. */
const quickSeconds = 20

if (process.argv[2] === '--child') await serve(process.argv[3])
else await main()

async function main() {
  const { values } = readOptions({
    command: 'planted',
    help,
    options: {
      only: { type: 'string', multiple: true, default: [] },
      minutes: { type: 'string', default: '5' },
      sample: { type: 'string' },
      seed: { type: 'string', default: '1' },
      jobs: { type: 'string', default: '1' },
    },
    least: { minutes: aboveZero, sample: 1, seed: 0, jobs: 1 },
  })
  const bundle = await makeBundle()
  const world = await load(bundle)
  const names = world.bugs.map(({ name }) => name)
  const chosen = choose(names, values)
  const rows = new Map()
  const waiting = [...chosen]
  const task = {
    seed: values.sample === undefined ? Number(values.seed) : 1,
    mostMs: Number(values.minutes) * 60_000,
  }
  await Promise.all(Array.from({ length: Math.min(Number(values.jobs), chosen.length) }, () => work()))
  rmSync(bundle)
  const ordered = chosen.map((name) => rows.get(name))
  const missed = ordered.filter(({ found }) => !found).length
  console.log(`${ordered.length - missed} of ${ordered.length} planted mistakes found`)
  process.exitCode = missed === 0 ? 0 : 1

  /** One process, one mistake after the other. */
  async function work() {
    const child = fork(self, ['--child', bundle])
    for (let name = waiting.shift(); name !== undefined; name = waiting.shift()) {
      const row = await new Promise((resolve, reject) => {
        child.once('message', resolve)
        child.once('exit', (code) =>
          reject(new Error(`the process that looked for ${name} ended with ${code}`)),
        )
        child.send({ ...task, name })
      })
      child.removeAllListeners('exit')
      rows.set(name, row)
      const verdict = row.found ? `found by seed ${row.seed}` : 'NOT FOUND'
      console.log(`${name.padEnd(28)} ${verdict}, ${row.seconds} s, ${row.runs} runs, ${row.events} events`)
      if (row.found) console.log(`  ${row.what}`)
      // A run that is cut off leaves what it has seen.
      if (values.sample === undefined) write(renewed(names, rows), names, values)
    }
    child.disconnect()
  }
}

/** The mistakes that are meant by the options. */
function choose(names, { only, sample, seed }) {
  for (const name of only) if (!names.includes(name)) throw new Error(`no planted mistake is called ${name}`)
  if (only.length > 0) return only
  if (sample === undefined) return names
  const quick = storedRows().filter(
    ({ bug, found, seconds }) => found && seconds <= quickSeconds && names.includes(bug),
  )
  const count = Math.min(Number(sample), quick.length)
  const first = (Number(seed) * count) % quick.length
  return Array.from({ length: count }, (_, index) => quick[(first + index) % quick.length].bug)
}

function storedRows() {
  const path = join(results, 'planted.json')
  return existsSync(path) ? JSON.parse(readFileSync(path, 'utf8')).rows : []
}

/** What is known of each mistake: of this run, or of an earlier one. */
function renewed(names, rows) {
  const stored = new Map(storedRows().map((row) => [row.bug, row]))
  return names.flatMap((name) => rows.get(name) ?? stored.get(name) ?? [])
}

/** Looks for what the parent asks for. */
async function serve(bundle) {
  const world = await load(bundle)
  // Whoever asked is gone.
  process.on('disconnect', () => process.exit())
  process.on('message', async ({ name, seed, mostMs }) => {
    const bug = world.bugs.find((each) => each.name === name)
    const started = process.cpuUsage()
    // What the processor did for it, its collector included: the same on a machine that has other work.
    const spentMs = () => {
      const { user, system } = process.cpuUsage(started)
      return (user + system) / 1000
    }
    let runs = -1
    const isOver = () => ++runs > 0 && spentMs() > mostMs
    const found = await world.find(bug, seed, isOver)
    process.send({
      bug: name,
      layer: bug.layer,
      found: found !== null,
      seconds: Number((spentMs() / 1000).toFixed(1)),
      runs: found?.runs ?? runs,
      events: found?.events ?? 0,
      seed: found?.seed ?? null,
      what: found?.failure.message.split('\n')[0] ?? '',
    })
  })
}

async function makeBundle() {
  const { build } = await import('rolldown')
  const directory = join(root, '.stamps/planted')
  mkdirSync(directory, { recursive: true })
  const file = join(directory, `planted-${process.pid}.mjs`)
  await build({
    input: join(root, 'src/testing/plantedMain.ts'),
    platform: 'node',
    external: [/^[^./]/],
    logLevel: 'warn',
    output: { file, format: 'esm', sourcemap: 'inline', codeSplitting: false },
  })
  return file
}

async function load(bundle) {
  // Every file that is looked for and not there makes an error; nobody reads where it came from.
  Error.stackTraceLimit = 0
  return (await import(pathToFileURL(bundle).href)).plantedWorld
}

function write(rows, names, { seed, minutes }) {
  const machine = `Node ${process.versions.node}, ${availableParallelism()} cores (${cpus()[0]?.model.trim() ?? 'unknown'})`
  const untried = names.filter((name) => rows.every(({ bug }) => bug !== name))
  const times = rows.map(({ seconds }) => seconds).sort((a, b) => a - b)
  const lines = [
    '# Planted mistakes of replication',
    '',
    '`npm run planted`: each mistake is turned on alone and simulated clusters of the shipped code run, seed after seed from',
    `${seed} on, until one breaks a promise that it keeps without the mistake; at most ${minutes} minutes of one processor, whose time is`,
    `what counts. ${machine}.`,
    `Found: ${rows.filter(({ found }) => found).length} of ${rows.length}; half of them within ${times[times.length >> 1]} s, the slowest in ${times.at(-1)} s.`,
    ...(untried.length === 0 ? [] : ['', `Not measured yet: ${untried.join(', ')}.`]),
    '',
    '| mistake | where | found after | runs | seed | what was noticed |',
    '| --- | --- | ---: | ---: | ---: | --- |',
    ...rows.map(({ bug, layer, found, seconds, runs, seed: by, what }) => {
      const noticed = found ? what.replaceAll('|', '\\|').slice(0, 160) : '**not found**'
      return `| ${bug} | ${layer} | ${seconds} s | ${runs} | ${by ?? ''} | ${noticed} |`
    }),
    '',
  ]
  writeFileSync(join(results, 'planted.md'), lines.join('\n'))
  const json = { machine, seed: Number(seed), minutes: Number(minutes), rows }
  writeFileSync(join(results, 'planted.json'), `${JSON.stringify(json, null, 1)}\n`)
}

// npm run planted [-- --only NAME] [--minutes M] [--sample N] [--seed S] [--write]: turns on one planted mistake after
// the other and measures how long simulated clusters take to find it, in one process. --sample takes N of them, others
// for every seed; of the rest of a fixed seed nothing is random. Writes bench/results/planted.md and .json when all were
// tried. Ends with 0 when each was found in time (5 minutes by default).
import { mkdirSync, writeFileSync } from 'node:fs'
import { availableParallelism, cpus } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'
import { parseArgs } from 'node:util'
import { build } from 'rolldown'

const root = fileURLToPath(new URL('..', import.meta.url))
const { values } = parseArgs({
  options: {
    only: { type: 'string', multiple: true, default: [] },
    minutes: { type: 'string', default: '5' },
    sample: { type: 'string' },
    seed: { type: 'string', default: '1' },
  },
})
const world = await load()
const seed = Number(values.seed)
const mostMs = Number(values.minutes) * 60_000
const bugs = chosen()
const rows = []
for (const bug of bugs) {
  const row = await find(bug)
  rows.push(row)
  const verdict = row.found ? `found by seed ${row.seed}` : 'NOT FOUND'
  console.log(`${bug.name.padEnd(28)} ${verdict}, ${row.seconds} s, ${row.runs} runs, ${row.events} events`)
  if (row.found) console.log(`  ${row.what}`)
}
const missed = rows.filter(({ found }) => !found).length
console.log(`${rows.length - missed} of ${rows.length} planted mistakes found`)
if (bugs.length === world.bugs.length) write()
process.exitCode = missed === 0 ? 0 : 1

function chosen() {
  if (values.only.length > 0) {
    return values.only.map((name) => {
      const bug = world.bugs.find((each) => each.name === name)
      if (bug === undefined) throw new Error(`no planted mistake is called ${name}`)
      return bug
    })
  }
  if (values.sample === undefined) return world.bugs
  const count = Number(values.sample)
  const first = (seed * count) % world.bugs.length
  return Array.from({ length: count }, (_, index) => world.bugs[(first + index) % world.bugs.length])
}

async function find(bug) {
  const startedMs = performance.now()
  const elapsedMs = () => performance.now() - startedMs
  let runs = 0
  const found = await world.find(bug, seed, () => {
    runs++
    return elapsedMs() > mostMs
  })
  const row = {
    bug: bug.name,
    layer: bug.layer,
    found: found !== null,
    seconds: (elapsedMs() / 1000).toFixed(1),
  }
  if (found === null) return { ...row, runs: runs - 1, events: 0, seed: null, what: '' }
  const what = found.failure.message.split('\n')[0]
  return { ...row, runs: found.runs, events: found.events, seed: found.seed, what }
}

async function load() {
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
  return (await import(pathToFileURL(file).href)).plantedWorld
}

function write() {
  const machine = `Node ${process.versions.node}, ${availableParallelism()} cores (${cpus()[0]?.model.trim() ?? 'unknown'})`
  const times = rows.map(({ seconds }) => Number(seconds)).sort((a, b) => a - b)
  const lines = [
    '# Planted mistakes of replication',
    '',
    '`npm run planted`: each mistake is turned on alone and simulated clusters of the shipped code run, seed after seed from',
    `${seed} on, until one fails that passes without it; at most ${values.minutes} minutes, one process. ${machine}.`,
    `Found: ${rows.length - missed} of ${rows.length}; half of them within ${times[times.length >> 1]} s, the slowest in ${times.at(-1)} s.`,
    '',
    '| mistake | where | found after | runs | seed | what was noticed |',
    '| --- | --- | ---: | ---: | ---: | --- |',
    ...rows.map(({ bug, layer, found, seconds, runs, seed: by, what }) => {
      const noticed = found ? what.replaceAll('|', '\\|').slice(0, 160) : '**not found**'
      return `| ${bug} | ${layer} | ${seconds} s | ${runs} | ${by ?? ''} | ${noticed} |`
    }),
    '',
  ]
  const path = (name) => fileURLToPath(new URL(`../bench/results/${name}`, import.meta.url))
  writeFileSync(path('planted.md'), lines.join('\n'))
  writeFileSync(
    path('planted.json'),
    `${JSON.stringify({ machine, seed, minutes: Number(values.minutes), rows }, null, 1)}\n`,
  )
}

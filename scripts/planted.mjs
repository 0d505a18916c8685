// npm run planted:storage: how long the crash explorer takes to find known mistakes; `--help` names the options.
import { writeFileSync } from 'node:fs'
import { availableParallelism, cpus } from 'node:os'
import { fileURLToPath } from 'node:url'
import { loadExplorer } from './explorer.mjs'
import { aboveZero, readOptions } from './options.mjs'

const help = `npm run planted:storage -- [options] [NAME...]

Turns on one planted mistake of the storage engine after the other, all of them or those named, and measures how long the crash
explorer takes to find it, in one process. Writes bench/results/planted-storage.md when all were tried.

  --seed S        which workloads (1)
  --minutes M     how long each may take (2)

Ends with 0 when each was found in time.`

const { values, positionals } = readOptions({
  command: 'planted:storage',
  help,
  allowPositionals: true,
  options: { seed: { type: 'string', default: '1' }, minutes: { type: 'string', default: '2' } },
  least: { seed: 0, minutes: aboveZero },
})
const { explorer } = await loadExplorer()
const seed = Number(values.seed)
const mostMs = Number(values.minutes) * 60_000
const bugs = positionals.length > 0 ? positionals : explorer.plantedBugs
const rows = []
for (const bug of bugs) {
  const row = await find(bug)
  rows.push(row)
  console.log(
    `${bug.padEnd(28)} ${row.message === null ? 'NOT FOUND' : 'found'} ${row.seconds} s, ${row.states} states`,
  )
  if (row.message !== null) console.log(`  ${row.message}`)
}
const missed = rows.filter(({ message }) => message === null).length
console.log(`${rows.length - missed} of ${rows.length} planted mistakes found`)
if (positionals.length === 0) write()
process.exitCode = missed === 0 ? 0 : 1

/** Explores with one mistake turned on, until something fails or the time is over. */
async function find(bug) {
  explorer.plant(bug)
  const startedMs = performance.now()
  const seconds = () => ((performance.now() - startedMs) / 1000).toFixed(1)
  let states = 0
  for (let index = 0; performance.now() - startedMs < mostMs; index++) {
    const outcome = await explorer.runJob(seed, index, explorer.limits)
    states += outcome.states
    const found = outcome.failures[0]
    if (found === undefined) continue
    explorer.plant(null)
    const message = found.message.split('\n')[0]
    // A failure that is there without the mistake does not count.
    if ((await explorer.replay(explorer.encode(found))) === null)
      return { bug, seconds: seconds(), states, message }
    explorer.plant(bug)
  }
  explorer.plant(null)
  return { bug, seconds: seconds(), states, message: null }
}

function write() {
  const lines = [
    '# Planted mistakes of the storage engine',
    '',
    `\`npm run planted:storage\`: each mistake of src/model/planted.ts is turned on alone and the crash explorer runs with`,
    `seed ${seed} until it fails; at most ${values.minutes} minutes, one process. Node ${process.versions.node}, ` +
      `${availableParallelism()} cores (${cpus()[0]?.model.trim() ?? 'unknown'}).`,
    '',
    '| mistake | found after | states | what was noticed |',
    '| --- | ---: | ---: | --- |',
    ...rows.map(({ bug, seconds: after, states, message }) => {
      const what = message === null ? '**not found**' : message.replaceAll('|', '\\|').slice(0, 160)
      return `| ${bug} | ${after} s | ${states} | ${what} |`
    }),
    '',
  ]
  writeFileSync(
    fileURLToPath(new URL('../bench/results/planted-storage.md', import.meta.url)),
    lines.join('\n'),
  )
}

// npm run crash: what the storage engine makes of every crash; `--help` names the options.
import { fork } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { loadExplorer } from './explorer.mjs'
import { aboveZero, readOptions } from './options.mjs'

const help = `npm run crash -- [options]          explores crashes of the storage engine, and system calls that fail
npm run crash -- --replay WORD      makes one failure again, alone

  --states N      crash states to try (100000; without bound where --minutes is given)
  --minutes M     ends after so long
  --seed S        which workloads (1)
  --shards K      processes (2)
  --failures N    ends after so many (5)
  --planted NAME  with a known mistake turned on: ackBeforeSync, for example; a wrong name lists them

Ends with 0 when nothing failed. Each failure is shrunk and told with the command that replays it.`

const text = { type: 'string' }
const { values } = readOptions({
  command: 'crash',
  help,
  options: {
    states: text,
    minutes: text,
    seed: { ...text, default: '1' },
    shards: { ...text, default: '2' },
    failures: { ...text, default: '5' },
    replay: text,
    planted: text,
    shard: text,
    bundle: text,
  },
  least: { states: aboveZero, minutes: aboveZero, seed: 0, shards: aboveZero, failures: aboveZero },
})
const self = fileURLToPath(import.meta.url)
const seed = Number(values.seed)
const shards = Number(values.shards)
const mostFailures = Number(values.failures)
const wantedStates = Number(
  values.states ?? (values.minutes === undefined ? 100_000 : Number.POSITIVE_INFINITY),
)
const endMs = values.minutes === undefined ? Number.POSITIVE_INFINITY : Number(values.minutes) * 60_000

if (values.shard !== undefined) await runShard(Number(values.shard))
else if (values.replay !== undefined) process.exitCode = await replayOne(values.replay)
else process.exitCode = await runAll()

/** Turns the mistake on that was asked for, if any. */
function plant(explorer) {
  const { planted = null } = values
  if (planted !== null && !explorer.plantedBugs.includes(planted)) {
    console.error(`crash: there is no "${planted}"; there are ${explorer.plantedBugs.join(', ')}`)
    process.exit(2)
  }
  explorer.plant(planted)
}

/** One process of a run: every `shards`th job, until it is told to stop. */
async function runShard(shard) {
  const { explorer } = await loadExplorer(values.bundle)
  plant(explorer)
  // Every file that is looked for and not there makes an error; who wants to know where it came from replays it.
  Error.stackTraceLimit = 0
  process.on('disconnect', () => process.exit(0))
  for (let index = shard; ; index += shards) {
    const outcome = await explorer.runJob(seed, index, explorer.limits)
    const failures = []
    for (const failure of outcome.failures) {
      const smallest = await explorer.shrink(failure, explorer.limits)
      failures.push({ message: smallest.message, word: explorer.encode(smallest) })
    }
    process.send({ ...outcome, failures, index })
    // Messages go out between jobs.
    await new Promise((resolve) => setImmediate(resolve))
  }
}

async function runAll() {
  const { path, explorer } = await loadExplorer()
  plant(explorer)
  const startedMs = performance.now()
  const sum = { jobs: 0, states: 0, secondLevel: 0, errorRuns: 0, failures: 0 }
  const seconds = () => (performance.now() - startedMs) / 1000
  const line = () =>
    `${sum.states} states (${sum.secondLevel} of them crashes during a recovery), ${sum.errorRuns} runs with failing calls, ` +
    `${sum.jobs} workloads, ${sum.failures} failures, ${Math.round(sum.states / seconds())} states/s, ${seconds().toFixed(0)} s`
  console.log(`crash: seed ${seed}, ${shards} processes`)
  const children = []
  const timers = []
  await new Promise((resolve, reject) => {
    timers.push(setInterval(() => console.log(`crash: ${line()}`), 15_000))
    if (Number.isFinite(endMs)) timers.push(setTimeout(resolve, endMs))
    for (let shard = 0; shard < shards; shard++) {
      const child = fork(self, [...process.argv.slice(2), '--shard', String(shard), '--bundle', path])
      children.push(child)
      child.on('exit', (code, signal) => {
        reject(new Error(`process ${shard} ended by itself (${signal ?? `code ${code}`})`))
      })
      child.on('message', (outcome) => {
        sum.jobs++
        for (const name of ['states', 'secondLevel', 'errorRuns']) sum[name] += outcome[name]
        for (const { message, word } of outcome.failures) {
          sum.failures++
          console.log(`\ncrash: workload ${outcome.index}: ${message}`)
          const planted = values.planted === undefined ? '' : ` --planted ${values.planted}`
          console.log(`crash: npm run crash -- --replay ${word}${planted}\n`)
        }
        if (sum.states >= wantedStates || sum.failures >= mostFailures) resolve()
      })
    }
  }).finally(() => {
    for (const timer of timers) clearTimeout(timer)
    for (const child of children) child.kill()
  })
  console.log(`crash: ${line()}`)
  return sum.failures === 0 ? 0 : 1
}

async function replayOne(word) {
  if (!isReproduction(word)) {
    console.error('crash: this is no word that a failure has printed')
    return 2
  }
  const { explorer } = await loadExplorer()
  plant(explorer)
  const message = await explorer.replay(word)
  console.log(message === null ? 'crash: every promise is kept' : `crash: ${message}`)
  return message === null ? 0 : 1
}

/** Whether a word holds all that a failure is made of. Source: `Reproduction` in src/testing/crash/session.ts. */
function isReproduction(word) {
  let found
  try {
    found = JSON.parse(Buffer.from(word, 'base64url').toString())
  } catch {
    return false
  }
  const isPoint = (point) =>
    Number.isInteger(point?.moment) && typeof point.fates === 'object' && point.fates !== null
  const isWorkload = (workload) => Array.isArray(workload?.steps) && Array.isArray(workload.policies)
  switch (found?.kind) {
    case 'crash':
      return isPoint(found.point) && isWorkload(found.point.workload)
    case 'journal':
      return isPoint(found.point)
    case 'error':
      return isWorkload(found.workload) && typeof found.failure?.kind === 'string'
    case 'damage':
      return isWorkload(found.workload) && typeof found.damage?.path === 'string'
    default:
      return false
  }
}

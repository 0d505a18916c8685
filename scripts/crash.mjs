// npm run crash -- [--states N] [--minutes M] [--seed S] [--shards K]   explores crashes of the storage engine
// npm run crash -- --replay WORD [--planted NAME]                       makes one failure again, alone
// Ends with 0 when at least the states that were asked for were tried and none failed.
import { fork } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { loadExplorer } from './explorer.mjs'

const self = fileURLToPath(import.meta.url)
const { values } = parseArgs({
  options: {
    states: { type: 'string' },
    minutes: { type: 'string' },
    seed: { type: 'string', default: '1' },
    shards: { type: 'string', default: '2' },
    replay: { type: 'string' },
    planted: { type: 'string' },
    shard: { type: 'string' },
    bundle: { type: 'string' },
    failures: { type: 'string', default: '5' },
  },
})
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

/** One process of a run: every `shards`th job, until it is told to stop. */
async function runShard(shard) {
  const { explorer } = await loadExplorer(values.bundle)
  explorer.plant(values.planted ?? null)
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
  const { path } = await loadExplorer()
  const startedMs = performance.now()
  const sum = { jobs: 0, states: 0, secondLevel: 0, errorRuns: 0, failures: 0 }
  const seconds = () => (performance.now() - startedMs) / 1000
  const line = () =>
    `${sum.states} states (${sum.secondLevel} of them crashes during a recovery), ${sum.errorRuns} runs with failing calls, ` +
    `${sum.jobs} workloads, ${sum.failures} failures, ${Math.round(sum.states / seconds())} states/s, ${seconds().toFixed(0)} s`
  console.log(`crash: seed ${seed}, ${shards} processes`)
  const children = []
  await new Promise((resolve, reject) => {
    const progress = setInterval(() => console.log(`crash: ${line()}`), 15_000)
    const stop = () => {
      clearInterval(progress)
      clearTimeout(deadline)
      resolve()
    }
    const deadline = Number.isFinite(endMs) ? setTimeout(stop, endMs) : undefined
    for (let shard = 0; shard < shards; shard++) {
      const child = fork(self, [...process.argv.slice(2), '--shard', String(shard), '--bundle', path])
      children.push(child)
      child.on('exit', (code) => {
        if (code !== 0 && code !== null) reject(new Error(`process ${shard} ended with code ${code}`))
      })
      child.on('message', (outcome) => {
        sum.jobs++
        for (const name of ['states', 'secondLevel', 'errorRuns']) sum[name] += outcome[name]
        for (const { message, word } of outcome.failures) {
          sum.failures++
          console.log(`\ncrash: workload ${outcome.index}: ${message}`)
          console.log(`crash: npm run crash -- --replay ${word}\n`)
        }
        if (sum.states >= wantedStates || sum.failures >= mostFailures) stop()
      })
    }
  }).finally(() => {
    for (const child of children) child.kill()
  })
  console.log(`crash: ${line()}`)
  return sum.failures === 0 ? 0 : 1
}

async function replayOne(word) {
  const { explorer } = await loadExplorer()
  explorer.plant(values.planted ?? null)
  const message = await explorer.replay(word)
  console.log(message === null ? 'crash: every promise is kept' : `crash: ${message}`)
  return message === null ? 0 : 1
}

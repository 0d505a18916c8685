import { readFileSync } from 'node:fs'
import { Command, CommanderError } from 'commander'
import { ExitCode, ExitWith, exitCodeOf, failureLine } from './failure.ts'
import type { Terminal } from './terminal.ts'

/** Adds options, help and action to an empty command. Each command file exports one. */
export type DefineCommand = (command: Command, terminal: Terminal) => void

/** Every command, each with what the overview says of it; its file is read only when it is asked for. */
const commands: Readonly<Record<string, { summary: string; load: () => Promise<DefineCommand> }>> = {
  serve: {
    summary: 'run a broker that Kafka clients can use',
    load: async () => (await import('./serve.ts')).defineServe,
  },
  cluster: {
    summary: 'run several brokers on this machine, for development',
    load: async () => (await import('./cluster/cluster.ts')).defineCluster,
  },
  topics: {
    summary: 'list, create, describe, alter and delete topics',
    load: async () => (await import('./topics.ts')).defineTopics,
  },
  produce: {
    summary: 'send lines, CSV or JSON to a topic',
    load: async () => (await import('./produce.ts')).defineProduce,
  },
  consume: {
    summary: 'print the records of topics',
    load: async () => (await import('./consume.ts')).defineConsume,
  },
  brokers: {
    summary: 'show who is in the cluster, and what each broker has',
    load: async () => (await import('./brokers.ts')).defineBrokers,
  },
  partitions: {
    summary: 'show who leads and has each partition, and which are behind',
    load: async () => (await import('./partitions.ts')).definePartitions,
  },
  quorum: {
    summary: 'show the controllers, and change which of them vote',
    load: async () => (await import('./quorum.ts')).defineQuorum,
  },
  reassign: {
    summary: 'move partitions to other brokers',
    load: async () => (await import('./reassign/reassign.ts')).defineReassign,
  },
  dump: {
    summary: 'show what is in files of a data directory, and whether it is intact',
    load: async () => (await import('./dump.ts')).defineDump,
  },
  verify: {
    summary: 'check every checksum and index of a data directory',
    load: async () => (await import('./verify.ts')).defineVerify,
  },
  fuzz: {
    summary: 'run clusters under faults in a simulated world',
    load: async () => (await import('./fuzz.ts')).defineFuzz,
  },
  bench: {
    summary: 'measure what each flush policy costs on your own disk',
    load: async () => (await import('./bench/bench.ts')).defineBench,
  },
}

const overview = `
Examples:
  $ cordwood serve                                  a broker on 127.0.0.1:9092, data in ./cordwood-data
  $ echo hello | cordwood produce greetings         one record a line
  $ cordwood consume greetings                      print them
  $ cordwood cluster start                          three brokers on this machine that replicate
  $ cordwood serve --help                           everything a command can do

Exit codes: 0 done, 1 something is not as it must be (one line on stderr says what), 2 the command line is wrong.`

/**
 * Runs the command that `args` (without interpreter and script) name, and returns the exit code. Never throws:
 * what went wrong is one line on standard error.
 */
export async function runProgram(args: readonly string[], terminal: Terminal): Promise<number> {
  let path = 'cordwood'
  const program = new Command('cordwood')
    .description('An append-only, crash-safe log store that speaks the Kafka protocol.')
    .option('-V, --version', 'print the version')
    .helpCommand(false)
    .addHelpText('after', overview)
  quiet(program, terminal)
  try {
    if (args[0] === '--version' || args[0] === '-V') {
      await terminal.write(`${packageVersion()}\n`)
      return ExitCode.success
    }
    const name = args[0] === 'help' ? args[1] : args[0]
    for (const [known, { summary, load }] of Object.entries(commands)) {
      const command = program.command(known).description(`${summary[0]!.toUpperCase()}${summary.slice(1)}.`)
      command.summary(summary)
      quiet(command, terminal)
      if (known !== name) continue
      path = `cordwood ${known}`
      ;(await load())(command, terminal)
      for (const child of command.commands) quiet(child, terminal)
      const child = command.commands.find((each) => each.name() === args[args.indexOf(known) + 1])
      if (child !== undefined) path += ` ${child.name()}`
    }
    if (args.length === 0) {
      terminal.note(program.helpInformation() + overview)
      return ExitCode.usage
    }
    const given = args[0] === 'help' ? [...args.slice(1), '--help'] : args
    await program.parseAsync(given, { from: 'user' })
    return ExitCode.success
  } catch (error) {
    if (error instanceof ExitWith) return error.exitCode
    if (error instanceof CommanderError) {
      if (error.exitCode === 0) return ExitCode.success
      const wrong = failureLine(error)
        .replace(/^error: /, '')
        .replace(/^command-argument value ('.*') is invalid for argument '(.*?)'\./, '$2 $1 is invalid.')
      if (wrong !== '(outputHelp)')
        terminal.note(`cordwood: ${wrong}${wrong.endsWith('.') ? '' : '.'} See "${path} --help".`)
      return ExitCode.usage
    }
    terminal.note(`cordwood: ${failureLine(error)}`)
    if (process.env.CORDWOOD_DEBUG === '1' && error instanceof Error) terminal.note(error.stack ?? '')
    return exitCodeOf(error)
  }
}

/** Makes commander throw what it would print, so that there is one place that words an error. */
function quiet(command: Command, terminal: Terminal): void {
  command.exitOverride().configureOutput({
    writeOut: (text) => void terminal.write(text),
    writeErr: (text) => terminal.note(text.trimEnd()),
    outputError: () => {},
  })
  command.configureHelp({ showGlobalOptions: false })
}

/** The version in package.json, which stands two directories above both `src/cli` and `dist/cli`. */
function packageVersion(): string {
  const text = readFileSync(new URL('../../package.json', import.meta.url), 'utf8')
  return (JSON.parse(text) as { version: string }).version
}

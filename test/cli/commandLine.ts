import { fileURLToPath } from 'node:url'
import { runProgram } from '../../src/cli/program.ts'
import type { Terminal } from '../../src/cli/terminal.ts'

const path = (relative: string): string => fileURLToPath(new URL(relative, import.meta.url))
/** Runs the command line from its sources, in a process of its own. */
export const program: readonly string[] = [
  process.execPath,
  '--import',
  path('../support/typescript.mjs'),
  path('../../src/cli/main.ts'),
]

/** What a command did. */
export interface Outcome {
  readonly exitCode: number
  readonly stdout: string
  readonly stderr: string
  readonly stdoutBytes: Buffer
}

/** A command that runs in this process with a terminal of its own. */
export interface RunningCommand {
  readonly done: Promise<Outcome>
  /** What has been written to standard output so far. */
  stdout(): string
  /** As Ctrl-C does. */
  interrupt(): void
  /** Resolves once standard output holds `text`. */
  printed(text: string): Promise<void>
  /** Resolves once standard error holds `text`. */
  noted(text: string): Promise<void>
}

/** Starts `cordwood ...args` with `input` on standard input. */
export function start(
  args: readonly string[],
  input: string | Uint8Array | AsyncIterable<Uint8Array> = '',
  environment: Readonly<Record<string, string>> = {},
): RunningCommand {
  const out: Buffer[] = []
  let err = ''
  const interrupted = new AbortController()
  const waiting: (() => void)[] = []
  const terminal: Terminal = {
    environment,
    program,
    input: (async function* () {
      if (typeof input === 'string' || input instanceof Uint8Array) {
        if (input.length > 0) yield Buffer.from(input)
      } else yield* input
    })(),
    inputIsTerminal: false,
    outputIsTerminal: false,
    errorIsTerminal: false,
    write: async (bytes) => {
      out.push(Buffer.from(bytes as Uint8Array))
      for (const wake of waiting.splice(0)) wake()
    },
    note: (line) => {
      err += `${line}\n`
      for (const wake of waiting.splice(0)) wake()
    },
    progress: () => {},
    interruptible: () => interrupted.signal,
  }
  const stdout = (): string => Buffer.concat(out).toString()
  return {
    done: runProgram(args, terminal).then((exitCode) => ({
      exitCode,
      stdout: stdout(),
      stderr: err,
      stdoutBytes: Buffer.concat(out),
    })),
    stdout,
    interrupt: () => interrupted.abort('SIGINT'),
    printed: async (text) => {
      while (!stdout().includes(text)) await new Promise<void>((wake) => waiting.push(wake))
    },
    noted: async (text) => {
      while (!err.includes(text)) await new Promise<void>((wake) => waiting.push(wake))
    },
  }
}

/** Runs `cordwood ...args` to its end. */
export function run(
  args: readonly string[],
  input: string | Uint8Array = '',
  environment: Readonly<Record<string, string>> = {},
): Promise<Outcome> {
  return start(args, input, environment).done
}

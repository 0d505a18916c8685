import { spawn } from 'node:child_process'
import { homedir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

/** The root of the repository. */
export const repositoryRoot = fileURLToPath(new URL('../../../', import.meta.url))

/** Where the heavy clients live, outside the repository. */
export const peersDirectory = process.env.PEERS_DIR ?? join(homedir(), '.peers')

/** What a finished process left behind. */
export interface Finished {
  readonly code: number | null
  readonly stdout: string
  readonly stderr: string
}

/** How to run a process. */
export interface RunOptions {
  /** Text for its standard input, which is closed afterwards. None: closed at once. */
  readonly input?: string
  /** Killed after this long; default 60 s. */
  readonly timeoutMs?: number
  /** Accept any exit code instead of throwing on anything but 0. */
  readonly mayFail?: boolean
  readonly env?: Record<string, string>
}

/** A process that is still running. */
export interface Running {
  /** Settles when it has ended. Rejects on a bad exit code unless `mayFail`. */
  readonly done: Promise<Finished>
  /** What it has written to standard output so far. */
  readonly stdout: () => string
  kill(signal?: NodeJS.Signals): void
}

/** Starts a program; the caller awaits `done`. */
export function start(command: string, args: readonly string[], options: RunOptions = {}): Running {
  const child = spawn(command, args, {
    stdio: ['pipe', 'pipe', 'pipe'],
    env: { ...process.env, ...options.env },
  })
  const out: Buffer[] = []
  const err: Buffer[] = []
  child.stdout.on('data', (bytes: Buffer) => out.push(bytes))
  child.stderr.on('data', (bytes: Buffer) => err.push(bytes))
  child.stdin.on('error', () => {}) // It may end without having read everything.
  child.stdin.end(options.input ?? '')
  const timeoutMs = options.timeoutMs ?? 60_000
  const done = new Promise<Finished>((resolve, reject) => {
    let late = false
    const timer = setTimeout(() => {
      late = true
      child.kill('SIGKILL')
    }, timeoutMs)
    child.on('error', reject)
    child.on('close', (code) => {
      clearTimeout(timer)
      const finished = { code, stdout: Buffer.concat(out).toString(), stderr: Buffer.concat(err).toString() }
      if (late) reject(new Error(describe(`did not end within ${timeoutMs} ms`, finished)))
      else if (code !== 0 && !options.mayFail) reject(new Error(describe(`exited with ${code}`, finished)))
      else resolve(finished)
    })
  })
  done.catch(() => {}) // Whoever awaits it still sees the rejection.
  return { done, stdout: () => Buffer.concat(out).toString(), kill: (signal) => child.kill(signal) }

  function describe(what: string, { stdout, stderr }: Finished): string {
    return `${command} ${args.join(' ')} ${what}\nstderr: ${stderr.slice(-3000)}\nstdout ends: ${stdout.slice(-1000)}`
  }
}

/** Runs a program to its end and returns what it said. Throws when it fails or takes too long. */
export function run(command: string, args: readonly string[], options?: RunOptions): Promise<Finished> {
  return start(command, args, options).done
}

/** Polls until `check` returns something other than null or false, or fails with `what` after `timeoutMs`. */
export async function until<T>(
  what: string,
  check: () => T | null | false | Promise<T | null | false>,
  timeoutMs = 30_000,
): Promise<T> {
  const end = performance.now() + timeoutMs
  let last: unknown = null
  for (;;) {
    try {
      const value = await check()
      if (value !== null && value !== false) return value
    } catch (error) {
      last = error
    }
    if (performance.now() > end) throw new Error(`waited ${timeoutMs} ms for: ${what}`, { cause: last })
    await new Promise((resolve) => setTimeout(resolve, 50))
  }
}

import { type ChildProcess, spawn } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { run, until } from '../../interop/support/run.ts'
import type { Acknowledged, Found, Stored } from './ledger.ts'

const programs = fileURLToPath(new URL('../programs/', import.meta.url))
const running = new Set<Writer>()

/** Ends every writer that a test has left behind. */
export function endWriters(): void {
  for (const writer of [...running]) writer.kill()
}

process.once('exit', endWriters)

/** What a writer writes. */
export interface Workload {
  readonly policy: string
  readonly logs: number
  readonly writers: number
  readonly bytes: number
}

/** A process that appends, and what it was told. */
export class Writer {
  readonly acknowledged: Acknowledged[] = []
  /** Codes of refused appends, in order. */
  readonly refused: string[] = []
  /** Answers to `read`: the number of records. */
  readonly reads: number[] = []
  /** Where it writes. */
  readonly directory: string
  readonly #child: ChildProcess
  readonly #gone: Promise<void>
  #pid = 0
  #isOpen = false
  #isClosed = false
  #isGone = false
  #said = ''

  private constructor(directory: string, command: string, args: readonly string[]) {
    this.directory = directory
    // Node's own file calls must not go where the tracer cannot see them.
    const env = { ...process.env, UV_USE_IO_URING: '0' }
    this.#child = spawn(command, args, { env, stdio: ['pipe', 'pipe', 'pipe'] })
    this.#child.stdin!.on('error', () => {})
    this.#child.stderr!.on('data', (chunk: Buffer) => {
      this.#said += chunk.toString()
    })
    let rest = ''
    this.#child.stdout!.on('data', (chunk: Buffer) => {
      const lines = (rest + chunk.toString()).split('\n')
      // A line without its end may be half an acknowledgement.
      rest = lines.pop()!
      for (const line of lines) this.#take(line)
    })
    this.#gone = new Promise((resolve) => {
      this.#child.once('close', () => {
        this.#isGone = true
        running.delete(this)
        resolve()
      })
    })
    running.add(this)
  }

  /** Starts one; `injections` are strace's (`fdatasync:error=EIO:when=5`), applied from its first system call on. */
  static start(directory: string, workload: Workload, injections: readonly string[] = []): Writer {
    const { policy, logs, writers, bytes } = workload
    const program = [`${programs}writer.mjs`, directory, policy, logs, writers, bytes].map(String)
    if (injections.length === 0) return new Writer(directory, process.execPath, program)
    return new Writer(directory, 'strace', [...straceFlags(injections), process.execPath, ...program])
  }

  /** Has strace meddle with its system calls from now on; resolves once it does. */
  async inject(injections: readonly string[]): Promise<void> {
    const tracer = spawn('strace', [...straceFlags(injections), '-p', `${this.#pid}`], {
      stdio: ['ignore', 'ignore', 'pipe'],
    })
    let said = ''
    tracer.stderr.on('data', (chunk: Buffer) => {
      said += chunk.toString()
    })
    // It ends with the process that it traces.
    await until('strace to attach', () => {
      if (tracer.exitCode !== null) throw new Error(`strace ended: ${said}`)
      return /attached/.test(said)
    })
  }

  /** What it printed on stderr. */
  get said(): string {
    return this.#said
  }

  get isGone(): boolean {
    return this.#isGone
  }

  /** Resolves once `count` appends more have been acknowledged. */
  async acknowledge(count: number): Promise<void> {
    const before = this.acknowledged.length
    await until(`${count} acknowledgements; stderr: ${this.#said.slice(-500)}`, () => {
      if (this.#isGone) throw new Error(`the writer has ended: ${this.#said.slice(-2000)}`)
      return this.acknowledged.length >= before + count
    })
  }

  /** Resolves once it has opened the directory, or could not; rejects when it does not say why with a code. */
  async opened(): Promise<void> {
    await until('the writer to open its directory', () => this.#isOpen || this.#isGone)
    if (this.#isOpen || this.#said === '' || /code: '(diskFailed|diskFull)'/.test(this.#said)) return
    throw new Error(`the writer gave up: ${this.#said.slice(-2000)}`)
  }

  /** Has it read everything; resolves with the number of records. */
  async read(): Promise<number> {
    const before = this.reads.length
    this.#child.stdin!.write('read\n')
    await until(`the writer to read; stderr: ${this.#said.slice(-500)}`, () => this.reads.length > before)
    return this.reads[before]!
  }

  /** Has it finish and close in order. */
  async close(): Promise<void> {
    this.#child.stdin!.write('close\n')
    await this.#gone
    if (!this.#isClosed) throw new Error(`the writer did not close in order: ${this.#said.slice(-2000)}`)
  }

  /** Stops it where it is: without power nothing runs on, while syncs that a dying file system ends would be taken for done. */
  freeze(): void {
    process.kill(this.#pid, 'SIGSTOP')
  }

  /** SIGKILL, to it and to its tracer. */
  kill(): void {
    if (this.#pid > 0 && !this.#isGone) {
      try {
        process.kill(this.#pid, 'SIGKILL')
      } catch {
        // It was faster.
      }
    }
    if (this.#child.spawnargs[0] !== 'strace') this.#child.kill('SIGKILL')
  }

  /** Resolves once it is gone and all it printed has been read. */
  ended(): Promise<void> {
    return this.#gone
  }

  #take(line: string): void {
    const [kind, ...fields] = line.split(' ')
    const numbers = fields.map(Number)
    if (kind === 'P') this.#pid = numbers[0]!
    else if (kind === 'O') this.#isOpen = true
    else if (kind === 'C') this.#isClosed = true
    else if (kind === 'E') this.refused.push(fields[0]!)
    else if (kind === 'R') this.reads.push(numbers[0]!)
    else if (kind === 'A') {
      const [log, baseOffset, count, firstId] = numbers as [number, number, number, number]
      this.acknowledged.push({ log, baseOffset, count, firstId })
    }
  }
}

/** Starts anew on `directory` and reads everything. */
export async function readBack(directory: string): Promise<Stored> {
  const { stdout } = await run(process.execPath, [`${programs}reader.mjs`, directory], { timeoutMs: 60_000 })
  const records: Found[] = []
  const failed: string[] = []
  for (const line of stdout.split('\n')) {
    const fields = line.split(' ')
    if (fields[0] === 'F') failed.push(line)
    if (fields[0] !== 'R') continue
    const [log, offset, id] = fields.slice(1).map(Number) as [number, number, number]
    records.push({ log, offset, id })
  }
  return { records, failed }
}

function straceFlags(injections: readonly string[]): string[] {
  const calls = [...new Set(injections.flatMap((injection) => injection.split(':')[0]!.split(',')))]
  const flags = ['-f', '-o', '/dev/null', '-e', `trace=${calls.join(',')}`]
  for (const injection of injections) flags.push('-e', `inject=${injection}`)
  return flags
}

import { type ChildProcess, execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdtempSync, readFileSync, renameSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import type { Engine, EngineLog } from '../src/index.ts'
import { openEngine } from '../src/index.ts'

/**
 * How long does a start take, and how much memory? A thousand logs of 10 GiB together, after SIGKILL under appends with the
 * policy `journal` and after a clean shutdown; then ten thousand logs, which are idle afterwards. From the start of the
 * process until a durable append and a read of it have succeeded.
 * In the environment: `GIB` (10), `LOGS` (1000), `MANY` (10000), `ROUNDS` (3), `DIRECTORY`; `LARGE`, a directory for the
 * 10 GiB that stays, and is not filled again.
 */

const number = (name: string, otherwise: number): number => Number(process.env[name] ?? otherwise)
const logs = number('LOGS', 1000)
const many = number('MANY', 10_000)
const gibibytes = number('GIB', 10)
const rounds = number('ROUNDS', 3)
const nameOf = (index: number): string => `log-${String(index).padStart(5, '0')}`

/** What a start says of itself. */
interface Start {
  /** From the start of the process. */
  readonly openMs: number
  readonly servingMs: number
  /** Until every log was opened by its name, too. */
  readonly allMs: number
  readonly anonMib: number
  readonly residentMib: number
  readonly idleCpu: number
}

async function openAll(engine: Engine, count: number): Promise<EngineLog[]> {
  const found: EngineLog[] = []
  while (found.length < count) {
    const next = Array.from({ length: Math.min(256, count - found.length) }, (_, at) =>
      nameOf(found.length + at),
    )
    found.push(...(await Promise.all(next.map((name) => engine.log(name)))))
  }
  return found
}

/** Makes `count` logs of `bytes` together. */
async function fill(directory: string, count: number, bytes: number): Promise<void> {
  const engine = await openEngine({ directory, flush: 'none' })
  const found = await openAll(engine, count)
  const value = Buffer.alloc(1_000_000, 7)
  const appends = Math.floor(bytes / value.length)
  for (let at = 0; at < appends; at += 16) {
    await Promise.all(Array.from({ length: 16 }, (_, more) => found[(at + more) % count]!.append({ value })))
  }
  for (const log of appends === 0 ? found : []) await log.append({ value: 'x' })
  await engine.close()
}

/** Appends under `journal` until somebody ends it. */
async function write(directory: string): Promise<void> {
  const engine = await openEngine({ directory })
  const found = await openAll(engine, logs)
  const value = Buffer.alloc(4096, 7)
  let at = 0
  const writer = async (): Promise<never> => {
    for (;;) await found[(at += 7) % logs]!.append({ value })
  }
  console.log('writing')
  await Promise.all(Array.from({ length: 32 }, writer))
}

/** Opens, and says how long it took. */
async function open(directory: string, count: number, idleSeconds: number): Promise<void> {
  const engine = await openEngine({ directory })
  const openMs = performance.now()
  const log = await engine.log(nameOf(count - 1))
  const { baseOffset } = await log.append({ value: 'first' })
  for await (const record of log.read({ from: baseOffset }))
    if (record.text() !== 'first') throw new Error('wrong')
  const servingMs = performance.now()
  const status = readFileSync('/proc/self/status', 'latin1')
  const mib = (name: string): number => Number(new RegExp(`^${name}:\\s+(\\d+)`, 'm').exec(status)![1]) / 1024
  const [anonMib, residentMib] = [mib('RssAnon') + mib('RssShmem'), mib('VmRSS')]
  await openAll(engine, count)
  const allMs = performance.now()
  // What the start has left to do (a checkpoint after a minute, a last collection of garbage) is not what idling costs.
  if (idleSeconds > 0) await sleep(75_000)
  const before = process.cpuUsage()
  await sleep(idleSeconds * 1000)
  const { user, system } = process.cpuUsage(before)
  const idleCpu = idleSeconds > 0 ? (user + system) / idleSeconds / 1e6 : 0
  console.log(JSON.stringify({ openMs, servingMs, allMs, anonMib, residentMib, idleCpu }))
  await engine.close()
}

/** Those that are running: they end with the benchmark. */
const children = new Set<ChildProcess>()

function child(...words: (string | number)[]): ChildProcess {
  const self = fileURLToPath(import.meta.url)
  const env = { ...process.env, START_BENCH: words.join(' ') }
  const started = spawn(process.execPath, [self], { stdio: ['ignore', 'pipe', 'inherit'], env })
  children.add(started)
  started.on('close', () => children.delete(started))
  return started
}

async function run(...words: (string | number)[]): Promise<string> {
  const started = child(...words)
  let said = ''
  started.stdout!.on('data', (chunk) => (said += chunk))
  const [code] = await once(started, 'close')
  if (code !== 0) throw new Error(`${words.join(' ')} ended with ${code}`)
  return said
}

async function measure(): Promise<void> {
  const directory = mkdtempSync(join(process.env.DIRECTORY ?? tmpdir(), 'cordwood-start-'))
  process.on('exit', () => {
    for (const each of children) each.kill('SIGKILL')
    rmSync(directory, { recursive: true, force: true, maxRetries: 5 })
  })
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, () => process.exit(1))
  const say = (what: string, { openMs, servingMs, allMs, anonMib, residentMib, idleCpu }: Start): void => {
    const idle = idleCpu === 0 ? '' : `, idle ${(idleCpu * 100).toFixed(2)} % of a core`
    console.log(
      `${what}: open after ${openMs.toFixed(0)} ms, serving after ${servingMs.toFixed(0)} ms, every log by name after ${allMs.toFixed(0)} ms; ` +
        `memory ${anonMib.toFixed(0)} MiB (resident with what is mapped ${residentMib.toFixed(0)})${idle}`,
    )
  }
  const large = process.env.LARGE ?? join(directory, 'large')
  if (!existsSync(large)) {
    console.log(`filling ${logs} logs with ${gibibytes} GiB`)
    await run('fill', `${large}.part`, logs, gibibytes * 2 ** 30)
    renameSync(`${large}.part`, large)
    // Otherwise the disk is busy with what was filled while the starts are timed.
    execFileSync('sync')
  }
  for (let round = 1; round <= rounds; round++) {
    const writer = child('write', large)
    await once(writer.stdout!, 'data')
    await sleep(3000)
    writer.kill('SIGKILL')
    await once(writer, 'close')
    say(`${logs} logs, after SIGKILL`, JSON.parse(await run('open', large, logs, 0)))
    say(`${logs} logs, after a clean shutdown`, JSON.parse(await run('open', large, logs, 0)))
  }
  const wide = join(directory, 'many')
  console.log(`making ${many} logs`)
  await run('fill', wide, many, 0)
  for (let round = 1; round <= rounds; round++) {
    say(`${many} logs`, JSON.parse(await run('open', wide, many, round === 1 ? 60 : 0)))
  }
}

const [mode, ...words] = (process.env.START_BENCH ?? 'measure').split(' ')
if (mode === 'fill') await fill(words[0]!, Number(words[1]), Number(words[2]))
else if (mode === 'write') await write(words[0]!)
else if (mode === 'open') await open(words[0]!, Number(words[1]), Number(words[2]))
else await measure()

import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, readFileSync, rmSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { expect, onTestFinished, test } from 'vitest'
import { sweepLeftovers, throttles } from '../chaos/leftovers.ts'
import { killed } from '../support/killed.ts'

const program = fileURLToPath(new URL('programs/leaves.ts', import.meta.url))
const typescript = new URL('../support/typescript.mjs', import.meta.url).href

/** What a run has made. */
interface Made {
  readonly directory: string
  readonly namespaces: readonly string[]
  readonly disk: string
  readonly group: string
  /** A process in a namespace and on the disk. */
  readonly pid: number
}

test('what a killed run has left is swept, and what a living one has made is not', async () => {
  const [dead, living] = await Promise.all([startRun(), startRun()])
  const all = ['process', 'namespaces', 'mount', 'loop device', 'files of the disk', 'note of the maker']
  if (existsSync(throttles)) all.push('group')
  expect(whatIsThere(dead.made)).toEqual(all)

  await sweepLeftovers()
  expect(whatIsThere(dead.made)).toEqual(all)
  await killed(dead.child)
  expect(whatIsThere(dead.made)).toEqual(all)
  const swept = await sweepLeftovers()
  expect(swept.filter((line) => line.includes(nameOf(dead.made)))).toHaveLength(1)
  expect(whatIsThere(dead.made)).toEqual([])
  // What it has said stays.
  expect(existsSync(dead.made.directory)).toBe(true)

  expect(whatIsThere(living.made)).toEqual(all)
  await killed(living.child)
  await sweepLeftovers()
  expect(whatIsThere(living.made)).toEqual([])
})

async function startRun(): Promise<{ readonly child: ChildProcess; readonly made: Made }> {
  const child = spawn(process.execPath, ['--import', typescript, program], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  const lines = createInterface({ input: child.stdout })
  const [line] = (await Promise.race([once(lines, 'line'), once(child, 'exit').then(() => ['{}'])])) as [
    string,
  ]
  const made = JSON.parse(line) as Made
  onTestFinished(async () => {
    await killed(child)
    await sweepLeftovers()
    rmSync(made.directory, { recursive: true, force: true })
  })
  return { child, made }
}

function nameOf({ directory }: Made): string {
  return directory.slice(dirname(directory).length + 1)
}

function whatIsThere({ directory, namespaces, disk, group, pid }: Made): readonly string[] {
  const base = dirname(disk)
  const found: readonly (readonly [string, boolean])[] = [
    ['process', existsSync(`/proc/${pid}/cwd`)],
    ['namespaces', namespaces.some((path) => existsSync(path))],
    ['mount', readFileSync('/proc/self/mounts', 'utf8').includes(` ${disk} `)],
    ['loop device', spawnSync('losetup', ['-a'], { encoding: 'utf8' }).stdout.includes(base)],
    ['files of the disk', existsSync(base)],
    ['note of the maker', existsSync(join(directory, 'maker'))],
    ['group', existsSync(group)],
  ]
  return found.filter(([, isThere]) => isThere).map(([name]) => name)
}

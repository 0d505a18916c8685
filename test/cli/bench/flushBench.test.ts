import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { describe, expect, test } from 'vitest'
import { runFlushBench } from '../../../src/cli/bench/flushBench.ts'
import { quickPreset } from '../../../src/cli/bench/flushOptions.ts'
import type { FlushResult } from '../../../src/cli/bench/flushResult.ts'
import { checkOutputs, writeOutputs } from '../../../src/cli/outputFiles.ts'
import { temporaryDirectory } from '../../support/temporaryDirectory.ts'
import { run, start } from '../commandLine.ts'

const small = ['--policies', 'none,journal,batch', '--logs', '1,3', '--sizes', '1KiB', '--writers', '4']
const short = ['--seconds', '0.02', '--rounds', '1', '--journal', '48MiB']

test('bench flush measures what it is told to, writes what it found, and leaves nothing behind', async () => {
  const directory = temporaryDirectory()
  const out = temporaryDirectory()
  const files = ['--json', `${out}/r.json`, '--html', `${out}/r.html`, '--md', `${out}/r.md`]
  const args = ['bench', 'flush', '--quick', ...small, ...short, '--directory', directory, ...files]
  const { exitCode, stdout, stderr } = await run(args)
  expect(stderr).toMatch(/^cordwood: \d+ measurements in .*, about .*\n$/)
  expect(exitCode).toBe(0)
  expect(stdout).toContain('3 logs, appends of 1 KiB, 4 writers')
  expect(readdirSync(directory)).toEqual([])
  const result = JSON.parse(readFileSync(`${out}/r.json`, 'utf8')) as FlushResult
  for (const logs of [1, 3]) {
    const policies = result.cells.filter((cell) => cell.logs === logs).map(({ policy }) => policy)
    expect(policies).toEqual(expect.arrayContaining(['none', 'journal', 'batch']))
  }
  expect(result.cells.every(({ appendsPerSecond }) => appendsPerSecond >= 0)).toBe(true)
  expect(result.cells.find(({ policy }) => policy === 'none')!.appendsPerSecond).toBeGreaterThan(0)
  expect(JSON.stringify(result)).not.toContain(directory)
  expect(readFileSync(`${out}/r.md`, 'utf8')).toContain('## 1 log, appends of 1 KiB, 4 writers')
  expect(readFileSync(`${out}/r.html`, 'utf8')).toMatch(/^<!doctype html>/)
}, 60_000)

test('what would not end in time is left out; where the journal stops paying is not', async () => {
  const directory = temporaryDirectory()
  const options = { ...quickPreset, directory, policies: ['journal', 'batch'] as const, seconds: 0.02 }
  const few = { ...options, logs: [1], loadLogs: 1, crossoverSizes: [1024], journalBytes: 48 << 20 }
  const run = (limitSeconds: number) =>
    runFlushBench({ ...few, limitSeconds }, new AbortController().signal, { measuring() {}, measured() {} })
  const { cells, crossover, load } = await run(24)
  expect(cells.map(({ policy }) => policy)).toEqual(expect.arrayContaining(['journal', 'batch']))
  expect(crossover.map(({ policy }) => policy)).toEqual(['journal', 'batch'])
  expect(load).toEqual([])
  expect(await run(9)).toMatchObject({ cells: [], crossover: [], load: [] })
  expect(readdirSync(directory)).toEqual([])
}, 60_000)

test('bench flush cleans up when it is interrupted', async () => {
  const directory = temporaryDirectory()
  const args = ['bench', 'flush', '--quick', ...small, '--seconds', '0.2', '--rounds', '50']
  const command = start([...args, '--directory', directory])
  await command.printed('1 log, appends')
  command.interrupt()
  expect(await command.done).toMatchObject({ exitCode: 130 })
  expect(readdirSync(directory)).toEqual([])
}, 60_000)

test.each([
  [['--policies', 'sometimes'], 'There are none, interval'],
  [['--sizes', '2MiB'], '1 byte to 1MiB'],
  [['--logs', '0'], 'whole number'],
  [['--seconds', '0'], '0.01 to 3600'],
  [['--journal', '1MiB'], 'at least 48 MiB'],
])('bench flush refuses %j with exit code 2', async (args, why) => {
  const { exitCode, stderr } = await run(['bench', 'flush', ...args])
  expect([exitCode, stderr]).toEqual([2, expect.stringContaining(why)])
})

test('bench flush refuses a directory that is not there, and makes none', async () => {
  const directory = `${temporaryDirectory()}/missing`
  const { exitCode, stderr } = await run(['bench', 'flush', '--directory', directory])
  expect([exitCode, existsSync(directory)]).toEqual([2, false])
  expect(stderr).toContain(`cannot measure in ${directory}`)
})

test('bench flush measures appends of 1 MiB, as its own help says', async () => {
  const directory = temporaryDirectory()
  const args = ['--policies', 'journal,batch', '--logs', '1', '--sizes', '4KiB,64KiB,1MiB', '--writers', '4']
  const { exitCode, stdout, stderr } = await run([
    'bench',
    'flush',
    '--quick',
    ...args,
    ...short,
    '--directory',
    directory,
  ])
  expect([exitCode, stderr]).toEqual([0, expect.stringMatching(/^[^\n]*\n$/)])
  expect(stdout).toContain('1 log, appends of 1 MiB, 4 writers')
}, 60_000)

describe('a file that cannot be written', () => {
  test.each(['--json', '--html', '--md'])('is refused as %s before anything is measured', async (flag) => {
    const directory = temporaryDirectory()
    const out = temporaryDirectory()
    const other = flag === '--md' ? '--json' : '--md'
    for (const bad of [`${out}/missing/r`, out]) {
      const files = [other, `${out}/other`, flag, bad]
      const outcome = await run(['bench', 'flush', '--quick', '--directory', directory, ...files])
      expect([outcome.exitCode, outcome.stdout]).toEqual([2, ''])
      expect(outcome.stderr).toContain(`cannot write ${flag} ${bad}: `)
      expect(outcome.stderr).not.toContain('measurements')
    }
    expect([readdirSync(directory), readdirSync(out)]).toEqual([[], []])
  })

  test('does not keep others from being written, and what is there stays as it is until then', () => {
    const out = temporaryDirectory()
    const text = () => 'x'
    writeFileSync(`${out}/a`, 'as it was')
    checkOutputs([{ flag: '--json', path: `${out}/a` }])
    expect(readFileSync(`${out}/a`, 'utf8')).toBe('as it was')
    const files = [`${out}/missing/b`, `${out}/a`].map((path) => ({ flag: '--json', path, text }))
    expect(() => writeOutputs(files)).toThrow(`cannot write --json ${out}/missing/b: `)
    expect(readFileSync(`${out}/a`, 'utf8')).toBe('x')
  })
})

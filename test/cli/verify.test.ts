import { mkdirSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { expect, test } from 'vitest'
import { barText, ProgressBar } from '../../src/cli/progressBar.ts'
import { processTerminal } from '../../src/cli/terminal.ts'
import { bytesText, durationText } from '../../src/cli/units.ts'
import { ManualClock } from '../segment/support.ts'
import { fillDirectory, flip, openDirectory } from '../segment/verify/support.ts'
import { temporaryDirectory } from '../support/temporaryDirectory.ts'
import { run } from './commandLine.ts'

test('verify says in one line that a directory is intact', async () => {
  const directory = temporaryDirectory()
  await fillDirectory(directory)
  const { exitCode, stdout, stderr } = await run(['verify', directory])
  expect([exitCode, stderr]).toEqual([0, ''])
  expect(stdout).toMatch(/ is intact: 2 logs, \d+ segments, 24 batches, \d\.\d KiB in \d\.\d s, .*\/s\.\n$/)
})

test('verify names file, byte, offsets and what to do, and exits with 1', async () => {
  const directory = temporaryDirectory()
  await fillDirectory(directory)
  const name = readdirSync(`${directory}/orders-0`).find((file) => file.endsWith('.log'))!
  flip(`${directory}/orders-0/${name}`, 75)
  const text = await run(['verify', directory])
  expect(text.exitCode).toBe(1)
  expect(text.stdout).toContain(`damage    ${directory}/orders-0/${name} at byte 0 (`)
  expect(text.stdout).toMatch(/ bytes\), offsets 0 to 1: expected checksum \d+, found checksum \d+\. /)
  expect(text.stdout).toContain('restore the file from a backup')
  expect(text.stdout).toContain(`${directory} is damaged: `)

  const json = await run(['verify', '--json', directory])
  const lines = json.stdout
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line) as object)
  expect(lines).toMatchObject([
    { type: 'finding', severity: 'damage', kind: 'batches', position: 0, baseOffset: 0, lastOffset: 1 },
    { type: 'summary', logs: 2, findings: { damage: 1, derivable: 0, note: 0 } },
  ])
})

test('verify leaves a directory alone that somebody has open, unless it is told to look at what is sealed', async () => {
  const directory = temporaryDirectory()
  await fillDirectory(directory)
  const opened = await openDirectory(directory)
  const locked = await run(['verify', directory])
  expect(locked.exitCode).toBe(1)
  expect(locked.stderr).toContain('use --no-lock')
  expect(await run(['verify', '--no-lock', directory])).toMatchObject({ exitCode: 0, stderr: '' })
  await opened.close()
})

test('verify refuses what is no directory with exit code 2', async () => {
  const missing = `${temporaryDirectory()}/missing`
  expect(await run(['verify', missing])).toMatchObject({
    exitCode: 2,
    stderr: `cordwood: there is no directory ${missing}\n`,
  })
})

test('verify refuses a directory that is none of cordwood’s, or a log’s own, with exit code 2, and leaves nothing there', async () => {
  const empty = temporaryDirectory()
  const other = temporaryDirectory()
  mkdirSync(`${other}/app-1`)
  writeFileSync(`${other}/app-1/notes.txt`, 'hello')
  for (const directory of [empty, other]) {
    const before = readdirSync(directory)
    expect(await run(['verify', directory])).toMatchObject({
      exitCode: 2,
      stdout: '',
      stderr: `cordwood: ${directory} is no data directory of cordwood: it has neither a meta.properties nor a log\n`,
    })
    expect(readdirSync(directory)).toEqual(before)
  }
  const directory = temporaryDirectory()
  await fillDirectory(directory)
  const before = readdirSync(`${directory}/orders-0`)
  const log = await run(['verify', '--no-lock', `${directory}/orders-0`])
  expect([log.exitCode, log.stdout]).toEqual([2, ''])
  expect(log.stderr).toContain(`the directory of one log; verify ${directory}\n`)
  expect(readdirSync(`${directory}/orders-0`)).toEqual(before)
})

test('verify looks at a data directory that has lost its own files, since its logs are there', async () => {
  const directory = temporaryDirectory()
  await fillDirectory(directory)
  for (const name of readdirSync(directory)) {
    if (!/-0$/.test(name)) rmSync(`${directory}/${name}`, { recursive: true })
  }
  const { exitCode, stdout } = await run(['verify', directory])
  expect(exitCode).toBe(1)
  expect(stdout).toContain('meta.properties: expected')
})

test('a progress bar grows by eighths, shows rate and time left, and is silent without a terminal', () => {
  expect([barText(0), barText(1), barText(0.5)].map((text) => text.length)).toEqual([24, 24, 24])
  expect(barText(0.5)).toBe(`${'█'.repeat(12)}${'░'.repeat(12)}`)
  const clock = new ManualClock()
  const shown: string[] = []
  const progress = (text: string): number => shown.push(text)
  const bar = new ProgressBar({ ...processTerminal(), errorIsTerminal: true, progress }, clock)
  clock.advance(2000)
  bar.show(0.25, 4 << 20, 'log 1 of 4')
  bar.show(0.26, 5 << 20, 'too soon')
  expect(shown).toEqual([`${barText(0.25)}  25 %  2.0 MiB/s  6.0 s left  log 1 of 4`])
  const silent = new ProgressBar({ ...processTerminal(), errorIsTerminal: false, progress }, clock)
  silent.show(0.5, null, 'nobody looks')
  expect(shown).toHaveLength(1)
})

test('sizes and times are told in the unit that fits', () => {
  expect([0, 1023, 1024, 1536 * 1024, 2 ** 31].map(bytesText)).toEqual([
    '0 bytes',
    '1023 bytes',
    '1.0 KiB',
    '1.5 MiB',
    '2.0 GiB',
  ])
  expect([0.25, 42.4, 200, 7500].map(durationText)).toEqual(['0.3 s', '42 s', '3 min 20 s', '2 h 5 min'])
})

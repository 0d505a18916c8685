import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, describe, expect, test } from 'vitest'
import { parseRanges, rangesOf } from '../../src/cli/fuzz/failureReport.ts'
import { FuzzTotals } from '../../src/cli/fuzz/totals.ts'
import { plant } from '../../src/model/planted.ts'
import { faultClasses } from '../../src/testing/fault.ts'
import { temporaryDirectory } from '../support/temporaryDirectory.ts'
import { start } from './commandLine.ts'

const fuzz = (...args: string[]) => start(['fuzz', '--shards', '1', ...args]).done

afterEach(() => plant(null))

describe('cordwood fuzz', () => {
  test('runs seeds, counts what happened in them, and ends with one trace hash', async () => {
    const json = join(temporaryDirectory(), 'summary.json')
    const first = await fuzz('--seed', '1', '--seeds', '2', '--nodes', '3', '--json', json)
    expect(first.stderr).toBe('')
    expect(first.exitCode).toBe(0)
    const hash = /trace hash: ([0-9a-f]{16})\n/.exec(first.stdout)![1]
    const summary = JSON.parse(readFileSync(json, 'utf8'))
    expect(summary).toMatchObject({ seeds: 2, traceHash: hash, failures: [] })
    expect(summary.fewestEvents).toBeGreaterThanOrEqual(2000)
    expect(summary.fewestFaults).toBeGreaterThanOrEqual(5)
    expect(summary.acked).toBeGreaterThan(10)
    const second = await fuzz('--seed', '0x1', '--seeds', '2', '--nodes', '3', '--shrink')
    expect(second.stdout).toContain(`trace hash: ${hash}`)
  }, 180_000)

  test('shows what broke a promise: the fewest faults, the command that does it again, a diagram', async () => {
    plant('ackBeforeCommit')
    const svg = join(temporaryDirectory(), 'failure.svg')
    const failed = await fuzz(
      '--seed',
      '1',
      '--seeds',
      '50',
      '--nodes',
      '3',
      '--faults',
      'kill',
      '--svg',
      svg,
    )
    expect(failed.exitCode).toBe(1)
    expect(failed.stdout).toMatch(/FAILED I6: .*acknowledged/)
    expect(readFileSync(svg, 'utf8')).toContain('</svg>')
    const again = /again: cordwood fuzz (.*)\n/.exec(failed.stdout)![1]!
    expect(again).toContain('--faults kill')
    const replayed = await fuzz(...again.split(' '))
    expect(replayed.exitCode).toBe(1)
    expect(replayed.stdout).toMatch(/FAILED I6: .*acknowledged/)
    plant(null)
    expect((await fuzz(...again.split(' '))).exitCode).toBe(0)
  }, 180_000)

  test.each([
    [['--nodes', '0'], '--nodes'],
    [['--seed', 'x'], 'whole number, such as 4711 or 0x9e37'],
    [['--minutes', '0'], 'above 0'],
    [['--faults', 'fire'], 'no class fire'],
    [['--skip-faults', '1-x'], 'no list of numbers'],
  ])('says what is wrong with %j', async (args, what) => {
    const { exitCode, stderr } = await fuzz(...args)
    expect(exitCode).toBe(2)
    expect(stderr).toContain(what)
  })
})

test('the live line has the faults by what they befell, whatever their class', () => {
  const totals = new FuzzTotals()
  const faults = Object.fromEntries(faultClasses.map((kind) => [kind, 1]))
  totals.add({
    seed: 1,
    nodes: 3,
    events: 2000,
    simulatedMs: 9000,
    faults,
    acked: 1,
    unknown: 0,
    looked: 1,
    traceHash: 'a',
    marks: { truncation: 1 },
    failure: null,
  })
  const line = totals.live(1)
  expect(line).toContain(`${faultClasses.length} faults`)
  expect(line).toMatch(/ · processes 5, power 2, clocks 3, network 9, disks 12, operators 4$/)
  expect(line).toMatch(/1\/\d+ rare branches/)
})

test('numbers are written as ranges and read back', () => {
  const numbers = new Set([7, 1, 2, 3, 9, 10])
  expect(rangesOf(numbers)).toBe('1-3,7,9-10')
  expect(parseRanges('1-3,7,9-10')).toEqual(new Set([1, 2, 3, 7, 9, 10]))
  expect(parseRanges('1,,2')).toBeNull()
  expect(parseRanges('')).toBeNull()
})

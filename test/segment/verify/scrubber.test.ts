import { existsSync, mkdirSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { describe, expect, test } from 'vitest'
import { CorruptionError } from '../../../src/model/errors.ts'
import { type LogFields, silentLogger } from '../../../src/model/logger.ts'
import type { Timer } from '../../../src/runtime/clock.ts'
import type { BadRange } from '../../../src/segment/badRanges.ts'
import type { LogDirectory } from '../../../src/segment/logDirectory.ts'
import { Scrubber } from '../../../src/segment/scrubber.ts'
import { decodeScrubState, encodeScrubState } from '../../../src/segment/scrubState.ts'
import { temporaryDirectory } from '../../support/temporaryDirectory.ts'
import { ManualClock, readAll, readBytes } from '../support.ts'
import { fillDirectory, flip, openDirectory, runtime } from './support.ts'

/** A clock that fires every timer at once and lets the time pass that was to be waited. */
class HastyClock extends ManualClock {
  idle: (() => void) | null = null
  longestMs = 0

  override setTimer(delayMs: number, fire: () => void): Timer {
    // A pause of days when there is nothing left to check: the test goes on.
    if (delayMs > 300_000) {
      this.idle?.()
      return { cancel() {} }
    }
    this.nowMs += Math.ceil(delayMs)
    this.longestMs = Math.max(this.longestMs, delayMs)
    queueMicrotask(fire)
    return { cancel() {} }
  }
}

interface Scrubbed {
  readonly scrubber: Scrubber
  readonly clock: HastyClock
  readonly errors: LogFields[]
  readonly told: BadRange[]
}

/** Runs a scrubber until it has nothing left to check, and closes it. */
async function scrub(
  directory: LogDirectory,
  { bytesPerSecond = 1 << 20, nowMs = 1_700_000_000_000 } = {},
): Promise<Scrubbed> {
  const clock = new HastyClock()
  clock.nowMs = nowMs
  const errors: LogFields[] = []
  const told: BadRange[] = []
  directory.badRanges.onFound = (range) => told.push(range)
  const scrubber = new Scrubber(
    { ...runtime, clock },
    {
      directory: directory.directory,
      logs: () => directory.logs,
      badRanges: directory.badRanges,
      logger: { ...silentLogger, error: (_message, fields) => errors.push(fields ?? {}) },
      bytesPerSecond,
    },
  )
  const idle = new Promise<void>((resolve) => {
    clock.idle = resolve
  })
  scrubber.start()
  await idle
  await scrubber.close()
  return { scrubber, clock, errors, told }
}

async function filled(): Promise<string> {
  const directory = temporaryDirectory()
  await fillDirectory(directory)
  return directory
}

function segmentsOf(directory: string): string[] {
  const names = readdirSync(`${directory}/orders-0`).filter((name) => name.endsWith('.log'))
  return names.map((name) => `${directory}/orders-0/${name}`)
}

describe('the scrubber', () => {
  test('reads every byte that was there at the start once, no faster than it may, and not again soon', async () => {
    const opened = await openDirectory(await filled())
    const log = opened.logs.get('orders-0')!
    const storedBytes = log.sizeBytes
    const first = await scrub(opened, { bytesPerSecond: 100 })
    expect(first.scrubber.bytesRead).toBe(storedBytes)
    expect(first.clock.nowMs - 1_700_000_000_000).toBeGreaterThanOrEqual(storedBytes * 10)
    expect([first.errors, opened.badRanges.isEmpty]).toEqual([[], true])

    const again = await scrub(opened, { nowMs: first.clock.nowMs })
    expect(again.scrubber.bytesRead).toBe(0)
    const aWeekLater = await scrub(opened, { nowMs: first.clock.nowMs + 8 * 86_400_000 })
    expect(aWeekLater.scrubber.bytesRead).toBe(storedBytes)
    await opened.close()
  })

  test('walks many small files slowly, however much it may read: opening them is what costs', async () => {
    const opened = await openDirectory(await filled())
    const files = opened.logs.get('orders-0')!.sealedSegments.length
    expect(files).toBeGreaterThan(1)
    const { clock } = await scrub(opened, { bytesPerSecond: 1 << 30 })
    expect(clock.nowMs - 1_700_000_000_000).toBeGreaterThanOrEqual(10_000 + files * 25)
    await opened.close()
  })

  test('goes on after a restart where it was', async () => {
    const directory = await filled()
    const before = await openDirectory(directory)
    const { clock } = await scrub(before)
    await before.close()
    const after = await openDirectory(directory)
    expect((await scrub(after, { nowMs: clock.nowMs })).scrubber.bytesRead).toBe(0)
    rmSync(`${directory}/.scrub`)
    expect((await scrub(after, { nowMs: clock.nowMs })).scrubber.bytesRead).toBeGreaterThan(0)
    await after.close()
  })

  test('has damage never served again and told once, and everything else served as before', async () => {
    const directory = await filled()
    const opened = await openDirectory(directory)
    const log = opened.logs.get('orders-0')!
    const before = await readAll(log)
    const file = segmentsOf(directory)[1]!
    const damaged = log.sealedSegments[1]!
    flip(file, 75)
    const { errors, told } = await scrub(opened)
    expect(told).toHaveLength(1)
    const { baseOffset, nextOffset, position, end } = told[0]!
    expect([baseOffset, position]).toEqual([damaged.baseOffset, 0])
    expect(errors).toMatchObject([{ file, position, end, baseOffset, lastOffset: nextOffset - 1 }])

    for (let offset = baseOffset; offset < nextOffset; offset++) {
      await expect(readBytes(log, offset)).rejects.toThrow(CorruptionError)
    }
    expect(await readAll(log, nextOffset)).toEqual(before.filter(({ offset }) => offset >= nextOffset))
    expect((await readBytes(log, baseOffset - 1, 1 << 20, baseOffset))!.length).toBeGreaterThan(0)
    expect((await scrub(opened, { nowMs: 1_800_000_000_000 })).errors).toEqual([])
    await opened.close()
  })

  test('remembers damage over a restart, and serves a file again that was repaired', async () => {
    const directory = await filled()
    const before = await openDirectory(directory)
    const file = segmentsOf(directory)[0]!
    flip(file, 75)
    await scrub(before)
    await before.close()

    const after = await openDirectory(directory)
    const log = after.logs.get('orders-0')!
    expect(after.badRanges.isEmpty).toBe(true)
    expect((await scrub(after)).errors).toEqual([])
    await expect(readBytes(log, 0)).rejects.toThrow(CorruptionError)
    await after.close()

    flip(file, 75)
    const repaired = await openDirectory(directory)
    await scrub(repaired)
    expect(repaired.badRanges.isEmpty).toBe(true)
    expect(await readAll(repaired.logs.get('orders-0')!)).toHaveLength(48)
    await repaired.close()
  })

  test('says which segment it cannot read, and goes on with the others', async () => {
    const directory = await filled()
    const opened = await openDirectory(directory)
    const file = segmentsOf(directory)[0]!
    rmSync(file)
    const { scrubber, errors } = await scrub(opened)
    expect(errors).toMatchObject([{ file }])
    expect(scrubber.bytesRead).toBeGreaterThan(0)
    await opened.close()
  })

  test('reads nothing at a rate of 0, and closes at once', async () => {
    const opened = await openDirectory(await filled())
    const { badRanges } = opened
    const options = { directory: opened.directory, logs: () => opened.logs, badRanges, logger: silentLogger }
    const scrubber = new Scrubber(runtime, { ...options, bytesPerSecond: 0 })
    scrubber.start()
    await scrubber.close()
    expect(scrubber.bytesRead).toBe(0)
    const waiting = new Scrubber(runtime, { ...options, bytesPerSecond: 1 })
    waiting.start()
    await waiting.close()
    expect(existsSync(`${opened.directory}/.scrub`)).toBe(false)
    await opened.close()
  })

  test.each(['', 'nonsense', '{"version":2}', '{"version":1}', '{"version":1,"logs":{"a":5},"bad":[]}'])(
    'begins anew with a state file that is none: %j',
    async (text) => {
      const directory = await filled()
      writeFileSync(`${directory}/.scrub`, text)
      const opened = await openDirectory(directory)
      expect((await scrub(opened)).scrubber.bytesRead).toBeGreaterThan(0)
      await opened.close()
    },
  )

  test('begins anew where the state file cannot be read', async () => {
    const directory = await filled()
    mkdirSync(`${directory}/.scrub`)
    const opened = await openDirectory(directory)
    expect((await scrub(opened)).scrubber.bytesRead).toBeGreaterThan(0)
    await opened.close()
  })

  test('keeps its state as it is in a file', () => {
    const range = { file: 'f', position: 1, end: 2, baseOffset: 3, nextOffset: 4, expected: 'a', found: 'b' }
    const state = { verified: new Map([['a-0', new Map([[5, [6, 7] as const]])]]), bad: [range] }
    expect(decodeScrubState(encodeScrubState(state))).toEqual(state)
  })
})

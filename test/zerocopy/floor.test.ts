import { mkdirSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { measureFloor } from '../../src/zerocopy/floor.ts'
import { implementations } from '../contract/implementations.ts'
import { temporaryDirectory } from '../support/temporaryDirectory.ts'

const small = { partitions: 3, appendsPerGroup: 2, bytes: 100, journalMib: 1 }

describe.each(implementations.filter(({ name }) => name === 'native'))('the floor', () => {
  test.each(['journal', 'eachFile', 'none'] as const)('counts groups in mode %s', async (mode) => {
    const directory = temporaryDirectory()
    const found = await measureFloor({ ...small, directory, seconds: 0.05, mode })
    expect(found.groups).toBeGreaterThan(0)
    expect(found.megabytesPerSecond).toBeCloseTo((found.groupsPerSecond * 200) / 1e6)
    expect(found.p50Us).toBeGreaterThan(0)
    expect(found.p99Us).toBeGreaterThanOrEqual(found.p50Us)
    expect(found.maxUs).toBeGreaterThanOrEqual(found.p99Us)
    expect(readdirSync(directory)).toEqual([])
  })

  test('ends when it is cancelled and leaves nothing behind', async () => {
    const directory = temporaryDirectory()
    const controller = new AbortController()
    const running = measureFloor({ ...small, directory, seconds: 3600, signal: controller.signal })
    controller.abort()
    expect((await running).seconds).toBeLessThan(3600)
    expect(readdirSync(directory)).toEqual([])
  })

  test('keeps to a pace that is asked for', async () => {
    const directory = temporaryDirectory()
    const found = await measureFloor({ ...small, directory, seconds: 0.2, mode: 'none', groupsPerSecond: 50 })
    // One group at the start, then one for each fiftieth of a second.
    expect(found.groups).toBeLessThanOrEqual(11)
  })

  test('a directory where nothing can be made is refused', async () => {
    const file = join(temporaryDirectory(), 'none')
    mkdirSync(file)
    const found = measureFloor({ ...small, directory: '/proc/nowhere', seconds: 1 })
    await expect(found).rejects.toMatchObject({ code: 'notFound' })
  })
})

import { describe, expect, test } from 'vitest'
import type { LogDirectory } from '../../src/segment/logDirectory.ts'
import { filesBelow } from '../../src/testing/crash/damage.ts'
import type { DiskFaults } from '../../src/testing/systemCalls.ts'
import {
  append,
  configOf,
  create,
  found,
  openDirectory,
  powerCut,
  valuesIn,
  type World,
  worldOf,
} from './promisesSupport.ts'

const segment = '/data/orders-0/00000000000000000000.log'
const values = [...'abcdef']

function flipAt(world: World, path: string, at: number): void {
  world.fs.damage(path, (bytes) => bytes.with(at, bytes[at]! ^ 1))
}

/** Time goes on until `work` has ended: what waits for room waits for timers. */
async function inTime<T>(world: World, work: Promise<T>): Promise<T> {
  let isOver = false
  const over = (): void => {
    isOver = true
  }
  work.then(over, over)
  for (let turn = 0; !isOver; turn++) {
    await new Promise((resolve) => setImmediate(resolve))
    if (turn % 20 === 19) world.runtime.clock.advance(500)
  }
  return work
}

describe('what the journal does not have', () => {
  test('counts only once the directory has its name for good: a batch too large for the journal', async () => {
    const world = worldOf()
    const directory = await openDirectory(world)
    const log = await create(directory, world)
    await append(log, world, 'a')
    const large = 'b'.repeat(40 << 10)
    await append(log, world, large)
    expect(await found(powerCut(world))).toEqual(['a', large])
  })

  test('is proven to it also when it has the length of what was cut', async () => {
    const world = worldOf()
    const log = await create(await openDirectory(world), world)
    for (const value of 'abcde') await append(log, world, value)
    await log.truncate(3)
    log.updateConfig(configOf('batch'))
    for (const value of 'xy') await append(log, world, value)
    log.updateConfig(configOf('journal'))
    for (const value of 'zz') await append(log, world, value)
    const next = powerCut(world)
    // In the record of the fifth batch, which the journal does not have.
    flipAt(next, segment, 4 * 69 + 65)
    expect(await found(next)).toBe('corruptLog')
  })
})

describe('a log that the journal does not know', () => {
  test('stays what it is when there is no room for its creation', async () => {
    const config = configOf('batch', { segmentBytes: 200 })
    const before = worldOf()
    const directory = await openDirectory(before, config)
    const log = await create(directory, before, config)
    for (const value of values) await append(log, before, value)
    await directory.close()
    // As Kafka leaves a directory.
    const ours = filesBelow(before.fs, '/data').filter((path) => /\/data\/\.(journal|cordwood)/.test(path))
    for (const path of ours) before.fs.unlink(path)
    const faults: DiskFaults = ({ kind, path }) =>
      kind === 'write' && /journal-\d+\.tmp/.test(path) ? { code: 'ENOSPC' } : null
    const full = worldOf({ fs: before.fs, faults })
    const refused: LogDirectory = await inTime(full, openDirectory(full, config))
    expect([...refused.logs.keys()]).toEqual([])
    await inTime(full, refused.close())
    expect(await found(worldOf({ fs: before.fs }), config)).toEqual(values)
  })

  test('because what made it has rotted away stays offline until it has all that was acknowledged', async () => {
    const world = worldOf()
    const log = await create(await openDirectory(world), world)
    const { disk } = world.runtime
    for (const value of values.slice(0, 4)) await append(log, world, value)
    for (const path of [segment, '/data/orders-0/partition.metadata']) await disk.file(path).sync()
    for (const path of ['/data/orders-0', '/data']) await disk.syncDirectory(path)
    // Of these only the journal has anything that lasts.
    for (const value of values.slice(4)) await append(log, world, value)
    let next = powerCut(world)
    const journal = '/data/.journal/journal-00000001'
    flipAt(next, journal, Buffer.from(next.fs.contentOf(journal)).indexOf('orders-0'))
    for (let start = 0; start < 3; start++) {
      const directory = await openDirectory(next)
      expect(directory.logs.get('orders-0')?.offline).toMatchObject({
        code: 'corruptLog',
        corruption: { expected: 'records up to offset 6', found: 'none from offset 4 on' },
      })
      await directory.close()
      next = worldOf({ fs: next.fs })
    }
  })

  test('for that reason and has everything is served', async () => {
    const world = worldOf()
    const directory = await openDirectory(world)
    const log = await create(directory, world)
    for (const value of values) await append(log, world, value)
    world.runtime.disk.kill()
    const next = worldOf({ fs: world.fs })
    const journal = '/data/.journal/journal-00000001'
    flipAt(next, journal, Buffer.from(next.fs.contentOf(journal)).indexOf('orders-0'))
    const again = (await openDirectory(next)).logs.get('orders-0')!
    expect(await valuesIn(again, next)).toEqual(values)
  })
})

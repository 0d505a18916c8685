import { describe, expect, test } from 'vitest'
import { randomUuid } from '../../src/model/uuid.ts'
import { SimFileSystem } from '../../src/testing/simFileSystem.ts'
import type { DiskFaults } from '../../src/testing/systemCalls.ts'
import {
  append,
  configOf,
  create,
  found,
  openDirectory,
  powerCut,
  smallSegments,
  valuesIn,
  worldOf,
} from './promisesSupport.ts'

/** Once armed, no sync of the log's files succeeds after the first cut of one. */
function failingCuts(): { isArmed: boolean; fails: boolean; readonly faults: DiskFaults } {
  const cuts = { isArmed: false, fails: false }
  const faults: DiskFaults = ({ kind, path }) => {
    cuts.fails ||= cuts.isArmed && kind === 'truncate' && path.endsWith('.log')
    return cuts.fails && kind === 'sync' && /orders-0.*log/.test(path) ? { code: 'EIO' } : null
  }
  return Object.assign(cuts, { faults })
}

describe('a cut whose log went offline on the way', () => {
  test.each(['batch', 'journal'] as const)('is finished by the next start, durably (%s)', async (flush) => {
    const config = configOf(flush, smallSegments)
    const cuts = failingCuts()
    const world = worldOf({ faults: cuts.faults })
    const directory = await openDirectory(world, config)
    const log = await create(directory, world, config)
    for (const value of ['a', 'b', 'c', 'd', 'e']) await append(log, world, value)
    await directory.checkpoint()
    cuts.isArmed = true
    await expect(log.truncate(2)).rejects.toMatchObject({ code: 'diskFailed' })
    expect(log.offline?.code).toBe('diskFailed')
    cuts.isArmed = cuts.fails = false
    // The journal lets go of what it has of the cut.
    await directory.checkpoint()
    world.runtime.disk.kill()
    const next = worldOf({ fs: world.fs })
    const again = (await openDirectory(next, config)).logs.get('orders-0')!
    expect(await valuesIn(again, next)).toEqual(['a', 'b'])
    await append(again, next, 'x')
    expect(await found(powerCut(next), config)).toEqual(['a', 'b', 'x'])
  })

  test('is finished once, also when the log is opened later than the others', async () => {
    const config = configOf('batch', smallSegments)
    const cuts = failingCuts()
    const world = worldOf({ faults: cuts.faults })
    const directory = await openDirectory(world, config)
    const log = await create(directory, world, config)
    for (const value of ['a', 'b', 'c', 'd']) await append(log, world, value)
    cuts.isArmed = true
    await expect(log.truncate(2)).rejects.toMatchObject({ code: 'diskFailed' })
    world.runtime.disk.kill()
    let lists = 0
    const next = worldOf({
      fs: world.fs,
      // Once for replay, once to be opened.
      faults: ({ kind, path }) =>
        kind === 'list' && path === '/data/orders-0' && ++lists === 2 ? { code: 'EMFILE' } : null,
    })
    const again = await openDirectory(next, config)
    expect(again.logs.size).toBe(0)
    await append(await again.createLog('others', 0, randomUuid(next.runtime.random), config), next, 'z')
    await again.checkpoint()
    const later = (await again.openAgain('orders', 0))!
    for (const value of ['x', 'y']) await append(later, next, value)
    expect(await found(powerCut(next), config)).toEqual(['a', 'b', 'x', 'y'])
  })

  test('goes on when only one sync fails: the segment is written into a new file', async () => {
    let isArmed = false
    const world = worldOf({
      faults: ({ kind, path }) => {
        if (kind === 'truncate' && path.endsWith('.log')) isArmed = true
        if (!isArmed || kind !== 'sync' || !path.endsWith('.log')) return null
        isArmed = false
        return { code: 'EIO' }
      },
    })
    const directory = await openDirectory(world)
    const log = await create(directory, world)
    await append(log, world, 'a', 'b', 'c')
    await append(log, world, 'd')
    await log.truncate(3)
    await append(log, world, 'x')
    expect(log.offline).toBe(null)
    expect(await found(powerCut(world))).toEqual(['a', 'b', 'c', 'x'])
  })
})

test('a start goes on without the log that cannot be written, and keeps what the journal has of it', async () => {
  const fs = new SimFileSystem()
  const config = configOf('journal')
  const first = worldOf({ fs })
  const directory = await openDirectory(first, config)
  const log = await create(directory, first, config)
  const other = await directory.createLog('others', 0, randomUuid(first.runtime.random), config)
  await append(log, first, 'a', 'b')
  await append(other, first, 'x')
  const cut = powerCut(first)
  let isBroken = true
  const second = worldOf({
    fs: cut.fs,
    faults: ({ kind, path }) =>
      isBroken && kind === 'write' && /orders-0.*log/.test(path) ? { code: 'EIO' } : null,
  })
  const without = await openDirectory(second, config)
  expect([...without.logs.keys()]).toEqual(['others-0'])
  expect(await valuesIn(without.logs.get('others-0')!, second)).toEqual(['x'])
  await expect(without.checkpoint()).rejects.toMatchObject({ code: 'diskFailed' })
  isBroken = false
  await without.checkpoint()
  await without.close()
  expect(await found(powerCut(second), config)).toEqual(['a', 'b'])
})

/** The next process on the disk of `world`, which cannot open the log `orders-0` until `heal`. */
function withoutOrders(world: ReturnType<typeof worldOf>) {
  let isOut = true
  const next = worldOf({
    fs: world.fs,
    faults: ({ kind, path }) =>
      isOut && kind === 'list' && path === '/data/orders-0' ? { code: 'EMFILE' } : null,
  })
  const heal = (): void => {
    isOut = false
  }
  return { next, heal }
}

test('a log that the start could not open keeps what is known of it, and is opened once that can be', async () => {
  const config = configOf('journal')
  const world = worldOf()
  const directory = await openDirectory(world, config)
  const log = await create(directory, world, config)
  await append(log, world, 'a', 'b')
  await directory.putState(log, 20, Buffer.from('vote'))
  world.runtime.disk.kill()
  const { next, heal } = withoutOrders(world)
  const again = await openDirectory(next, config)
  expect(again.logs.size).toBe(0)
  expect(await again.openAgain('others', 0)).toBe(null)
  await expect(again.openAgain('orders', 0)).rejects.toMatchObject({ code: 'diskFull' })
  await expect(create(again, next, config)).rejects.toMatchObject({ code: 'kafkaStorageError' })
  heal()
  const [found, same] = await Promise.all([again.openAgain('orders', 0), again.openAgain('orders', 0)])
  expect(found).toBe(same)
  expect(again.logs.get('orders-0')).toBe(found)
  expect(await valuesIn(found!, next)).toEqual(['a', 'b'])
  expect(Buffer.from(again.stateOf(found!, 20)!).toString()).toBe('vote')
  await append(found!, next, 'c')
  await again.close()
  expect(world.fs.stat('/data/.kafka_cleanshutdown')).not.toBe(null)
  const last = await openDirectory(worldOf({ fs: world.fs }), config)
  expect(last.wasClosedCleanly).toBe(true)
  expect(last.logs.get('orders-0')!.logEndOffset).toBe(3)
})

test('a log that the start could not open is deleted like any other, and comes back neither as itself nor as a stray', async () => {
  const config = configOf('journal')
  const world = worldOf()
  const directory = await openDirectory(world, config)
  await append(await create(directory, world, config), world, 'a', 'b')
  world.runtime.disk.kill()
  const { next, heal } = withoutOrders(world)
  const again = await openDirectory(next, config)
  expect(again.logs.size).toBe(0)
  const [, opening] = await Promise.allSettled([again.deleteLog('orders', 0), again.openAgain('orders', 0)])
  expect(opening).toMatchObject({ status: 'fulfilled', value: null })
  heal()
  expect(await again.openAgain('orders', 0)).toBe(null)
  expect(world.fs.list('/data').filter(({ name }) => name === 'orders-0')).toEqual([])
  const log = await create(again, next, config)
  await append(log, next, 'c')
  expect(await found(powerCut(next), config)).toEqual(['c'])
})

test.each(['.snapshot', '.index', '.timeindex'])(
  'a segment whose %s could not be synced once is finished with another one',
  async (suffix) => {
    const config = configOf('batch', smallSegments)
    let count = 0
    const world = worldOf({
      faults: ({ kind, path }) =>
        kind === 'sync' && path.endsWith(suffix) && count++ === 0 ? { code: 'EIO' } : null,
    })
    const directory = await openDirectory(world, config)
    const log = await create(directory, world, config)
    for (const value of ['a', 'b', 'c']) await append(log, world, value)
    await directory.close()
    expect(count).toBeGreaterThan(1)
    expect(log.offline).toBe(null)
    expect(log.closedState).not.toBe(null)
    expect(await found(worldOf({ fs: world.fs }), config)).toEqual(['a', 'b', 'c'])
  },
)

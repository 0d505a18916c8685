import { describe, expect, test } from 'vitest'
import { EngineError } from '../../src/model/errors.ts'
import type { FlushPolicy } from '../../src/model/flushPolicy.ts'
import { silentLogger } from '../../src/model/logger.ts'
import { randomUuid, uuidToBytes } from '../../src/model/uuid.ts'
import type { Disk } from '../../src/runtime/disk.ts'
import type { Runtime } from '../../src/runtime/runtime.ts'
import { Journal } from '../../src/segment/journal/journal.ts'
import type { Log, LogConfig } from '../../src/segment/log.ts'
import { LogDirectory } from '../../src/segment/logDirectory.ts'
import { checkBatch } from '../../src/segment/recordBatch.ts'
import { readRecords } from '../../src/segment/records.ts'
import { WriteGroup } from '../../src/segment/writeGroup.ts'
import { settle } from '../../src/testing/crash/world.ts'
import { instantPace, turnPace } from '../../src/testing/diskPace.ts'
import { Medium } from '../../src/testing/medium.ts'
import { SimFileSystem } from '../../src/testing/simFileSystem.ts'
import { SimRandom } from '../../src/testing/simRandom.ts'
import { createSimRuntime, type SimRuntime } from '../../src/testing/simRuntime.ts'
import type { DiskFaults } from '../../src/testing/systemCalls.ts'
import { batchOf, openLog, testConfig, valuesOf } from './support.ts'

/** One batch of these tests fills a segment. */
const smallSegments: Partial<LogConfig> = { segmentBytes: 100 }

interface World {
  readonly fs: SimFileSystem
  readonly runtime: SimRuntime
  /** The runtime as the data directory sees it. */
  readonly seen: Runtime
}

function worldOf(
  options: {
    fs?: SimFileSystem
    faults?: DiskFaults
    seed?: number
    calls?: (disk: Disk) => Partial<Disk>
  } = {},
): World {
  const fs = options.fs ?? new SimFileSystem()
  const pace = options.seed === undefined ? instantPace : turnPace(new SimRandom(options.seed))
  const faults = options.faults === undefined ? {} : { faults: options.faults }
  const runtime = createSimRuntime(fs, { seed: options.seed ?? 0, pace, ...faults })
  const calls = options.calls?.(runtime.disk) ?? {}
  const disk = new Proxy<Disk>(runtime.disk, {
    get: (target, name) => {
      const value: unknown = Reflect.get(calls, name) ?? Reflect.get(target, name, target)
      return typeof value === 'function' ? value.bind(target) : value
    },
  })
  return { fs, runtime, seen: { ...runtime, disk } }
}

const configOf = (flush: FlushPolicy, more: Partial<LogConfig> = {}): LogConfig => ({
  ...testConfig,
  ...more,
  flush,
})

function openDirectory({ seen }: World, config = configOf('journal')): Promise<LogDirectory> {
  return LogDirectory.open(seen, {
    directory: '/data',
    logger: silentLogger,
    nodeId: 1,
    journalBytes: 1 << 20,
    journalFileBytes: 64 << 10,
    configFor: () => config,
  })
}

const create = (directory: LogDirectory, world: World, config = configOf('journal')): Promise<Log> =>
  directory.createLog('orders', 0, randomUuid(world.runtime.random), config)

function groupOf(log: Log, { seen }: World, ...values: string[]): WriteGroup {
  const group = new WriteGroup(seen.disk)
  for (const value of values) {
    const bytes = batchOf([value])
    log.append(checkBatch(bytes, seen.checksum), bytes, 0, group)
  }
  return group
}

async function append(log: Log, world: World, ...values: string[]): Promise<void> {
  await groupOf(log, world, ...values).submit()
  await log.whenFlushed(log.logEndOffset)
}

/** The power goes: nothing is left that was not synced. */
function powerCut({ fs, runtime }: World): World {
  runtime.disk.kill()
  runtime.clock.forgetTimers()
  return worldOf({ fs: new SimFileSystem({ medium: new Medium(fs.medium.crashed(() => false)) }) })
}

async function valuesIn(log: Log, world: World): Promise<string[]> {
  const values: string[] = []
  for (let next = log.logStartOffset; ; ) {
    const found = await log.read(next, 1 << 20, log.flushedOffset, true)
    if (found === null) return values
    const { file, position, lengthBytes } = found.ranges[0]!
    const bytes = new Uint8Array(lengthBytes)
    await world.runtime.disk.file(file.path).read(bytes, position)
    for (let at = 0; at < lengthBytes; ) {
      const batch = Buffer.from(bytes.subarray(at))
      const header = checkBatch(batch.subarray(0, 12 + batch.readInt32BE(8)), world.seen.checksum)
      values.push(...valuesOf([...readRecords(batch.subarray(0, header.sizeBytes))]))
      at += header.sizeBytes
      next = header.lastOffset + 1
    }
  }
}

/** The values of the log as the next process finds them; the code of its error when it is offline. */
async function found(world: World, config = configOf('journal')): Promise<string[] | string> {
  const directory = await openDirectory(world, config)
  const log = directory.logs.get('orders-0')!
  return log.offline?.code ?? (await valuesIn(log, world))
}

describe('the journal keeps what it holds', () => {
  test('of logs whose files were not synced because names could not be', async () => {
    let fails = false
    const world = worldOf({
      calls: (disk) => ({
        syncDirectory: (path) =>
          fails && path === '/data'
            ? Promise.reject(new EngineError('diskFull', 'no'))
            : disk.syncDirectory(path),
      }),
    })
    const directory = await openDirectory(world)
    const log = await create(directory, world)
    await append(log, world, 'a')
    fails = true
    await expect(directory.checkpoint()).rejects.toMatchObject({ code: 'diskFull' })
    fails = false
    await directory.createLog('others', 0, randomUuid(world.runtime.random), configOf('journal'))
    await append(directory.logs.get('others-0')!, world, 'x')
    await directory.checkpoint()
    expect(await found(powerCut(world))).toEqual(['a'])
  })

  test.each([1, 2, 3, 4, 5])('of a log that could not be closed cleanly (seed %i)', async (seed) => {
    let fails = false
    const world = worldOf({
      seed,
      faults: ({ kind, path }) =>
        fails && kind === 'sync' && path.endsWith('.log') ? { code: 'EIO' } : null,
    })
    const closed = async (): Promise<void> => {
      const directory = await openDirectory(world)
      const log = await create(directory, world)
      const close = log.close.bind(log)
      // Between the last checkpoint and the end of the log.
      log.close = async (options) => {
        await append(log, world, 'late')
        fails = true
        await close(options)
      }
      await append(log, world, 'a')
      await directory.close()
    }
    await settle(world.runtime, closed())
    const after = powerCut(world)
    expect(await found(after)).toEqual(['a', 'late'])
  })

  test('and a relaxed policy promises no more than syncs that have ended', async () => {
    let release = (): void => {}
    const held = new Promise<void>((resolve) => {
      release = resolve
    })
    let holds = false
    const world = worldOf({
      calls: (disk) => ({
        file: (path) => {
          const file = disk.file(path)
          const sync = file.sync.bind(file)
          if (path.endsWith('0.log')) file.sync = () => (holds ? held.then(sync) : sync())
          return file
        },
      }),
    })
    const config = configOf({ records: 4, intervalMs: 10 }, smallSegments)
    const directory = await openDirectory(world, config)
    const log = await create(directory, world, config)
    holds = true
    await append(log, world, 'a')
    await append(log, world, 'b')
    world.runtime.clock.advance(10)
    await new Promise(setImmediate)
    for (const value of ['c', 'd', 'e', 'f']) await append(log, world, value)
    expect(log.durableOffset).toBe(6)
    const after = powerCut(world)
    release()
    expect(await found(after, config)).toEqual(['a', 'b', 'c', 'd', 'e', 'f'])
  })
})

test('a start offset that was moved over segments is no damage when the journal is replayed', async () => {
  const world = worldOf()
  const config = configOf('journal', smallSegments)
  const directory = await openDirectory(world, config)
  const log = await create(directory, world, configOf('journal'))
  await append(log, world, 'a')
  await directory.checkpoint()
  await append(log, world, 'b')
  log.updateConfig(config)
  await append(log, world, 'c', 'd')
  await log.deleteRecordsBefore(3)
  world.runtime.clock.advance(1000)
  await settle(world.runtime, new Promise<void>((resolve) => world.runtime.clock.setTimer(10, resolve)))
  expect(
    world.fs.list('/data/orders-0').filter(({ name }) => name.startsWith('00000000000000000000.')),
  ).toEqual([])
  expect(await found(powerCut(world), config)).toEqual(['d'])
})

test('a durable policy covers what was appended in the same turn and is not handed over yet', async () => {
  const world = worldOf()
  const directory = await openDirectory(world)
  const log = await create(directory, world, configOf('none'))
  const first: WriteGroup = new WriteGroup(world.seen.disk, () => void first.submit())
  const bytes = batchOf(['a'])
  log.append(checkBatch(bytes, world.seen.checksum), bytes, 0, first)
  log.updateConfig(configOf('journal'))
  const second = groupOf(log, world, 'b')
  // The engine hands over what waits for a sync first.
  const written = second.submit()
  if (!first.isSubmitted) await first.submit()
  await written
  await log.whenFlushed(2)
  expect(await found(powerCut(world))).toEqual(['a', 'b'])
})

test('a log goes on after the journal had no room for its appends', async () => {
  const world = worldOf()
  const { journal } = await Journal.open(world.seen, {
    directory: '/journal',
    directoryId: new Uint8Array(16),
    logger: silentLogger,
    fileBytes: 64 << 10,
    maxQueuedBytes: 1000,
  })
  await world.runtime.disk.makeDirectory('/log')
  const logId = randomUuid(world.runtime.random)
  const log = await openLog(
    '/log',
    {
      config: configOf('journal'),
      journal: { logId, logIdBytes: uuidToBytes(logId), writer: journal, lags() {} },
    },
    world.seen,
  )
  // Another log has filled it.
  const others = journal.commit([
    {
      type: 'append',
      logId: randomUuid(world.runtime.random),
      segmentBaseOffset: 0,
      position: 0,
      baseOffset: 0,
      lastOffset: 0,
      bytes: new Uint8Array(950),
    },
  ])
  const group = groupOf(log, world, 'a')
  await expect(group.submit()).rejects.toMatchObject({ code: 'queueFull' })
  await settle(world.runtime, others)
  await settle(world.runtime, log.truncate(0))
  expect(log.offline).toBe(null)
  await append(log, world, 'b')
  expect(await valuesIn(log, world)).toEqual(['b'])
})

test('a start offset that could not be stored is stored the next time, before anything is removed', async () => {
  const world = worldOf()
  await world.runtime.disk.makeDirectory('/log')
  const stored: number[] = []
  let fails = true
  const log = await openLog(
    '/log',
    {
      config: configOf('none'),
      persistStartOffset: async (offset) => {
        if (fails) throw new EngineError('diskFull', 'no')
        stored.push(offset)
      },
    },
    world.seen,
  )
  await append(log, world, 'a', 'b')
  await expect(log.deleteRecordsBefore(1)).rejects.toMatchObject({ code: 'diskFull' })
  fails = false
  await log.deleteRecordsBefore(1)
  expect(stored).toEqual([1])
})

test('what a truncation has cut stays cut, and what follows it stays, while a segment is written anew', async () => {
  const wrong: string[] = []
  const outcomes = new Set<string>()
  for (let seed = 0; seed < 150; seed++) {
    let failures = 0
    let outcome = 'done'
    const world = worldOf({
      seed,
      faults: ({ kind, path }) =>
        kind === 'sync' && path.endsWith('.log') && failures++ === 0 ? { code: 'EIO' } : null,
    })
    await settle(
      world.runtime,
      (async () => {
        const directory = await openDirectory(world)
        const log = await create(directory, world)
        await append(log, world, 'a', 'b', 'c', 'd')
        const stored = directory.checkpoint()
        for (let turn = 0; turn < (seed % 50) * 6; turn++) await null
        await log.truncate(1).catch(() => {
          outcome = 'offline'
        })
        await stored.catch(() => {})
        if (outcome === 'done' && log.offline === null) await append(log, world, 'B')
        else outcome = 'offline'
      })(),
    )
    const cut = powerCut(world)
    const values = await settle(cut.runtime, found(cut))
    const isRight = outcome === 'done' ? ['a,B'] : ['corruptLog', 'a', 'a,b,c,d']
    outcomes.add(outcome)
    if (!isRight.includes(String(values))) wrong.push(`${seed}: ${String(values)} (${outcome})`)
  }
  expect(wrong).toEqual([])
  expect([...outcomes].sort()).toEqual(['done', 'offline'])
})

describe('a cut whose log went offline on the way', () => {
  test.each(['batch', 'journal'] as const)('is finished by the next start, durably (%s)', async (flush) => {
    let isArmed = false
    let fails = false
    const config = configOf(flush, smallSegments)
    const world = worldOf({
      faults: ({ kind, path }) => {
        fails ||= isArmed && kind === 'truncate' && path.endsWith('.log')
        return fails && kind === 'sync' && /orders-0.*log/.test(path) ? { code: 'EIO' } : null
      },
    })
    const directory = await openDirectory(world, config)
    const log = await create(directory, world, config)
    for (const value of ['a', 'b', 'c', 'd', 'e']) await append(log, world, value)
    await directory.checkpoint()
    isArmed = true
    await expect(log.truncate(2)).rejects.toMatchObject({ code: 'diskFailed' })
    expect(log.offline?.code).toBe('diskFailed')
    fails = isArmed = false
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
    let isOut = false
    let fails = false
    const world = worldOf({
      faults: ({ kind, path }) => {
        fails ||= isOut && kind === 'truncate' && path.endsWith('.log')
        return fails && kind === 'sync' && /orders-0.*log/.test(path) ? { code: 'EIO' } : null
      },
    })
    const directory = await openDirectory(world, config)
    const log = await create(directory, world, config)
    for (const value of ['a', 'b', 'c', 'd']) await append(log, world, value)
    isOut = true
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

import { describe, expect, test } from 'vitest'
import { EngineError } from '../../src/model/errors.ts'
import { silentLogger } from '../../src/model/logger.ts'
import { randomUuid, uuidToBytes } from '../../src/model/uuid.ts'
import { Journal } from '../../src/segment/journal/journal.ts'
import { checkBatch } from '../../src/segment/recordBatch.ts'
import { WriteGroup } from '../../src/segment/writeGroup.ts'
import { settle } from '../../src/testing/crash/world.ts'
import {
  append,
  configOf,
  create,
  found,
  groupOf,
  openDirectory,
  powerCut,
  smallSegments,
  valuesIn,
  worldOf,
} from './promisesSupport.ts'
import { batchOf, openLog } from './support.ts'

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

import { describe, expect, test } from 'vitest'
import { EngineError } from '../../src/model/errors.ts'
import type { FlushPolicy } from '../../src/model/flushPolicy.ts'
import { silentLogger } from '../../src/model/logger.ts'
import { randomUuid } from '../../src/model/uuid.ts'
import { LogDirectory } from '../../src/segment/logDirectory.ts'
import { checkBatch } from '../../src/segment/recordBatch.ts'
import { WriteGroup } from '../../src/segment/writeGroup.ts'
import { settle } from '../../src/testing/crash/world.ts'
import { SimFileSystem } from '../../src/testing/simFileSystem.ts'
import { createSimRuntime } from '../../src/testing/simRuntime.ts'
import type { DiskFaults } from '../../src/testing/systemCalls.ts'
import { temporaryDirectory } from '../support/temporaryDirectory.ts'
import { HoldingDisk } from './faultyDisk.ts'
import { batchOf, ManualClock, openLog, runtime, testConfig } from './support.ts'

const interval = { intervalMs: 500 }

async function world(flush: FlushPolicy, segmentBytes = 1 << 20) {
  const disk = new HoldingDisk()
  const clock = new ManualClock()
  const config = { ...testConfig, flush, segmentBytes }
  const log = await openLog(temporaryDirectory(), { config }, { ...disk.runtime, clock })
  /** The code of the error, or null. */
  const append = (): Promise<string | null> => {
    const group = new WriteGroup(disk.disk)
    const bytes = batchOf(['a'.repeat(100)])
    log.append(checkBatch(bytes, runtime.checksum), bytes, 0, group)
    return group.submit().then(
      () => null,
      (error) => error.code,
    )
  }
  const appended = async (): Promise<void> => {
    const answered = append()
    await disk.held.shift()!.release()
    expect(await answered).toBe(null)
  }
  /** What waits to be tried again is. */
  const tryAgain = async (): Promise<void> => {
    await expect.poll(() => clock.pending).toBe(1)
    disk.syncGate = null
    clock.advance(100)
  }
  return { disk, clock, log, append, appended, tryAgain }
}

/** A sync that fails so: it was queued behind a write without room, or there was no descriptor. */
function refused(code: 'diskFull' | 'diskFailed'): Promise<never> {
  const gate = Promise.reject(new EngineError(code, 'injected'))
  gate.catch(() => {})
  return gate
}

// Fuzz seed 354574.
describe('a sync that the disk has not even begun', () => {
  test('is asked for again when it is one behind the acknowledgement', async () => {
    const { disk, clock, log, appended, tryAgain } = await world(interval)
    await appended()
    disk.syncGate = refused('diskFull')
    clock.advance(500)
    await tryAgain()
    await expect.poll(() => [log.offline, log.recoveryPoint]).toEqual([null, 1])
    await appended()
    expect(log.flushedOffset).toBe(2)
    await log.close({ clean: true })
    expect(clock.timerCount).toBe(0)
  })

  test('is not asked for again when it was one of a file that went with appends that were undone', async () => {
    const { disk, clock, log, append, appended, tryAgain } = await world(interval, 200)
    await appended()
    // It rolls the log.
    const lost = append()
    let open = (): void => {}
    disk.syncGate = new Promise((resolve) => (open = resolve))
    clock.advance(500)
    await disk.held.shift()!.fail('diskFull')
    expect(await lost).toBe('diskFull')
    await log.whenWritable()
    open()
    await tryAgain()
    await expect.poll(() => [log.offline, log.recoveryPoint]).toEqual([null, 1])
    await log.close({ clean: true })
  })

  test('is asked for again when somebody waits for it', async () => {
    const { disk, log, appended, tryAgain } = await world('none')
    await appended()
    disk.syncGate = refused('diskFull')
    const flushed = log.flush()
    await tryAgain()
    await flushed
    expect([log.offline, log.recoveryPoint]).toEqual([null, 1])
    await log.close({ clean: true })
  })

  test('is asked for again when a policy waits for it', async () => {
    const { disk, log, appended, append, tryAgain } = await world('none')
    await appended()
    disk.syncGate = refused('diskFull')
    log.updateConfig({ ...log.config, flush: 'batch' })
    const answered = append()
    await disk.held.shift()!.release()
    expect(log.flushedOffset).toBe(1)
    await tryAgain()
    await answered
    await expect.poll(() => [log.offline, log.flushedOffset, log.recoveryPoint]).toEqual([null, 2, 2])
    await log.close({ clean: true })
  })
})

test('a sync that the disk has tried is not asked for again', async () => {
  const { disk, clock, log, appended } = await world(interval)
  await appended()
  disk.syncGate = refused('diskFailed')
  clock.advance(500)
  await expect.poll(() => log.offline?.code).toBe('diskFailed')
  await log.close({ clean: true })
})

const segment = '/data/orders-0/00000000000000000000.log'

/** A process on a simulated disk, with one log that has a record. */
async function processOn(fs: SimFileSystem, flush: FlushPolicy, faults: DiskFaults) {
  const on = createSimRuntime(fs, { seed: 1, faults })
  const config = { ...testConfig, flush }
  const options = { directory: '/data', logger: silentLogger, nodeId: 1, configFor: () => config }
  const logs = await LogDirectory.open(on, options)
  const log = await logs.createLog('orders', 0, randomUuid(on.random), config)
  const append = async (): Promise<void> => {
    const group = new WriteGroup(on.disk)
    const bytes = batchOf(['a'])
    log.append(checkBatch(bytes, on.checksum), bytes, 0, group)
    await group.submit()
  }
  await settle(on, append())
  const passes = (ms: number): Promise<void> =>
    settle(on, new Promise<void>((resolve) => on.clock.setTimer(ms, resolve)))
  return { on, logs, log, append, passes }
}

test('a log goes on whose sync came behind a write that found no room', async () => {
  let isFull = false
  let syncs = 0
  const { on, logs, log, append, passes } = await processOn(new SimFileSystem(), 'none', (call) => {
    if (call.path === segment && call.kind === 'sync') syncs++
    return isFull && call.path === segment && call.kind === 'write' ? { code: 'ENOSPC' } : null
  })
  isFull = true
  const lost = append().catch((error) => error.code)
  log.updateConfig({ ...log.config, flush: 'batch' })
  await settle(on, lost)
  expect(await lost).toBe('diskFull')
  expect([syncs, log.offline, log.recoveryPoint]).toEqual([0, null, 0])
  await passes(1000)
  expect([syncs > 0, log.offline, log.recoveryPoint]).toEqual([true, null, 1])
  isFull = false
  await settle(on, append())
  expect([log.offline, log.flushedOffset]).toEqual([null, 2])
  await settle(on, logs.close())
})

test('a checkpoint of the journal waits for a sync that got no descriptor, and writes no new file', async () => {
  let isOut = false
  let copies = 0
  const { on, logs, log, append, passes } = await processOn(new SimFileSystem(), 'journal', (call) => {
    if (call.path.endsWith('.cleaned')) copies++
    return isOut && call.path === segment && call.kind === 'open' ? { code: 'EMFILE' } : null
  })
  await settle(on, append())
  await on.disk.closeFile(segment)
  isOut = true
  let isStored = false
  const stored = logs.checkpoint().then(() => {
    isStored = true
  })
  await passes(1000)
  expect([isStored, log.offline, log.recoveryPoint]).toEqual([false, null, 0])
  isOut = false
  await settle(on, stored)
  expect([copies, log.offline, log.recoveryPoint]).toEqual([0, null, 2])
  await settle(on, logs.close())
})

test.each([
  ['ENOSPC', 'diskFailed'],
  ['EMFILE', 'diskFull'],
] as const)('a sync of a directory that ends with %s is %s', async (code, expected) => {
  const fs = new SimFileSystem()
  const { disk } = createSimRuntime(fs, {
    seed: 1,
    faults: ({ kind }) => (kind === 'syncDirectory' ? { code } : null),
  })
  await expect(disk.syncDirectory('/')).rejects.toMatchObject({ code: expected })
})

import { expect, test } from 'vitest'
import { EngineError } from '../../src/model/errors.ts'
import { silentLogger } from '../../src/model/logger.ts'
import { randomUuid } from '../../src/model/uuid.ts'
import type { DiskFile } from '../../src/runtime/disk.ts'
import type { Runtime } from '../../src/runtime/runtime.ts'
import type { Log, LogConfig } from '../../src/segment/log.ts'
import { LogDirectory } from '../../src/segment/logDirectory.ts'
import { checkBatch } from '../../src/segment/recordBatch.ts'
import { WriteGroup } from '../../src/segment/writeGroup.ts'
import { settle } from '../../src/testing/crash/world.ts'
import { SimFileSystem } from '../../src/testing/simFileSystem.ts'
import { createSimRuntime, type SimRuntime } from '../../src/testing/simRuntime.ts'
import type { DiskFaults } from '../../src/testing/systemCalls.ts'
import { temporaryDirectory } from '../support/temporaryDirectory.ts'
import { withCalls } from '../support/withCalls.ts'
import { append, batchOf, openLog, readAll, runtime, testConfig } from './support.ts'

/** The machine's disk, of which some calls fail as often as a test says. */
function failing(calls: Partial<Record<'read' | 'truncate', EngineError[]>>): Runtime {
  const fail = (name: 'read' | 'truncate'): void => {
    const error = calls[name]?.shift()
    if (error !== undefined) throw error
  }
  const file = (path: string): DiskFile => {
    const inner = runtime.disk.file(path)
    return {
      path,
      read: async (target, position) => {
        fail('read')
        return inner.read(target, position)
      },
      size: () => inner.size(),
      truncate: async (sizeBytes) => {
        fail('truncate')
        await inner.truncate(sizeBytes)
      },
      sync: () => inner.sync(),
      close: () => inner.close(),
    }
  }
  const disk = withCalls(runtime.disk, { file })
  return { ...runtime, disk }
}

test.each([
  ['read', 'diskFailed', 'what it cannot read now'],
  ['truncate', 'diskFull', 'a descriptor that it cannot get now'],
] as const)('a log that is cut waits for the disk: %s, %s (%s)', async (call, code, _) => {
  const errors: EngineError[] = []
  const log = await openLog(temporaryDirectory(), {}, failing({ [call]: errors }))
  for (const value of ['a', 'b', 'c']) await append(log, batchOf([value]))
  errors.push(new EngineError(code, 'not now'), new EngineError(code, 'not yet'))
  await log.truncate(1)
  expect(errors).toEqual([])
  expect(log.offline).toBe(null)
  await append(log, batchOf(['d']))
  expect((await readAll(log)).map(({ value }) => Buffer.from(value!).toString())).toEqual(['a', 'd'])
  await log.close({ clean: true })
})

test('a log whose files cannot be cut is offline', async () => {
  const errors: EngineError[] = []
  const log = await openLog(temporaryDirectory(), {}, failing({ truncate: errors }))
  for (const value of ['a', 'b', 'c']) await append(log, batchOf([value]))
  errors.push(new EngineError('diskFailed', 'broken'))
  await expect(log.truncate(1)).rejects.toMatchObject({ code: 'diskFailed' })
  expect(log.offline).toMatchObject({ code: 'diskFailed' })
  await log.close({ clean: true })
})

const segment = '/data/orders-0/00000000000000000000.log'

/** A process on a simulated disk. */
async function processOn(
  fs: SimFileSystem,
  faults: DiskFaults = () => null,
  settings: Partial<LogConfig> = {},
) {
  const on = createSimRuntime(fs, { seed: 1, faults })
  const config = { ...testConfig, flush: 'journal', ...settings } as const
  const options = { directory: '/data', logger: silentLogger, nodeId: 1, configFor: () => config }
  const logs = await LogDirectory.open(on, options)
  const log = logs.logs.get('orders-0') ?? (await logs.createLog('orders', 0, randomUuid(on.random), config))
  return { on, logs, log }
}

async function appendOn(on: SimRuntime, log: Log, value: string): Promise<void> {
  const group = new WriteGroup(on.disk)
  const bytes = batchOf([value])
  log.append(checkBatch(bytes, on.checksum), bytes, 0, group)
  await group.submit()
}

function passes(on: SimRuntime, ms: number): Promise<void> {
  return settle(on, new Promise<void>((resolve) => on.clock.setTimer(ms, resolve)))
}

// Fuzz seeds 305419, 306654, 310488: no other call of the undoing needs a descriptor.
test('an append that got no descriptor is undone once there is one for the sync, and the log goes on', async () => {
  const fs = new SimFileSystem()
  const first = await processOn(fs)
  await appendOn(first.on, first.log, 'a')
  await first.logs.close()
  let isOut = false
  const { on, logs, log } = await processOn(fs, ({ kind, path }) =>
    isOut && kind === 'open' && path === segment ? { code: 'EMFILE' } : null,
  )
  isOut = true
  await expect(appendOn(on, log, 'lost')).rejects.toMatchObject({ code: 'diskFull' })
  await passes(on, 1000)
  expect([log.offline, log.logEndOffset]).toEqual([null, 1])
  isOut = false
  await settle(on, log.whenWritable())
  await appendOn(on, log, 'b')
  expect([log.offline, log.flushedOffset]).toEqual([null, 2])
  on.disk.kill()
  const next = await processOn(fs)
  expect([next.log.offline, next.log.logEndOffset]).toEqual([null, 2])
  await next.logs.close()
  await logs.close()
})

// Fuzz seed 312821.
test.each(['a sync behind the acknowledgement', 'the sync of a cut'])(
  'a segment is written anew after %s has failed once it can be read again, and not when it never can',
  async (call) => {
    for (const isHealed of [true, false]) {
      let failures = 0
      let isArmed = call !== 'the sync of a cut'
      let isUnreadable = false
      const { on, logs, log } = await processOn(new SimFileSystem(), ({ kind, path }) => {
        isArmed ||= kind === 'truncate' && path === segment
        if (isArmed && kind === 'sync' && path === segment && failures++ === 0) {
          isUnreadable = true
          return { code: 'EIO' }
        }
        return isUnreadable && kind === 'read' && path.includes('.log') ? { code: 'EIO' } : null
      })
      for (const value of ['a', 'b']) await appendOn(on, log, value)
      const end = call === 'the sync of a cut' ? 1 : 2
      const changed = (end === 1 ? log.truncate(1) : logs.checkpoint()).catch(() => {})
      await passes(on, 1000)
      expect([failures, log.offline]).toEqual([1, null])
      if (isHealed) isUnreadable = false
      await settle(on, changed)
      if (isHealed) {
        await appendOn(on, log, 'c')
        expect([log.offline, log.flushedOffset]).toEqual([null, end + 1])
      } else {
        expect(log.offline).toMatchObject({ code: 'diskFailed' })
      }
      isUnreadable = false
      await settle(on, logs.close())
    }
  },
)

// Fuzz seed 389282.
test('a full segment whose indexes have to be read again is finished once it can be read', async () => {
  const settings = { flush: 'none', segmentBytes: 200 } as const
  const fs = new SimFileSystem()
  const first = await processOn(fs, () => null, settings)
  await appendOn(first.on, first.log, 'a')
  await first.logs.close()
  let isUnreadable = false
  let refused = 0
  const { on, logs, log } = await processOn(
    fs,
    ({ kind, path }) =>
      isUnreadable && kind === 'read' && path === segment && ++refused > 0 ? { code: 'EIO' } : null,
    settings,
  )
  isUnreadable = true
  for (const value of ['b', 'c', 'd', 'e']) await appendOn(on, log, value)
  await settle(
    on,
    log.flush().catch(() => {}),
  )
  await passes(on, 1000)
  expect(refused).toBeGreaterThan(1)
  expect(log.offline).toBe(null)
  isUnreadable = false
  await passes(on, 1000)
  await appendOn(on, log, 'f')
  await settle(on, log.flush())
  expect([log.offline, log.flushedOffset]).toEqual([null, 6])
  await settle(on, logs.close())
})

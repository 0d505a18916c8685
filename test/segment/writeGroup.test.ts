import { describe, expect, test } from 'vitest'
import { EngineError, failureIn, toEngineError, WriteError } from '../../src/model/errors.ts'
import type { FlushPolicy } from '../../src/model/flushPolicy.ts'
import { silentLogger } from '../../src/model/logger.ts'
import { randomUuid } from '../../src/model/uuid.ts'
import type { Log, LogConfig } from '../../src/segment/log.ts'
import { LogDirectory } from '../../src/segment/logDirectory.ts'
import type { JournalWriter } from '../../src/segment/logJournal.ts'
import { checkBatch } from '../../src/segment/recordBatch.ts'
import { WriteGroup } from '../../src/segment/writeGroup.ts'
import { instantPace } from '../../src/testing/diskPace.ts'
import { SimFileSystem, type SystemCode } from '../../src/testing/simFileSystem.ts'
import { createSimRuntime } from '../../src/testing/simRuntime.ts'
import type { DiskFaults } from '../../src/testing/systemCalls.ts'
import { batchOf, testConfig } from './support.ts'

/** Three logs with one record each, and a disk on which calls may begin to fail. */
async function threeLogs(flush: FlushPolicy) {
  const fs = new SimFileSystem()
  const trouble = { faults: null as DiskFaults | null }
  const faults: DiskFaults = (call) => trouble.faults?.(call) ?? null
  const on = createSimRuntime(fs, { seed: 1, pace: instantPace, faults })
  const config: LogConfig = { ...testConfig, flush }
  const options = { directory: '/data', logger: silentLogger, nodeId: 1, configFor: () => config }
  const directory = await LogDirectory.open(on, options)
  const logs: Log[] = []
  for (const topic of ['a', 'b', 'c']) {
    logs.push(await directory.createLog(topic, 0, randomUuid(on.random), config))
  }
  /** Appends one record to each log in one group; what became of each. */
  const append = async (): Promise<(string | null)[]> => {
    const group = new WriteGroup(on.disk)
    for (const log of logs) {
      const bytes = batchOf(['x'])
      if (log.offline === null) log.append(checkBatch(bytes, on.checksum), bytes, 0, group)
    }
    const error = await group.submit().then(
      () => null,
      (cause: unknown) => toEngineError(cause, 'diskFailed', ''),
    )
    return logs.map((log) => (error === null ? null : (failureIn(error, log.directory)?.code ?? null)))
  }
  expect(await append()).toEqual([null, null, null])
  const reopen = async () => {
    on.disk.kill()
    const next = createSimRuntime(new SimFileSystem({ image: fs.medium.crashed(() => false) }), { seed: 2 })
    const found = await LogDirectory.open(next, options)
    return ['a-0', 'b-0', 'c-0'].map((name) => found.logs.get(name)!.logEndOffset)
  }
  const fail = (kind: 'write' | 'sync', code: SystemCode): void => {
    trouble.faults = (call) => (call.kind === kind && call.path.startsWith('/data/b-0/') ? { code } : null)
  }
  const heal = (): void => {
    trouble.faults = null
  }
  return { logs, append, reopen, fail, heal }
}

describe('a group of which one file fails', () => {
  test.each([
    ['journal', 'write'],
    ['batch', 'write'],
    ['batch', 'sync'],
    ['append', 'sync'],
    ['append', 'write'],
    ['none', 'write'],
  ] as const)('takes only the log offline whose file it is (%s, %s)', async (flush, kind) => {
    const { logs, append, reopen, fail } = await threeLogs(flush)
    fail(kind, 'EIO')
    expect(await append()).toEqual([null, 'diskFailed', null])
    expect(logs.map(({ offline }) => offline?.code ?? null)).toEqual([null, 'diskFailed', null])
    expect(logs.map(({ flushedOffset }) => flushedOffset)).toEqual([2, 1, 2])
    expect(await append()).toEqual([null, null, null])
    expect(logs.map(({ flushedOffset }) => flushedOffset)).toEqual([3, 1, 3])
    if (flush === 'none') return
    const [first, second, third] = await reopen()
    expect([first, third]).toEqual([3, 3])
    expect(second).toBeGreaterThanOrEqual(1)
  })

  test('undoes only the appends for which there was no room', async () => {
    for (const flush of ['journal', 'batch'] as const) {
      const { logs, append, reopen, fail, heal } = await threeLogs(flush)
      fail('write', 'ENOSPC')
      expect(await append()).toEqual([null, 'diskFull', null])
      expect(logs.map(({ offline }) => offline)).toEqual([null, null, null])
      expect(logs.map(({ logEndOffset }) => logEndOffset)).toEqual([2, 1, 2])
      heal()
      await logs[1]!.whenWritable()
      expect(await append()).toEqual([null, null, null])
      expect(await reopen()).toEqual([3, 2, 3])
    }
  })

  test('counts for nobody when the journal has failed, whichever file that names', async () => {
    const on = createSimRuntime(new SimFileSystem(), { seed: 1 })
    await on.disk.makeDirectory('/data/a-0')
    const error = new EngineError('diskFull', 'no room')
    const writer: JournalWriter = {
      maxEntryBytes: 1 << 20,
      commit: () => Promise.reject(new WriteError([{ path: '/data/.journal/journal-1', error }])),
      start: () => {},
    }
    const group = new WriteGroup(on.disk)
    group.add(on.disk.file('/data/a-0/log'), 0, Buffer.from('x'), 'none')
    group.addEntry(writer, { type: 'truncated', logId: randomUuid(on.random) })
    const failed = await group.submit().catch((cause: EngineError) => cause)
    expect(failureIn(failed!, '/data/a-0')).toMatchObject({ code: 'diskFull' })
  })
})

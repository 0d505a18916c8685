import { closeSync, openSync, utimesSync, writeSync } from 'node:fs'
import { expect, test } from 'vitest'
import { silentLogger } from '../../src/model/logger.ts'
import { randomUuid } from '../../src/model/uuid.ts'
import type { Runtime } from '../../src/runtime/runtime.ts'
import type { Log, LogConfig } from '../../src/segment/log.ts'
import { LogDirectory } from '../../src/segment/logDirectory.ts'
import { temporaryDirectory } from '../support/temporaryDirectory.ts'
import { withCalls } from '../support/withCalls.ts'
import { append as appendOn } from './journalingSupport.ts'
import { append, batchOf, crashCopy, openLog, readAll, runtime, testConfig, valuesOf } from './support.ts'

const small: LogConfig = { ...testConfig, segmentBytes: 200, flush: 'batch' }

function open(directory: string, config: LogConfig, on: Runtime = runtime): Promise<LogDirectory> {
  return LogDirectory.open(on, { directory, logger: silentLogger, nodeId: 1, configFor: () => config })
}

async function fill(logs: LogDirectory, config: LogConfig, count: number, on = runtime): Promise<Log> {
  const log = await logs.createLog('orders', 0, randomUuid(runtime.random), config)
  for (let index = 0; index < count; index++) await appendOn(log, batchOf(['x'.repeat(60)]), on)
  await log.flush()
  await log.prepareCheckpoint()
  await log.whenFinished()
  return log
}

function overwrite(path: string, position: number, ...bytes: readonly number[]): void {
  const file = openSync(path, 'r+')
  writeSync(file, Buffer.from(bytes), 0, bytes.length, position)
  closeSync(file)
}

test('damage goes with the segment that has it', async () => {
  const directory = temporaryDirectory()
  const logs = await open(directory, small)
  const log = await fill(logs, small, 6)
  overwrite(`${directory}/orders-0/00000000000000000000.log`, 90, 255, 255, 255)
  expect(await log.findDamage(0)).toBe(true)
  await log.deleteRecordsBefore(4)
  // A log is not compacted as long as it has any.
  expect(log.damage).toEqual([])
  await logs.close()
})

test.each(['batch', 'journal'] as const)(
  'segments go once the start that lets them is stored, whoever asks for another one meanwhile (%s)',
  async (flush) => {
    const directory = temporaryDirectory()
    const config = { ...small, flush }
    const { disk } = runtime
    const held: (() => void)[] = []
    let holds = false
    const submit: typeof disk.submit = async (writes) => {
      const copies = writes.map((each) => ({ ...each, parts: [Buffer.concat(each.parts)] }))
      if (holds && writes.some(({ file }) => file.path.includes('journal-'))) {
        await new Promise<void>((resolve) => held.push(resolve))
      }
      return disk.submit(copies)
    }
    const on = { ...runtime, disk: withCalls(disk, { submit }) }
    const logs = await open(directory, config, on)
    const log = await fill(logs, config, 10, on)
    await logs.checkpoint()
    holds = true
    const first = log.deleteRecordsBefore(2)
    await expect.poll(() => held.length).toBe(1)
    const second = log.deleteRecordsBefore(8)
    held[0]!()
    await first
    await expect
      .poll(async () => (await disk.list(`${directory}/orders-0`)).map(({ name }) => name))
      .not.toContain('00000000000000000001.log')
    const again = await open(crashCopy(directory), config)
    expect(again.logs.get('orders-0')?.offline).toBe(null)
    expect(await readAll(again.logs.get('orders-0')!, 2)).toHaveLength(8)
    await again.close()
    holds = false
    for (const release of held) release()
    await second
    await logs.close()
  },
)

test('retention by time goes by the time of the file where a segment is damaged', async () => {
  const directory = temporaryDirectory()
  const config = { ...small, retentionMs: 1000 }
  const before = await open(directory, config)
  const filled = await fill(before, config, 6)
  await append(filled, batchOf(['new'], { timestampMs: Date.now() + 60_000 }))
  await filled.flush()
  await before.close()
  const paths = [0, 1, 2, 3, 4, 5].map((at) => `${directory}/orders-0/${String(at).padStart(20, '0')}.log`)
  overwrite(paths[0]!, 15, 7)
  for (const path of paths) utimesSync(path, 1.6e9, 1.6e9)
  const logs = await open(directory, config)
  expect(await logs.logs.get('orders-0')!.applyRetention()).toBe(6)
  await logs.close()
})

test.each(['none', 'journal', { records: 7 }] as const)(
  'a cut and a deletion of records at the same time leave a log that begins before it ends (%j)',
  async (flush) => {
    for (const turns of [0, 1, 2, 3]) {
      const log = await openLog(temporaryDirectory(), { config: { ...testConfig, flush } })
      for (let index = 0; index < 20; index++) await append(log, batchOf([`old ${index}`]))
      const cut = log.truncate(5)
      for (let turn = 0; turn < turns; turn++) await new Promise(setImmediate)
      const [cutting, deleting] = await Promise.allSettled([cut, log.deleteRecordsBefore(10)])
      // One of them, and only one, is refused.
      expect([cutting.status, deleting.status].sort()).toEqual(['fulfilled', 'rejected'])
      expect(log.logStartOffset).toBeLessThanOrEqual(log.logEndOffset)
      await append(log, batchOf(['new']))
      await log.flush()
      expect(valuesOf(await readAll(log, log.logStartOffset)).at(-1)).toBe('new')
      await log.close({ clean: false })
    }
  },
)

import { closeSync, openSync, readdirSync, writeSync } from 'node:fs'
import { expect, test } from 'vitest'
import { silentLogger } from '../../src/model/logger.ts'
import { randomUuid } from '../../src/model/uuid.ts'
import type { Timer } from '../../src/runtime/clock.ts'
import type { Runtime } from '../../src/runtime/runtime.ts'
import type { Log, LogConfig } from '../../src/segment/log.ts'
import { LogDirectory } from '../../src/segment/logDirectory.ts'
import { Scrubber } from '../../src/segment/scrubber.ts'
import { temporaryDirectory } from '../support/temporaryDirectory.ts'
import { compactAll, compactConfig, filesOf, keyedBatch } from './compaction/support.ts'
import { append, batchOf, crashCopy, ManualClock, readAll, runtime, testConfig, valuesOf } from './support.ts'

const small: LogConfig = { ...testConfig, segmentBytes: 200, flush: 'batch' }

function open(directory: string, config: LogConfig, on: Runtime = runtime): Promise<LogDirectory> {
  return LogDirectory.open(on, { directory, logger: silentLogger, nodeId: 1, configFor: () => config })
}

function create(logs: LogDirectory, config: LogConfig): Promise<Log> {
  return logs.createLog('orders', 0, randomUuid(runtime.random), config)
}

/** A log of several segments, all but the last of them finished. */
async function fill(logs: LogDirectory, config: LogConfig, value = 'x'.repeat(60)): Promise<Log> {
  const log = await create(logs, config)
  for (let index = 0; index < 6; index++) await append(log, batchOf([value]))
  await log.flush()
  await log.prepareCheckpoint()
  await log.whenFinished()
  return log
}

test.each(['batch', 'journal'] as const)(
  'a deletion of records that was under way when its log was deleted takes nothing of it (%s)',
  async (flush) => {
    const directory = temporaryDirectory()
    const clock = new ManualClock()
    const config = { ...small, flush, fileDeleteDelayMs: 200 }
    const logs = await open(directory, config, { ...runtime, clock })
    const old = await fill(logs, config)
    const deleting = old.deleteRecordsBefore(5).catch(() => {})
    await logs.deleteLog('orders', 0)
    const fresh = await create(logs, config)
    await append(fresh, batchOf(['acknowledged']))
    await fresh.flush()
    await logs.checkpoint()
    await deleting
    clock.advance(1000)
    await append(fresh, batchOf(['later']))
    await fresh.flush()
    expect(readdirSync(`${directory}/orders-0`)).toContain('00000000000000000000.log')
    const again = await open(crashCopy(directory), config)
    expect(valuesOf(await readAll(again.logs.get('orders-0')!))).toEqual(['acknowledged', 'later'])
    await again.close()
    await logs.close()
  },
)

test('knows nothing of its damage', async () => {
  const directory = temporaryDirectory()
  const logs = await open(directory, small)
  const old = await fill(logs, small)
  const file = openSync(`${directory}/orders-0/00000000000000000000.log`, 'r+')
  writeSync(file, Buffer.of(255, 255, 255), 0, 3, 90)
  closeSync(file)
  expect(await old.findDamage(0)).toBe(true)
  await logs.deleteLog('orders', 0)
  const fresh = await create(logs, small)
  await append(fresh, batchOf(['acknowledged']))
  await fresh.flush()
  expect(valuesOf(await readAll(fresh))).toEqual(['acknowledged'])
  await logs.close()
})

/** A clock whose first short pause lasts until `goOn`; of those that follow it tells of the second. */
class PausingClock extends ManualClock {
  goOn: (() => void) | null = null
  readonly secondLater: Promise<void>
  #tell: () => void = () => {}
  #later = 0

  constructor() {
    super()
    this.secondLater = new Promise((resolve) => {
      this.#tell = resolve
    })
  }

  override setTimer(delayMs: number, fire: () => void): Timer {
    if (this.goOn === null && delayMs < 9_000) {
      this.goOn = fire
      return { cancel() {} }
    }
    if (this.goOn !== null && ++this.#later === 2) this.#tell()
    setImmediate(fire)
    return { cancel() {} }
  }
}

test('is not taken for it by a scrubber that was in the midst of it', async () => {
  const directory = temporaryDirectory()
  const config = { ...small, segmentBytes: 4000 }
  const logs = await open(directory, config)
  await fill(logs, config, 'x'.repeat(1900))
  const clock = new PausingClock()
  const { badRanges } = logs
  const scrubber = new Scrubber(
    { ...runtime, clock },
    { directory, logs: () => logs.logs, badRanges, logger: silentLogger, bytesPerSecond: 1000 },
  )
  scrubber.start()
  await expect.poll(() => clock.goOn).not.toBe(null)
  await logs.deleteLog('orders', 0)
  const fresh = await create(logs, config)
  await append(fresh, batchOf(['hello']))
  clock.goOn!()
  await clock.secondLater
  for (let index = 0; index < 20; index++) await append(fresh, batchOf(['world'.repeat(12)]))
  await fresh.flush()
  expect(await readAll(fresh)).toHaveLength(21)
  await scrubber.close()
  await logs.close()
})

test('was never compacted: what it had deleted does not stay', async () => {
  const directory = temporaryDirectory()
  const config = { ...compactConfig, segmentBytes: 300 }
  const put = (log: Log, key: string, value: string | null): Promise<unknown> =>
    append(log, keyedBatch([{ key, value }], Date.now()))
  const before = await open(directory, config)
  const old = await create(before, config)
  for (let index = 0; index < 30; index++) await put(old, `k${index}`, 'x'.repeat(60))
  await old.flush()
  await compactAll(old)
  await before.storeCleanedOffsets()
  await before.deleteLog('orders', 0)
  const fresh = await create(before, config)
  await put(fresh, 'secret', 'alive')
  await put(fresh, 'secret', null)
  await fresh.flush()
  await before.close()
  const logs = await open(directory, config)
  const log = logs.logs.get('orders-0')!
  for (let index = 0; index < 10; index++) await put(log, `${index}`, 'y'.repeat(60))
  await log.flush()
  await compactAll(log)
  const kept = (await filesOf(log, runtime)).flatMap(({ records }) => records)
  const values = kept.filter(({ key }) => String(key) === 'secret').map(({ value }) => value)
  expect(values.map((value) => value && String(value))).not.toContain('alive')
  await logs.close()
})

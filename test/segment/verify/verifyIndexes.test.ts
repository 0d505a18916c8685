import { readdirSync, rmSync, statSync, truncateSync } from 'node:fs'
import { expect, test } from 'vitest'
import { silentLogger } from '../../../src/model/logger.ts'
import { randomUuid } from '../../../src/model/uuid.ts'
import { LogDirectory } from '../../../src/segment/logDirectory.ts'
import { temporaryDirectory } from '../../support/temporaryDirectory.ts'
import { append, batchOf, crashCopy } from '../support.ts'
import { openDirectory, runtime, smallConfig, verify } from './support.ts'

/** Few entries, as by default: runs of a few records have none. */
const sparseConfig = { ...smallConfig, indexIntervalBytes: 4096 }
const firstMs = 1_600_000_000_000

async function openSparse(directory: string, segmentBytes: number): Promise<LogDirectory> {
  const config = { ...sparseConfig, segmentBytes }
  const opened = await LogDirectory.open(runtime, {
    directory,
    logger: silentLogger,
    nodeId: 1,
    configFor: () => config,
  })
  if (!opened.logs.has('orders-0')) {
    await opened.createLog('orders', 0, randomUuid(runtime.random), config)
  }
  return opened
}

/** Opens the log, appends one batch per value, each newer than those before, and closes it. */
async function runOnce(directory: string, values: readonly string[], segmentBytes = 1 << 20): Promise<void> {
  const opened = await openSparse(directory, segmentBytes)
  const log = opened.logs.get('orders-0')!
  for (const value of values) {
    await append(log, batchOf([value], { timestampMs: firstMs + log.logEndOffset }))
  }
  await opened.close()
}

test('however often a log was closed: each time adds an entry to its time index, and none to the other', async () => {
  const directory = temporaryDirectory()
  for (let run = 0; run < 6; run++) {
    await runOnce(directory, [`run ${run}`])
    expect((await verify(directory)).findings).toEqual([])
  }
  // The same of segments that were sealed in the end.
  await runOnce(directory, ['x'.repeat(600), 'x'.repeat(600)], 700)
  expect(readdirSync(`${directory}/orders-0`).filter((name) => name.endsWith('.log')).length).toBeGreaterThan(
    1,
  )
  expect((await verify(directory)).findings).toEqual([])
})

test('index files of an active segment that are older than the last run are no finding where they are not used', async () => {
  const directory = temporaryDirectory()
  await runOnce(directory, ['first'])
  const opened = await openSparse(directory, 1 << 20)
  await append(opened.logs.get('orders-0')!, batchOf(['second'], { timestampMs: firstMs + 5 }))
  const crashed = crashCopy(directory)
  await opened.close()
  await runOnce(crashed, [])
  expect((await verify(crashed)).findings).toEqual([])
  await runOnce(crashed, ['third'])
  expect((await verify(crashed)).findings).toEqual([])
})

test('an index of the active segment that lacks its last entries is found, since the clean shutdown counted them', async () => {
  const directory = temporaryDirectory()
  await runOnce(
    directory,
    Array.from({ length: 40 }, () => 'x'.repeat(1000)),
  )
  const file = `${directory}/orders-0/00000000000000000000.index`
  const { size } = statSync(file)
  expect(size / 8).toBeGreaterThan(3)
  for (const rest of [size - 8, 8, 0]) {
    truncateSync(file, rest)
    const { findings } = await verify(directory)
    expect(findings).toMatchObject([{ kind: 'offsetIndex', file, found: `${rest / 8} entries` }])
  }
})

test('an index of a sealed segment that was emptied is found, once there is more than a MiB that it does not know', async () => {
  const directory = temporaryDirectory()
  const values = Array.from({ length: 8 }, () => 'x'.repeat(300_000))
  await runOnce(directory, [...values, 'last'], 2_400_600)
  const names = readdirSync(`${directory}/orders-0`).filter((name) => name.endsWith('.index'))
  expect(names).toHaveLength(2)
  expect((await verify(directory)).findings).toEqual([])
  const file = `${directory}/orders-0/${names[0]}`
  truncateSync(file, 8)
  expect((await verify(directory)).findings).toMatchObject([{ kind: 'offsetIndex', file }])
  truncateSync(file, 0)
  expect((await verify(directory)).findings).toMatchObject([{ kind: 'offsetIndex', file }])
  rmSync(file)
  expect((await verify(directory)).findings).toMatchObject([{ kind: 'indexGone', file, found: 'no file' }])
  // It is made again.
  const opened = await openDirectory(directory)
  await opened.close()
})

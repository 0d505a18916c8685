import { copyFileSync, renameSync, statSync, truncateSync } from 'node:fs'
import { expect, test } from 'vitest'
import { silentLogger } from '../../src/model/logger.ts'
import { randomUuid } from '../../src/model/uuid.ts'
import type { LogConfig } from '../../src/segment/log.ts'
import { LogDirectory } from '../../src/segment/logDirectory.ts'
import { checkBatch } from '../../src/segment/recordBatch.ts'
import { WriteGroup } from '../../src/segment/writeGroup.ts'
import { temporaryDirectory } from '../support/temporaryDirectory.ts'
import { batchOf, runtime, testConfig } from './support.ts'

const config: LogConfig = { ...testConfig, flush: 'batch', indexIntervalBytes: 300 }

/** Two logs with as many records, of these sizes and times, closed. */
async function twoLogs(sizes: readonly [number, number], times: readonly [number, number]): Promise<string> {
  const directory = temporaryDirectory()
  const logs = await LogDirectory.open(runtime, options(directory))
  for (const [at, topic] of ['a', 'b'].entries()) {
    const log = await logs.createLog(topic, 0, randomUuid(runtime.random), config)
    for (let offset = 0; offset < 20; offset++) {
      const bytes = batchOf(['x'.repeat(sizes[at]!)], { timestampMs: times[at]! + offset })
      const group = new WriteGroup(runtime.disk)
      log.append(checkBatch(bytes, runtime.checksum), bytes, 0, group)
      await group.submit()
    }
  }
  await logs.close()
  return directory
}

const options = (directory: string) => ({
  directory,
  logger: silentLogger,
  nodeId: 1,
  configFor: () => config,
})
const segment = (directory: string, log: string) => `${directory}/${log}/00000000000000000000.log`

/** The errors of both logs after their files have been exchanged; null for none. */
async function afterSwap(directory: string): Promise<(string | null)[]> {
  const [first, second] = [segment(directory, 'a-0'), segment(directory, 'b-0')]
  copyFileSync(first, `${first}.other`)
  renameSync(second, first)
  renameSync(`${first}.other`, second)
  const sizes = [statSync(first).size, statSync(second).size]
  const logs = await LogDirectory.open(runtime, options(directory))
  const found = ['a-0', 'b-0'].map((name) => logs.logs.get(name)!.offline?.code ?? null)
  await logs.close()
  expect([statSync(first).size, statSync(second).size]).toEqual(sizes)
  return found
}

test('segments that were exchanged with those of another log with the same offsets are damage', async () => {
  const directory = await twoLogs([100, 150], [1000, 1000])
  expect(await afterSwap(directory)).toEqual(['corruptLog', 'corruptLog'])
})

test('also when batches are as large and a start has to look: their times are others', async () => {
  const directory = await twoLogs([100, 100], [1000, 5000])
  // Without what a clean shutdown says.
  renameSync(`${directory}/.kafka_cleanshutdown`, `${directory}/.gone`)
  expect(await afterSwap(directory)).toEqual(['corruptLog', 'corruptLog'])
})

test('a segment that is shorter than was noted is damage, and stays as it is', async () => {
  const directory = await twoLogs([100, 100], [1000, 5000])
  const path = segment(directory, 'a-0')
  truncateSync(path, statSync(path).size - 10)
  const logs = await LogDirectory.open(runtime, options(directory))
  expect(logs.logs.get('a-0')!.offline).toMatchObject({ code: 'corruptLog' })
  expect(logs.logs.get('b-0')!.offline).toBe(null)
  await logs.close()
})

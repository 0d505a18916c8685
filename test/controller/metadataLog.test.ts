import { readFileSync, statSync, writeFileSync } from 'node:fs'
import { describe, expect, test } from 'vitest'
import { Controller } from '../../src/controller/controller.ts'
import { MetadataLog, metadataLogConfig } from '../../src/controller/metadataLog.ts'
import { silentLogger } from '../../src/model/logger.ts'
import { zeroUuid } from '../../src/model/uuid.ts'
import type {
  MetadataRecord,
  MetadataRecordInput,
} from '../../src/protocol/metadataRecords/metadataRecord.ts'
import type { Runtime } from '../../src/runtime/runtime.ts'
import { metadataDirectory, openController, openMetadataLog, testRuntime } from './metadataDirectory.ts'
import { plain, testId } from './support.ts'

const segment = '00000000000000000000.log'

/** Two records a batch, so that every change of three or more is a transaction. */
const smallBatches = { batchLimits: { batchRecords: 2 } }

/** The image without where it ends: an aborted transaction takes offsets and changes nothing else. */
function essence(controller: Controller): unknown {
  return { ...(plain(controller.image) as object), nextOffset: null }
}

/** The bytes that a crash may leave: a beginning of the file, and zeros where it had been extended without data. */
function torn(original: Uint8Array, sizeBytes: number): Uint8Array {
  const zeros = sizeBytes % 3 === 0 ? original.length - sizeBytes : 0
  return Buffer.concat([original.subarray(0, sizeBytes), new Uint8Array(zeros)])
}

/** Opens a copy of the log of these bytes. */
async function openCopy(
  runtime: Runtime,
  bytes: Uint8Array,
): Promise<{ controller: Controller; directory: string }> {
  const directory = metadataDirectory()
  writeFileSync(`${directory}/${segment}`, bytes)
  const { controller } = await openController(runtime, directory, smallBatches)
  return { controller, directory }
}

describe('after a crash at any byte of a change', () => {
  test.each([
    ['one batch', {}, 3],
    ['a transaction of several batches', smallBatches, 5],
  ])('the change is there as a whole or not at all: %s', async (_, limits, offsets) => {
    const runtime = testRuntime()
    const directory = metadataDirectory()
    const { controller, log } = await openController(runtime, directory, limits)
    await controller.createTopics([{ name: 'old', configs: [{ name: 'segment.ms', value: '5' }] }])
    const before = essence(controller)
    const beforeBytes = statSync(`${directory}/${segment}`).size
    const beforeOffset = log.logEndOffset
    await controller.createTopics([{ name: 'new', numPartitions: 2 }])
    const after = essence(controller)
    expect(log.logEndOffset - beforeOffset).toBe(offsets)
    const original = readFileSync(`${directory}/${segment}`)
    for (let sizeBytes = beforeBytes; sizeBytes <= original.length; sizeBytes++) {
      const bytes = torn(original, sizeBytes)
      const copy = await openCopy(runtime, bytes)
      // The zeros may happen to be what was to be written.
      const expected = original.equals(bytes) ? after : before
      expect(essence(copy.controller), `cut at byte ${sizeBytes} of ${original.length}`).toEqual(expected)
      if (sizeBytes % 16 !== 0) continue
      const outcomes = await copy.controller.createTopics([{ name: 'next' }])
      expect(outcomes).toEqual([expect.objectContaining({ name: 'next' })])
      const again = await openController(runtime, copy.directory)
      expect(plain(again.controller.image)).toEqual(plain(copy.controller.image))
    }
  })

  test('an aborted transaction stays aborted when others follow', async () => {
    const runtime = testRuntime()
    const directory = metadataDirectory()
    const { controller } = await openController(runtime, directory, smallBatches)
    const beforeBytes = statSync(`${directory}/${segment}`).size
    await controller.createTopics([{ name: 'lost', numPartitions: 4 }])
    const original = readFileSync(`${directory}/${segment}`)
    const firstBatchBytes = 12 + original.readInt32BE(beforeBytes + 8)
    const second = await openCopy(runtime, original.subarray(0, beforeBytes + firstBatchBytes))
    expect(second.controller.image.topics.size).toBe(0)
    await second.controller.createTopics([{ name: 'lost', numPartitions: 5 }])
    await second.controller.deleteTopics([{ name: 'lost', topicId: zeroUuid }])
    await second.controller.createTopics([{ name: 'kept', numPartitions: 5 }])
    const third = await openController(runtime, second.directory, smallBatches)
    expect([...third.controller.image.topics.keys()]).toEqual(['kept'])
    expect(plain(third.controller.image)).toEqual(plain(second.controller.image))
  })
})

describe('a change', () => {
  const topics = (count: number): MetadataRecordInput[] =>
    Array.from({ length: count }, (_, index) => ({
      type: 'topicRecord',
      version: 0,
      name: `topic-${index}`,
      topicId: testId(index),
    }))

  async function writeAndReplay(
    records: readonly MetadataRecordInput[],
    limits: { batchBytes?: number; batchRecords?: number },
  ): Promise<readonly (readonly MetadataRecord[])[]> {
    const runtime = testRuntime()
    const directory = metadataDirectory()
    const log = new MetadataLog(runtime, await openMetadataLog(runtime, directory), limits)
    const { applied, nextOffset } = await log.append(records)
    expect(nextOffset).toBe(log.nextOffset)
    const changes: (readonly MetadataRecord[])[] = []
    const again = new MetadataLog(runtime, await openMetadataLog(runtime, directory))
    await again.replay((change, offset) => {
      changes.push(change)
      expect(offset).toBe(nextOffset)
    })
    expect(changes.flat()).toEqual(applied)
    return changes
  }

  test.each([
    { batchRecords: 1 },
    { batchRecords: 7 },
    { batchBytes: 1 },
    { batchBytes: 200 },
    { batchBytes: 5000 },
    {},
  ])('is read back as one change under the limits %j', async (limits) => {
    const changes = await writeAndReplay(topics(20), limits)
    expect(changes).toHaveLength(1)
    expect(changes[0]).toHaveLength(20)
  })

  test('of 10,000 partitions is one change', async () => {
    const runtime = testRuntime()
    const directory = metadataDirectory()
    const { controller } = await openController(runtime, directory)
    await controller.createTopics([{ name: 'wide', numPartitions: 10_000 }])
    const { controller: again } = await openController(runtime, directory)
    expect(again.image.topics.get('wide')!.partitions).toHaveLength(10_000)
    expect(plain(again.image)).toEqual(plain(controller.image))
  })
})

test.each<[string, MetadataRecordInput[]]>([
  ['an end without a beginning', [{ type: 'endTransactionRecord', version: 0 }]],
  ['an abort without a beginning', [{ type: 'abortTransactionRecord', version: 0, reason: null }]],
  [
    'a beginning inside a transaction',
    [
      { type: 'beginTransactionRecord', version: 0, name: null },
      { type: 'beginTransactionRecord', version: 0, name: null },
    ],
  ],
])('%s is refused as damage', async (_, records) => {
  const runtime = testRuntime()
  const log = new MetadataLog(runtime, await openMetadataLog(runtime, metadataDirectory()))
  await log.append(records)
  await expect(log.replay(() => {})).rejects.toMatchObject({ code: 'corruptLog' })
})

test('a record that no batch can hold is refused before anything is written', async () => {
  const runtime = testRuntime()
  const bounded = await openMetadataLog(runtime, metadataDirectory())
  bounded.updateConfig({ ...metadataLogConfig, maxMessageBytes: 1000 })
  const log = new MetadataLog(runtime, bounded)
  const resource = { resourceType: 2, resourceName: 'a', name: 'x', value: 'x'.repeat(1000) }
  const small: MetadataRecordInput = { type: 'topicRecord', version: 0, name: 'a', topicId: testId(1) }
  await expect(log.append([small, { type: 'configRecord', version: 0, ...resource }])).rejects.toMatchObject({
    code: 'messageTooLarge',
  })
  expect(log.nextOffset).toBe(0)
  await expect(log.append([small])).resolves.toMatchObject({ nextOffset: 1 })
})

test('damage to what was durable is reported and nothing of it is replayed or cut', async () => {
  const runtime = testRuntime()
  const directory = metadataDirectory()
  const { controller, log } = await openController(runtime, directory)
  await controller.createTopics([{ name: 'a' }])
  const bytes = readFileSync(`${directory}/${segment}`)
  bytes[bytes.length - 5]! ^= 1
  writeFileSync(`${directory}/${segment}`, bytes)
  const damaged = await openMetadataLog(runtime, directory, log.logEndOffset)
  const options = { nodeId: 1, clusterId: 'c', logger: silentLogger }
  await expect(Controller.open(runtime, damaged, options)).rejects.toMatchObject({ code: 'corruptLog' })
  expect(readFileSync(`${directory}/${segment}`)).toEqual(bytes)
})

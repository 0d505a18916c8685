import { expect, test } from 'vitest'
import type { DiskFile } from '../../../src/runtime/disk.ts'
import { temporaryDirectory } from '../../support/temporaryDirectory.ts'
import { append, openLog, runtime } from '../support.ts'
import {
  appendBatch,
  compactAll,
  compactConfig,
  compactingRuntime,
  filesOf,
  keyedBatch,
  markerBatch,
} from './support.ts'

test('who reads a segment goes on with its bytes, however often it is compacted meanwhile', async () => {
  const config = { ...compactConfig, segmentBytes: 1500, fileDeleteDelayMs: 60_000 }
  const log = await openLog(temporaryDirectory(), { config })
  for (let index = 0; index < 90; index++) {
    await append(log, keyedBatch([{ key: `k${index % 25}`, value: `v${index}`.padEnd(60, 'x') }], 1.6e12))
  }
  await log.flush()
  await log.prepareCheckpoint()
  await log.whenFinished()
  const range = (await log.read(3, 300, log.flushedOffset, true))!.ranges[0]!
  const bytes = async (): Promise<Buffer> => {
    const found = Buffer.alloc(range.lengthBytes)
    await (range.file as DiskFile).read(found, range.position)
    return found
  }
  const before = await bytes()
  // Room for few keys: several rounds.
  await compactAll(log, 300)
  expect(await bytes()).toEqual(before)
  await log.close({ clean: false })
})

test('a log whose tombstones stay for ever is compacted', async () => {
  const config = { ...compactConfig, segmentBytes: 300, deleteRetentionMs: Number.MAX_SAFE_INTEGER }
  const log = await openLog(temporaryDirectory(), { config })
  await append(log, keyedBatch([{ key: 't', value: null }], 1.6e12))
  for (let index = 0; index < 30; index++) {
    await append(log, keyedBatch([{ key: `k${index % 3}`, value: 'x'.repeat(60) }], 1.6e12))
  }
  await log.flush()
  for (let pass = 0; pass < 2; pass++) await compactAll(log)
  const records = (await filesOf(log, runtime)).flatMap((file) => file.records)
  expect(records.filter(({ key }) => String(key) === 't').map(({ value }) => value)).toEqual([null])
  await log.close({ clean: false })
})

test('of transactions that overlap the aborted ones go, in whatever order they end', async () => {
  const on = compactingRuntime()
  await on.disk.makeDirectory('/log')
  const log = await openLog('/log', { config: { ...compactConfig, segmentBytes: 300 } }, on)
  const add = (bytes: Uint8Array): Promise<unknown> => appendBatch(log, on, bytes)
  const aborted = (producerId: number, key: string): Uint8Array =>
    keyedBatch([{ key, value: 'aborted' }], 1.6e12, {
      producerId,
      producerEpoch: 0,
      baseSequence: 0,
      isTransactional: true,
    })
  await add(keyedBatch([{ key: 'k', value: 'good' }], 1.6e12))
  await add(aborted(1, 'k'))
  await add(aborted(2, 'z'))
  await add(markerBatch(2, 'abort', 1.6e12))
  await add(markerBatch(1, 'abort', 1.6e12))
  for (let index = 0; index < 10; index++) {
    await add(keyedBatch([{ key: `f${index}`, value: 'x'.repeat(60) }], 1.6e12))
  }
  await compactAll(log)
  const records = (await filesOf(log, on)).flatMap((file) => file.records)
  expect(records.filter(({ key }) => String(key) === 'k').map(({ value }) => String(value))).toEqual(['good'])
})

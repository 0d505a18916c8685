import { truncateSync, writeFileSync } from 'node:fs'
import { expect, test } from 'vitest'
import type { DiskFile } from '../../src/runtime/disk.ts'
import type { BadRange } from '../../src/segment/badRanges.ts'
import { verifyBatches } from '../../src/segment/batchScan.ts'
import { readWhole } from '../../src/segment/largeBatch.ts'
import { BatchHeader } from '../../src/segment/recordBatch.ts'
import { auditBatches } from '../../src/segment/verifyBatches.ts'
import { temporaryDirectory } from '../support/temporaryDirectory.ts'
import { batchOf, runtime } from './support.ts'

const sizeBytes = 24 << 20

/** A file of 24 MiB with these batches at its beginning, and the most that was read from it at once. */
function fileOf(...batches: Uint8Array[]): { file: DiskFile; largest: () => number } {
  const path = `${temporaryDirectory()}/00000000000000000000.log`
  writeFileSync(path, Buffer.concat(batches))
  truncateSync(path, sizeBytes)
  const inner = runtime.disk.file(path)
  let largest = 0
  const read: DiskFile['read'] = (target, position) => {
    largest = Math.max(largest, target.length)
    return inner.read(target, position)
  }
  return { file: { ...inner, path, read }, largest: () => largest }
}

async function audit(file: DiskFile): Promise<{ bad: BadRange[]; good: number[] }> {
  const found = { bad: [] as BadRange[], good: [] as number[] }
  const known = { mayHaveGaps: false, epochs: null, epochsEnd: 0 }
  await auditBatches({ file, baseOffset: 0, sizeBytes, endOffset: null, ...known }, runtime.checksum, {
    bad: (range) => found.bad.push(range),
    batch: (header) => found.good.push(header.baseOffset),
  })
  return found
}

test('a length that is damaged has no memory taken for what is not there', async () => {
  const [first, second, third] = [0, 1, 2].map((baseOffset) => batchOf([`${baseOffset}`], { baseOffset }))
  // 16 MiB more than it is.
  second![8] = 1
  const { file, largest } = fileOf(first!, second!, third!)
  const range = { file, position: 0, end: sizeBytes, offset: 0 }
  const scanned = await verifyBatches(range, runtime.checksum, () => {})
  expect(scanned).toMatchObject({ nextOffset: 1, validBytes: first!.length })
  expect(scanned.damage).toMatchObject({ position: first!.length })
  const { bad, good } = await audit(file)
  expect(good).toEqual([0, 2])
  expect(bad[0]).toMatchObject({ position: first!.length, baseOffset: 1, nextOffset: 2 })
  expect(largest()).toBeLessThanOrEqual(4 << 20)
})

test('a batch that is large is read', async () => {
  const [first, second] = [
    batchOf(['x'.repeat(9 << 20)], { baseOffset: 0 }),
    batchOf(['y'], { baseOffset: 1 }),
  ]
  const { file } = fileOf(first!, second!)
  const range = { file, position: 0, end: first!.length + second!.length, offset: 0 }
  expect(await verifyBatches(range, runtime.checksum, () => {})).toMatchObject({
    nextOffset: 2,
    damage: null,
  })
  expect((await audit(file)).good).toEqual([0, 1])
})

test.each([
  ['one that is not large once', 1 << 20, 1],
  ['a large one in steps first', 5 << 20, 2],
])('a batch is read to be looked into: %s', async (_, valueBytes, times) => {
  const bytes = batchOf(['x'.repeat(valueBytes)])
  const { crc } = new BatchHeader(bytes, 0)
  const { file } = fileOf(bytes)
  let readBytes = 0
  const read: DiskFile['read'] = async (target, position) => {
    const count = await file.read(target, position)
    readBytes += count
    return count
  }
  const whole = await readWhole({ read }, 0, bytes.length, crc, runtime.checksum)
  expect(Buffer.compare(whole.bytes!, bytes)).toBe(0)
  expect(readBytes).toBeLessThanOrEqual(times * bytes.length)
  const other = await readWhole({ read }, 0, bytes.length, crc ^ 1, runtime.checksum)
  expect(other).toEqual({ bytes: null, found: crc })
  expect(await readWhole({ read }, sizeBytes - 100, 200, crc, runtime.checksum)).toEqual({
    bytes: null,
    found: -1,
  })
})

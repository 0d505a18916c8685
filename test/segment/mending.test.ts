import { readFileSync, writeFileSync } from 'node:fs'
import { describe, expect, test } from 'vitest'
import type { BadRange } from '../../src/segment/badRanges.ts'
import type { Log } from '../../src/segment/log.ts'
import { temporaryDirectory } from '../support/temporaryDirectory.ts'
import { append, batchOf, openLog, readAll, testConfig } from './support.ts'

interface Damaged {
  readonly log: Log
  readonly path: string
  /** The segment as it was. */
  readonly content: Buffer
  /** Where each of its batches begins, and the end. */
  readonly at: readonly number[]
  readonly range: BadRange
}

/** A log of 10 batches, two in each segment but the last one, whose second segment has lost its first batch. */
async function damaged(): Promise<Damaged> {
  const directory = temporaryDirectory()
  const log = await openLog(directory, { config: { ...testConfig, segmentBytes: 400 } })
  for (let index = 0; index < 10; index++) {
    await append(log, batchOf([`${index}`.padEnd(index % 2 === 0 ? 100 : 110, '.')]), index < 5 ? 1 : 2)
  }
  await log.flush()
  while (log.sealedSegments.length < 4) await new Promise((resolve) => setImmediate(resolve))
  const segment = log.sealedSegments[1]!
  const { path } = segment.file
  const content = readFileSync(path)
  const first = content.readInt32BE(8) + 12
  writeFileSync(path, Buffer.concat([Buffer.alloc(50, 7), content.subarray(50)]))
  expect(await log.findDamage(segment.baseOffset)).toBe(true)
  return { log, path, content, at: [0, first, content.length], range: log.damage[0]! }
}

function changed(bytes: Buffer, at: number, by = 1): Buffer {
  const copy = Buffer.from(bytes)
  copy[at] = copy[at]! ^ by
  return copy
}

describe('a damaged stretch of a log', () => {
  test('is written again with the batches that belong there, and then served', async () => {
    const { log, path, content, at, range } = await damaged()
    await expect(async () => log.read(range.baseOffset, 1, 10, true)).rejects.toMatchObject({
      code: 'corruptLog',
    })
    const mending = (await log.mending(range))!
    expect(mending).toMatchObject({ fromOffset: 2, toOffset: 3, isOver: false })
    await mending.take(content.subarray(0, at[1]))
    expect(mending.isOver).toBe(true)
    expect(readFileSync(path)).toEqual(content)
    expect(log.damage).toEqual([])
    expect(await readAll(log)).toHaveLength(10)
    expect(await log.mending(range)).toBe(null)
  })

  test.each<[string, (batch: Buffer, whole: Buffer) => Buffer]>([
    ['a wrong checksum', (batch) => changed(batch, 90)],
    ['another offset', (batch) => changed(batch, 7)],
    ['another epoch', (batch) => changed(batch, 15, 3)],
    ['another magic', (batch) => changed(batch, 16)],
    ['less than a batch', (batch) => batch.subarray(0, batch.length - 1)],
    ['more than is wanted', (_, whole) => whole],
    ['a length that cannot be', (batch) => changed(batch, 8, 0x80)],
  ])('does not take %s', async (_, forge) => {
    const { log, path, content, at, range } = await damaged()
    const before = readFileSync(path)
    const mending = (await log.mending(range))!
    await expect(mending.take(forge(content.subarray(0, at[1]), content))).rejects.toMatchObject({
      code: 'invalidRecord',
    })
    expect(readFileSync(path)).toEqual(before)
    expect(log.damage).toEqual([range])
    expect(mending.isOver).toBe(false)
  })

  test('is left alone once the log was cut, or is being changed', async () => {
    const { log, content, at, range } = await damaged()
    const mending = (await log.mending(range))!
    const cutting = log.truncate(1)
    // What is under way comes before the cut.
    await mending.take(content.subarray(0, at[1])).catch(() => {})
    await cutting
    await expect(mending.take(content.subarray(0, at[1]))).rejects.toMatchObject({
      code: 'kafkaStorageError',
    })
    expect(log.damage).toEqual([])
    expect(await log.mending(range)).toBe(null)
    expect(await readAll(log)).toHaveLength(1)
  })

  test('that is larger than it seemed is found out: then the whole segment is written again, beside the old one', async () => {
    const { log, path, content, at, range } = await damaged()
    // As another replica has it, which has compacted its copy or whose batches were packed otherwise.
    const other = batchOf(['2'.padEnd(120, '.')], { baseOffset: 2, leaderEpoch: 1 })
    const mending = (await log.mending(range))!
    await expect(mending.take(other)).rejects.toThrow('do not fit')
    const whole = (await log.mending(range, true))!
    await whole.take(other)
    expect(readFileSync(path)).not.toEqual(content)
    await whole.take(content.subarray(at[1]))
    expect(whole.isOver).toBe(true)
    expect(log.damage).toEqual([])
    expect(readFileSync(path)).toEqual(Buffer.concat([other, content.subarray(at[1])]))
    expect((await readAll(log)).map(({ offset }) => offset)).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8, 9])
    await log.close({ clean: true })
  })
})

test.each([
  { place: 'before', offset: 0 },
  { place: 'behind', offset: 2 },
])('what was read $place a cut, and is looked at after it, is not taken for damage', async ({ offset }) => {
  const log = await openLog(temporaryDirectory())
  for (const value of ['a', 'b', 'c']) await append(log, batchOf([value.padEnd(50)]))
  const found = (await log.read(offset, 1 << 20, log.flushedOffset, true))!
  const [range] = found.ranges
  await log.truncate(1)
  for (const looks of [1, 2]) {
    expect(await log.noteDamage(range!, found.firstOffset)).toBe(null)
    expect(log.damage).toEqual([])
    await append(log, batchOf([`${looks}`.padEnd(30)]))
  }
  expect(await readAll(log)).toHaveLength(3)
  expect(await log.findDamage(0)).toBe(false)
})

test('of what lies before the log nothing is damaged', async () => {
  const log = await openLog(temporaryDirectory(), { logStartOffset: 5 })
  expect(await log.findDamage(2)).toBe(false)
})

test('a lookup by time gives nothing from a damaged batch, and the damage is known from then on', async () => {
  const directory = temporaryDirectory()
  const log = await openLog(directory)
  for (const value of ['a', 'b']) await append(log, batchOf([value, value, value]))
  const path = `${directory}/${'0'.repeat(20)}.log`
  const content = readFileSync(path)
  // The time of the second record, which no header tells of.
  const second = content.indexOf('a') + 2
  expect(await log.offsetForTimestamp(1_600_000_000_000)).toMatchObject({ offset: 0 })
  writeFileSync(path, changed(content, second + 2, 0x40))
  await expect(log.offsetForTimestamp(1_600_000_000_000)).rejects.toMatchObject({ code: 'corruptLog' })
  expect(log.damage).toMatchObject([{ position: 0, baseOffset: 0, nextOffset: 3 }])
  await log.close({ clean: false })
})

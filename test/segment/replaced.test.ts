import { readFileSync, writeFileSync } from 'node:fs'
import { describe, expect, test } from 'vitest'
import { silentLogger } from '../../src/model/logger.ts'
import { randomUuid } from '../../src/model/uuid.ts'
import type { Disk } from '../../src/runtime/disk.ts'
import type { Runtime } from '../../src/runtime/runtime.ts'
import type { Log, LogConfig } from '../../src/segment/log.ts'
import { LogDirectory } from '../../src/segment/logDirectory.ts'
import { updateChecksum } from '../../src/segment/recordBatch.ts'
import { temporaryDirectory } from '../support/temporaryDirectory.ts'
import { keyedBatch, readThrough, stateOf } from './compaction/support.ts'
import { append, crashCopy, readAll, testConfig } from './support.ts'
import { runtime, verify } from './verify/support.ts'

const config: LogConfig = {
  ...testConfig,
  segmentBytes: 500,
  flush: 'batch',
  deleteRetentionMs: 10,
  fileDeleteDelayMs: 60_000,
  cleanupPolicy: { delete: false, compact: true },
}

const open = (directory: string, on: Runtime = runtime, segmentBytes = config.segmentBytes) =>
  LogDirectory.open(on, {
    directory,
    logger: silentLogger,
    nodeId: 1,
    configFor: () => ({ ...config, segmentBytes }),
  })

/** A data directory as the power leaves it. */
function copyOf(directory: string): string {
  const copy = crashCopy(directory)
  return copy
}

/** Batches of two records, of one of which there is a newer one in the next batch; all segments but the last are sealed. */
async function fill(log: Log, count: number): Promise<void> {
  for (let index = 0; index < count; index++) {
    const entries = [
      { key: 'same', value: `${index}`.padEnd(40) },
      { key: `own ${index}`, value: 'x'.repeat(40) },
    ]
    await append(log, keyedBatch(entries, 1_600_000_000_000 + index), 1)
  }
  await stateOf(log).sealer.idle()
}

/** Writes other records into a segment's file, with checksums that are true. */
function forge(path: string): void {
  const content = readFileSync(path)
  for (let at = 0; at < content.length; at += content.readInt32BE(at + 8) + 12) {
    const batch = content.subarray(at, at + content.readInt32BE(at + 8) + 12)
    const value = batch.lastIndexOf('x')
    if (value >= 0) batch[value] = 'y'.charCodeAt(0)
    updateChecksum(batch, runtime.checksum)
  }
  writeFileSync(path, content)
}

const bounds = { maxMapBytes: 1 << 20, maxBodyBytes: 1 << 20 }
const logPath = (directory: string, baseOffset: number): string =>
  `${directory}/keyed-0/${String(baseOffset).padStart(20, '0')}.log`

/** A compaction, and the directory as it is whenever a segment gets its name. */
async function compacted(segmentBytes: number): Promise<{ copies: string[]; bases: number[][] }> {
  const directory = temporaryDirectory()
  const copies: string[] = []
  const bases: number[][] = []
  let log: Log | null = null
  let isCompacting = false
  const disk = new Proxy<Disk>(runtime.disk, {
    get: (target, name) => {
      const value: unknown = Reflect.get(target, name, target)
      if (name !== 'rename') return typeof value === 'function' ? value.bind(target) : value
      return async (from: string, to: string) => {
        await target.rename(from, to)
        if (!isCompacting || !from.endsWith('.log.swap')) return
        copies.push(copyOf(directory))
        bases.push(stateOf(log!).segments.all.map(({ baseOffset }) => baseOffset))
      }
    },
  })
  const logs = await open(directory, { ...runtime, disk })
  log = await logs.createLog('keyed', 0, randomUuid(runtime.random), config)
  await fill(log, 12)
  await logs.checkpoint()
  log.updateConfig({ ...config, segmentBytes })
  isCompacting = true
  await log.compact({ ...bounds, endOffset: log.flushedOffset })
  await logs.close()
  return { copies, bases }
}

describe.each([
  { how: 'one by one', segmentBytes: 500 },
  { how: 'brought together', segmentBytes: 900 },
])('a crash inside a compaction, segments $how', ({ segmentBytes }) => {
  test('leaves every segment known for what it is', async () => {
    const { copies } = await compacted(segmentBytes)
    expect(copies.length).toBeGreaterThan(1)
    for (const copy of copies) {
      const logs = await open(copy)
      const log = logs.logs.get('keyed-0')!
      expect(log.offline).toBe(null)
      expect(log.sealedSegments.filter(({ digest }) => digest < 0)).toEqual([])
      expect((await readThrough(log, runtime, 0)).length).toBeGreaterThan(12)
      for (const { baseOffset } of log.sealedSegments) expect(await log.findDamage(baseOffset)).toBe(false)
      await logs.close()
      expect((await verify(copy)).findings.filter(({ kind }) => kind === 'batches')).toEqual([])
    }
  })

  test('hides no segment that was exchanged, be it compacted or not yet', async () => {
    const { copies, bases } = await compacted(segmentBytes)
    const [copy] = copies
    const [first, ...later] = bases[0]!
    const last = later.at(-2)!
    for (const baseOffset of [first!, last]) {
      const forged = copyOf(copy!)
      forge(logPath(forged, baseOffset))
      const logs = await open(forged)
      const log = logs.logs.get('keyed-0')!
      await expect(readThrough(log, runtime, baseOffset)).rejects.toMatchObject({ code: 'corruptLog' })
      await logs.close()
    }
  })
})

describe('a segment that was written again beside the old one', () => {
  /** A directory that a crash has left right after that, and the segment. */
  async function mended(): Promise<{ copy: string; baseOffset: number }> {
    const directory = temporaryDirectory()
    const logs = await open(directory)
    const log = await logs.createLog('keyed', 0, randomUuid(runtime.random), config)
    await fill(log, 12)
    await logs.checkpoint()
    const { file, baseOffset } = log.sealedSegments[1]!
    const whole = readFileSync(file.path)
    const spoilt = Buffer.from(whole)
    spoilt[16] = 9
    writeFileSync(file.path, spoilt)
    expect(await log.findDamage(baseOffset)).toBe(true)
    const mending = (await log.mending(log.damage[0]!, true))!
    await mending.take(whole)
    expect([mending.isOver, log.damage]).toEqual([true, []])
    const copy = copyOf(directory)
    await logs.close()
    return { copy, baseOffset }
  }

  test('is known from then on', async () => {
    const { copy, baseOffset } = await mended()
    const forged = copyOf(copy)
    const logs = await open(copy)
    expect(await readAll(logs.logs.get('keyed-0')!)).toHaveLength(24)
    await logs.close()
    forge(logPath(forged, baseOffset))
    const again = await open(forged)
    await expect(readAll(again.logs.get('keyed-0')!)).rejects.toMatchObject({ code: 'corruptLog' })
    await again.close()
  })
})

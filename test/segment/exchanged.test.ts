import { readdirSync, readFileSync, renameSync, statSync, utimesSync, writeFileSync } from 'node:fs'
import { describe, expect, test } from 'vitest'
import { silentLogger } from '../../src/model/logger.ts'
import { randomUuid } from '../../src/model/uuid.ts'
import type { BadRange } from '../../src/segment/badRanges.ts'
import type { Log, LogConfig } from '../../src/segment/log.ts'
import { LogDirectory } from '../../src/segment/logDirectory.ts'
import { decodeResume } from '../../src/segment/resumePoint.ts'
import { Scrubber } from '../../src/segment/scrubber.ts'
import { temporaryDirectory } from '../support/temporaryDirectory.ts'
import { keyedBatch } from './compaction/support.ts'
import { append, batchOf, crashCopy, ManualClock, readAll, readBytes, testConfig } from './support.ts'
import { flip, runtime, verify } from './verify/support.ts'

const config: LogConfig = {
  ...testConfig,
  segmentBytes: 700,
  indexIntervalBytes: 100,
  flush: 'batch',
}
const logNames = ['a-0', 'b-0'] as const

const open = (directory: string) =>
  LogDirectory.open(runtime, { directory, logger: silentLogger, nodeId: 1, configFor: () => config })

/** Two logs whose segments have the same offsets, epochs, sizes and times; only the records differ. */
async function twoLogs(): Promise<string> {
  const directory = temporaryDirectory()
  const logs = await open(directory)
  for (const topic of ['a', 'b']) {
    const log = await logs.createLog(topic, 0, randomUuid(runtime.random), config)
    for (let offset = 0; offset < 14; offset++) {
      const timestampMs = 1_600_000_000_000 + offset
      await append(log, batchOf([topic.repeat(100)], { timestampMs }), 1)
    }
  }
  await logs.close()
  return directory
}

function segmentsOf(directory: string, log: string): string[] {
  const names = readdirSync(`${directory}/${log}`).filter((name) => name.endsWith('.log'))
  return names.map((name) => `${directory}/${log}/${name}`)
}

/** Exchanges the files of segment `index` of both logs, with their indexes and times. Gives the path of the first log's. */
function exchange(directory: string, index: number): string {
  const [first, second] = logNames.map((name) => segmentsOf(directory, name).at(index)!) as [string, string]
  expect(statSync(first).size).toBe(statSync(second).size)
  for (const kind of ['.log', '.index', '.timeindex']) {
    const [left, right] = [first.replace('.log', kind), second.replace('.log', kind)]
    const [mine, theirs] = [readFileSync(left), readFileSync(right)]
    const { atime, mtime } = statSync(left)
    writeFileSync(left, theirs)
    writeFileSync(right, mine)
    for (const path of [left, right]) utimesSync(path, atime, mtime)
  }
  return first
}

/** Has a scrubber look at everything once; what it has found. */
async function scrub(logs: LogDirectory): Promise<BadRange[]> {
  const told: BadRange[] = []
  logs.badRanges.onFound = (range) => told.push(range)
  const clock = new ManualClock()
  let isIdle = (): void => {}
  const idle = new Promise<void>((resolve) => {
    isIdle = resolve
  })
  clock.setTimer = (delayMs, fire) => {
    if (delayMs > 60_000) isIdle()
    else queueMicrotask(fire)
    return { cancel() {} }
  }
  clock.nowMs = 1_700_000_000_000
  const scrubber = new Scrubber(
    { ...runtime, clock },
    {
      directory: logs.directory,
      logs: () => logs.logs,
      badRanges: logs.badRanges,
      logger: silentLogger,
      bytesPerSecond: 1 << 30,
    },
  )
  scrubber.start()
  await idle
  await scrubber.close()
  return told
}

/** The values that a log serves; those of segments that it refuses are left out. */
async function served(log: Log): Promise<string[]> {
  const values: string[] = []
  for (let offset = log.logStartOffset; offset < log.logEndOffset; offset++) {
    const bytes = await readBytes(log, offset, 1, offset + 1).catch((error) => {
      expect(error).toMatchObject({ code: 'corruptLog' })
      return null
    })
    if (bytes !== null) values.push(Buffer.from(bytes).toString('latin1', 69, 70))
  }
  return values
}

describe.each([
  ['a clean shutdown', (_: string) => {}],
  [
    'the loss of power',
    (directory: string) => renameSync(`${directory}/.kafka_cleanshutdown`, `${directory}/.gone`),
  ],
])('segments of two logs that were exchanged, with indexes and times, before %s', (_, end) => {
  test.each([0, 1, -2])('are never served, and reported by the first read (%i)', async (index) => {
    const directory = await twoLogs()
    const path = exchange(directory, index)
    end(directory)
    const logs = await open(directory)
    for (const name of logNames) {
      const log = logs.logs.get(name)!
      const values = await served(log)
      expect(new Set(values)).toEqual(new Set([name[0]]))
      expect(values.length).toBeLessThan(14)
      expect(log.damage).toMatchObject([{ position: 0, end: statSync(path).size }])
    }
    const [damage] = logs.logs.get('a-0')!.damage
    expect(damage).toMatchObject({ file: path, baseOffset: Number(path.slice(-24, -4)) })
    await logs.close()
  })

  test('are found by the scrubber', async () => {
    const directory = await twoLogs()
    const path = exchange(directory, 1)
    end(directory)
    const logs = await open(directory)
    expect(await scrub(logs)).toMatchObject([{ file: path, position: 0 }, { position: 0 }])
    await logs.close()
  })
})

test.each([
  ['longer', (mine: Buffer) => Buffer.concat([mine, mine])],
  ['shorter', (mine: Buffer) => mine.subarray(0, mine.readInt32BE(8) + 12)],
])(
  'a sealed segment that is exchanged for a %s one is damage, after a clean shutdown, too',
  async (_, other) => {
    const directory = await twoLogs()
    const [path, second] = logNames.map((name) => segmentsOf(directory, name)[1]!) as [string, string]
    writeFileSync(path, other(readFileSync(second)))
    const logs = await open(directory)
    const log = logs.logs.get('a-0')!
    expect(log.offline).toBe(null)
    expect(new Set(await served(log))).toEqual(new Set(['a']))
    expect(log.damage).toMatchObject([{ file: path, position: 0 }])
    await logs.close()
  },
)

test('a segment with the right first batch and others behind it is found by scrubber and check', async () => {
  const directory = await twoLogs()
  const [first, second] = logNames.map((name) => segmentsOf(directory, name)[1]!) as [string, string]
  const [mine, theirs] = [readFileSync(first), readFileSync(second)]
  const firstBytes = mine.readInt32BE(8) + 12
  writeFileSync(first, Buffer.concat([mine.subarray(0, firstBytes), theirs.subarray(firstBytes)]))
  expect((await verify(directory)).findings).toMatchObject([{ kind: 'batches', file: first, position: 0 }])
  const logs = await open(directory)
  expect(await scrub(logs)).toMatchObject([{ file: first, position: 0, end: mine.length }])
  await expect(readBytes(logs.logs.get('a-0')!, 5)).rejects.toMatchObject({ code: 'corruptLog' })
  await logs.close()
})

test('cordwood verify names both files of an exchange', async () => {
  const directory = await twoLogs()
  exchange(directory, 1)
  const { findings } = await verify(directory)
  const files = logNames.map((name) => segmentsOf(directory, name)[1]!)
  expect(findings.map(({ kind }) => kind)).toEqual(['batches', 'batches'])
  expect(findings.map(({ file }) => file).sort()).toEqual(files)
})

describe('the active segment of a log that is taken up again', () => {
  test("is not served when it is another log's, also beside what is appended behind it", async () => {
    const directory = await twoLogs()
    const path = exchange(directory, -1)
    expect((await verify(directory)).findings).toHaveLength(2)
    const logs = await open(directory)
    const log = logs.logs.get('a-0')!
    await append(log, batchOf(['a'.repeat(100)], { timestampMs: 1_600_000_000_100 }), 1)
    const found = await scrub(logs)
    expect(found.find(({ file }) => file === path)).toMatchObject({ position: 0 })
    expect(new Set(await served(log))).toEqual(new Set(['a']))
    await logs.close()
  })

  test('is checked for flipped bits, and for epochs that no checksum of a batch covers', async () => {
    for (const at of [15, 80]) {
      const directory = await twoLogs()
      const path = segmentsOf(directory, 'a-0').at(-1)!
      flip(path, at, 2)
      const logs = await open(directory)
      expect(await scrub(logs)).toMatchObject([{ file: path, position: 0 }])
      await logs.close()
    }
  })

  test('is written again in its place', async () => {
    const directory = await twoLogs()
    const good = readFileSync(segmentsOf(directory, 'a-0').at(-1)!)
    const path = exchange(directory, -1)
    const logs = await open(directory)
    const log = logs.logs.get('a-0')!
    await append(log, batchOf(['a'.repeat(100)], { timestampMs: 1_600_000_000_100 }), 1)
    const added = readFileSync(path).subarray(good.length)
    await expect(readBytes(log, log.logEndOffset - 2)).rejects.toMatchObject({ code: 'corruptLog' })
    const mending = (await log.mending(log.damage[0]!))!
    await mending.take(Buffer.concat([good, added]))
    expect([mending.isOver, log.damage]).toEqual([true, []])
    expect(await served(log)).toEqual(Array(15).fill('a'))
    expect(await scrub(logs)).toHaveLength(1)
    await logs.close()
  })
})

test("an exchanged sealed segment is written again, and is this log's from then on", async () => {
  const directory = await twoLogs()
  const good = readFileSync(segmentsOf(directory, 'a-0')[1]!)
  exchange(directory, 1)
  const logs = await open(directory)
  const log = logs.logs.get('a-0')!
  await expect(readAll(log)).rejects.toMatchObject({ code: 'corruptLog' })
  const mending = (await log.mending(log.damage[0]!))!
  await mending.take(good)
  expect([mending.isOver, log.damage]).toEqual([true, []])
  expect(new Set(await served(log))).toEqual(new Set(['a']))
  await logs.close()
  const { findings } = await verify(directory)
  expect(findings.map(({ file }) => file)).toEqual([segmentsOf(directory, 'b-0')[1]])
})

test('a file of another log that ends too early is written again as a whole where what is missing does not fit behind it', async () => {
  const directory = await twoLogs()
  const [path, other] = logNames.map((name) => segmentsOf(directory, name)[1]!) as [string, string]
  const [good, theirs] = [readFileSync(path), readFileSync(other)]
  writeFileSync(path, theirs.subarray(0, theirs.readInt32BE(8) + 12))
  const logs = await open(directory)
  const log = logs.logs.get('a-0')!
  const { baseOffset, endOffset } = log.sealedSegments[1]!
  // It was sealed after the last checkpoint: nobody knows which batches it had.
  forget(log, baseOffset)
  expect(await log.findDamage(endOffset - 1)).toBe(true)
  const [range] = log.damage
  expect(range).toMatchObject({ file: path, baseOffset: baseOffset + 1, nextOffset: endOffset })
  // As the other replicas have them: packed otherwise.
  const value = 'a'.repeat(100)
  const values = Array.from({ length: endOffset - baseOffset }, () => value)
  const packed = batchOf(values, { baseOffset, leaderEpoch: 1 })
  const mending = (await log.mending(range!))!
  await expect(mending.take(packed)).rejects.toThrow('do not fit')
  const whole = (await log.mending(range!, true))!
  await whole.take(packed)
  expect([whole.isOver, log.damage]).toEqual([true, []])
  expect(readFileSync(path).equals(Buffer.from(packed))).toBe(true)
  expect(good.equals(packed)).toBe(false)
  expect((await readAll(log)).map((each) => each.offset)).toEqual([...Array(14).keys()])
  await logs.close()
})

test('a log that has rolled since it was last synced is not without what is known of its segments', async () => {
  const directory = temporaryDirectory()
  const journaled: LogConfig = { ...config, flush: 'journal' }
  const options = { logger: silentLogger, nodeId: 1, configFor: () => journaled }
  const logs = await LogDirectory.open(runtime, { directory, ...options })
  const log = await logs.createLog('a', 0, randomUuid(runtime.random), journaled)
  // Sealing goes on by itself, behind the appends.
  const sealed = async (count: number) => {
    while (log.sealedSegments.length < count) await new Promise((resolve) => setImmediate(resolve))
  }
  for (let offset = 0; offset < 14; offset++) {
    await append(log, batchOf(['a'.repeat(100)]), 1)
    if (offset !== 6) continue
    await sealed(1)
    await log.flush()
    await logs.checkpoint()
    expect(log.resumePoint).toMatchObject({ offset: 7, segmentBaseOffset: 4 })
  }
  await sealed(3)
  expect(log.recoveryPoint).toBeLessThan(log.logEndOffset)
  const [place] = decodeResume(log.resumePoint!.bytes, runtime.checksum)!.closed.segments
  const { baseOffset, sizeBytes, digest } = log.sealedSegments[0]!
  expect(place!.slice(0, 3)).toEqual([baseOffset, sizeBytes, digest])
  await logs.close()
})

test.each(['batch', 'journal'] as const)(
  'a segment that was active at a clean shutdown and is full when the power goes is not accused (%s)',
  async (flush) => {
    const directory = temporaryDirectory()
    const flushed: LogConfig = { ...config, flush }
    const options = { logger: silentLogger, nodeId: 1, configFor: () => flushed }
    const first = await LogDirectory.open(runtime, { directory, ...options })
    const log = await first.createLog('a', 0, randomUuid(runtime.random), flushed)
    await append(log, batchOf(['a'.repeat(100)]), 1)
    await first.close()
    const again = await LogDirectory.open(runtime, { directory, ...options })
    for (let index = 0; index < 9; index++) {
      await append(again.logs.get('a-0')!, batchOf(['a'.repeat(100)]), 1)
    }
    const copy = crashCopy(directory)
    await again.close()
    const recovered = await LogDirectory.open(runtime, { directory: copy, ...options })
    const found = recovered.logs.get('a-0')!
    expect(await readAll(found)).toHaveLength(10)
    // Sealing goes on by itself, behind the start.
    while (found.sealedSegments.length < 2) await new Promise((resolve) => setImmediate(resolve))
    expect(await scrub(recovered)).toEqual([])
    await recovered.close()
    expect((await verify(copy)).findings).toEqual([])
  },
)

test('a compacted segment of the same size is not accused by what was noted of the one before', async () => {
  const directory = temporaryDirectory()
  const compacted = { ...config, cleanupPolicy: { delete: false, compact: true }, deleteRetentionMs: 10 }
  const options = { logger: silentLogger, nodeId: 1, configFor: () => compacted }
  const clock = new ManualClock()
  clock.nowMs = 1_600_000_000_000
  const world = { ...runtime, clock }
  const logs = await LogDirectory.open(world, { directory, ...options })
  const log = await logs.createLog('keyed', 0, randomUuid(runtime.random), compacted)
  for (let index = 0; index < 20; index++) {
    const bytes = keyedBatch([{ key: `key ${index}`, value: null }], clock.nowMs)
    await append(log, bytes, 1)
  }
  // Sealing goes on by itself, behind the appends.
  while (log.sealedSegments.length < 2) await new Promise((resolve) => setImmediate(resolve))
  await logs.checkpoint()
  const before = log.sealedSegments
  // Compaction gives tombstones the time until which they stay, where another time was.
  await log.compact({ endOffset: log.logEndOffset, maxMapBytes: 1 << 20, maxBodyBytes: 1 << 20 })
  expect(log.sealedSegments.map(({ sizeBytes }) => sizeBytes)).toEqual(
    before.map(({ sizeBytes }) => sizeBytes),
  )
  expect(log.sealedSegments[0]!.digest).not.toBe(before[0]!.digest)
  const copy = crashCopy(directory)
  await logs.close()
  // As a crash has left it: no checkpoint was stored after the compaction.
  const after = await LogDirectory.open(world, { directory: copy, ...options })
  expect(await readAll(after.logs.get('keyed-0')!)).toHaveLength(20)
  expect(await scrub(after)).toEqual([])
  await after.close()
})

test('of a directory of an earlier release nothing is known until the scrubber has seen it', async () => {
  const directory = await twoLogs()
  const logs = await open(directory)
  const log = logs.logs.get('a-0')!
  // As they are when nothing was noted.
  for (const name of logNames)
    for (const each of logs.logs.get(name)!.sealedSegments) forget(logs.logs.get(name)!, each.baseOffset)
  expect(log.sealedSegments.map(({ digest }) => digest)).toEqual(log.sealedSegments.map(() => -1))
  expect(await scrub(logs)).toEqual([])
  expect(log.sealedSegments.some(({ digest }) => digest < 0)).toBe(false)
  await logs.close()
  exchange(directory, 1)
  const after = await open(directory)
  await expect(readAll(after.logs.get('a-0')!)).rejects.toMatchObject({ code: 'corruptLog' })
  await after.close()
})

function forget(log: Log, baseOffset: number): void {
  const { segments } = (
    log as unknown as {
      state: { segments: { all: { baseOffset: number; digest: number; firstDigest: number }[] } }
    }
  ).state
  const segment = segments.all.find((each) => each.baseOffset === baseOffset)!
  segment.digest = segment.firstDigest = -1
}

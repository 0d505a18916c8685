import { existsSync, readdirSync } from 'node:fs'
import { describe, expect, test } from 'vitest'
import { LeaderEpochs } from '../../src/segment/leaderEpochs.ts'
import type { LogConfig } from '../../src/segment/log.ts'
import { OffsetIndex } from '../../src/segment/offsetIndex.ts'
import { Segment } from '../../src/segment/segment.ts'
import { IndexCache } from '../../src/segment/segmentIndexes.ts'
import { TimeIndex } from '../../src/segment/timeIndex.ts'
import { temporaryDirectory } from '../support/temporaryDirectory.ts'
import {
  append,
  batchOf,
  filesIn,
  ManualClock,
  openLog,
  readAll,
  runtime,
  testConfig,
  valuesOf,
} from './support.ts'

async function logWith(config: Partial<LogConfig>, clock = new ManualClock()) {
  const directory = temporaryDirectory()
  const log = await openLog(directory, { config: { ...testConfig, ...config } }, { ...runtime, clock })
  return { log, directory, clock }
}

describe('a segment rolls', () => {
  test('when the next batch does not fit into segment.bytes', async () => {
    const size = batchOf(['a']).length
    const { log } = await logWith({ segmentBytes: size * 2 })
    for (const expected of [1, 1, 2, 2, 3]) {
      await append(log, batchOf(['a']))
      expect(log.segmentCount).toBe(expected)
    }
  })

  test('when timestamps have moved on by more than segment.ms since its first batch', async () => {
    const { log } = await logWith({ segmentMs: 100 })
    for (const [timestampMs, expected] of [
      [1000, 1],
      [1100, 1],
      [900, 1],
      [1101, 2],
      [1150, 2],
    ] as const) {
      await append(log, batchOf(['a'], { timestampMs }))
      expect(log.segmentCount).toBe(expected)
    }
  })

  test('after max.compaction.lag.ms at the latest where it is compacted: an active segment is not', async () => {
    for (const [compact, expected] of [
      [true, 2],
      [false, 1],
    ] as const) {
      const cleanupPolicy = { delete: false, compact }
      const { log } = await logWith({ segmentMs: 1000, maxCompactionLagMs: 100, cleanupPolicy })
      for (const timestampMs of [1000, 1100, 1101]) await append(log, batchOf(['a'], { timestampMs }))
      expect(log.segmentCount).toBe(expected)
    }
  })

  test('when an index is full', async () => {
    const { log } = await logWith({ segmentIndexBytes: 36, indexIntervalBytes: 0 })
    for (let index = 0; index < 8; index++) await append(log, batchOf(['a'], { timestampMs: 1000 + index }))
    expect(log.segmentCount).toBeGreaterThan(1)
  })

  test('when an offset would lie more than 2^31 - 1 after its base', () => {
    const segment = new Segment(10, runtime.disk.file('/nowhere'), 0, 0, true)
    const config = { ...testConfig, segmentBytes: 1 << 30, segmentMs: 1e12, segmentIndexBytes: 1 << 20 }
    expect(segment.mustRoll(10 + 2 ** 31 - 1, 100, 0, 0, config)).toBe(false)
    expect(segment.mustRoll(10 + 2 ** 31, 100, 0, 0, config)).toBe(true)
  })
})

describe('indexes', () => {
  test('have an entry after more than index.interval.bytes, at the places where Kafka has them', () => {
    const segment = new Segment(100, runtime.disk.file('/nowhere'), 0, 0, true)
    for (let batch = 0; batch < 6; batch++) segment.add(100 + batch * 2 + 1, 1000 + batch, 60, 100)
    // 60 and 120 bytes before the second and third batch; the entry comes once there were more than 100.
    expect(Buffer.from(segment.offsetIndex!.encode()).toString('hex')).toBe(
      '0000000500000078' + '000000090000' + '00f0',
    )
    segment.completeTimeIndex()
    expect([segment.timeIndex!.count, segment.timeIndex!.lastTimestampMs]).toEqual([3, 1005])
  })

  test('find the entry at or below an offset, a position, a time', () => {
    const index = new OffsetIndex()
    const times = new TimeIndex()
    for (const step of [1, 2, 3]) {
      index.append(step * 10, step * 1000)
      times.maybeAppend(step * 100, step * 10)
      times.maybeAppend(step * 100 - 50, step * 10 + 5)
    }
    expect([9, 10, 19, 20, 99].map((offset) => index.positionFor(offset))).toEqual([
      0, 1000, 1000, 2000, 3000,
    ])
    expect([999, 1000, 2999, 9999].map((position) => index.boundaryFor(position))).toEqual([
      0, 1000, 2000, 3000,
    ])
    expect([99, 100, 250, 999].map((time) => times.relativeOffsetFor(time))).toEqual([0, 10, 20, 30])
    expect(TimeIndex.decode(times.encode())!.encode()).toEqual(times.encode())
    expect(OffsetIndex.decode(index.encode(), 3001)!.encode()).toEqual(index.encode())
  })

  test.each<[string, Buffer]>([
    ['of an odd length', Buffer.alloc(9, 1)],
    ['of zeros', Buffer.alloc(16)],
    ['that points beyond the file', Buffer.from('0000000100001000', 'hex')],
    ['that goes back', Buffer.from('00000005000000100000000400000020', 'hex')],
  ])('%s are not believed', (_, bytes) => {
    expect(OffsetIndex.decode(bytes, 4096)).toBe(null)
  })
})

test('the cache of sealed indexes keeps the latest used ones within its bound', () => {
  const [first, second, third] = [0, 1, 2].map(
    (base) => new Segment(base, runtime.disk.file('/nowhere'), 0, 0, true),
  )
  const indexes = () => ({ offsetIndex: new OffsetIndex(new Int32Array(200)), timeIndex: new TimeIndex() })
  const cache = new IndexCache(2000)
  cache.put(first!, indexes())
  cache.put(second!, indexes())
  expect(cache.get(first!)).not.toBe(null)
  cache.put(third!, indexes())
  expect([first, second, third].map((segment) => cache.get(segment!) !== null)).toEqual([true, false, true])
  expect(cache.usedBytes).toBe(1600)
  cache.remove(first!)
  expect(cache.usedBytes).toBe(800)
})

describe('retention', () => {
  const size = batchOf(['a']).length

  test('by time removes whole segments whose newest record is too old, and only those', async () => {
    const { log, directory, clock } = await logWith({
      segmentBytes: size * 2,
      retentionMs: 1000,
      fileDeleteDelayMs: 500,
    })
    const start = clock.nowMs
    for (let batch = 0; batch < 6; batch++)
      await append(log, batchOf([`${batch}`], { timestampMs: start + batch * 100 }))
    clock.advance(1350)
    expect(await log.applyRetention()).toBe(2)
    expect([log.logStartOffset, log.segmentCount]).toEqual([4, 1])
    expect(valuesOf(await readAll(log))).toEqual(['4', '5'])
    expect(() => log.read(3, 100, 6, true)).toThrow('is outside [4, 6]')
    expect(filesIn(directory, '.log').length).toBe(3)
    clock.advance(500)
    await expect.poll(() => filesIn(directory, '.log').length).toBe(1)
  })

  test('keeps no process alive until the files may go', async () => {
    const clock = new ManualClock()
    let alive = 0
    const setTimer = clock.setTimer.bind(clock)
    clock.setTimer = (delayMs, fire) => {
      alive++
      return {
        ...setTimer(delayMs, fire),
        detach: () => {
          alive--
        },
      }
    }
    const { log } = await logWith({ segmentBytes: size, fileDeleteDelayMs: 60_000 }, clock)
    for (const value of ['0', '1', '2']) await append(log, batchOf([value]))
    await log.deleteRecordsBefore(2)
    expect([log.segmentCount, clock.pending, alive]).toEqual([1, 1, 0])
  })

  test('rolls an active segment that has expired as a whole, and keeps an empty one', async () => {
    const { log, clock } = await logWith({ retentionMs: 1000 })
    await append(log, batchOf(['a', 'b'], { timestampMs: clock.nowMs }))
    clock.advance(1001)
    expect(await log.applyRetention()).toBe(1)
    expect([log.logStartOffset, log.logEndOffset, log.segmentCount, log.sizeBytes]).toEqual([2, 2, 1, 0])
    expect(await log.applyRetention()).toBe(0)
    expect((await append(log, batchOf(['c'], { timestampMs: clock.nowMs }))).baseOffset).toBe(2)
  })

  test('by size keeps at least retention.bytes', async () => {
    const { log } = await logWith({ segmentBytes: size * 2, retentionMs: -1, retentionBytes: size * 3 })
    for (let batch = 0; batch < 8; batch++) await append(log, batchOf(['a']))
    expect(await log.applyRetention()).toBe(2)
    expect([log.logStartOffset, log.sizeBytes]).toEqual([4, size * 4])
  })

  test('removes nothing that is without limits', async () => {
    const { log, clock } = await logWith({ segmentBytes: size, retentionMs: -1, retentionBytes: -1 })
    for (let batch = 0; batch < 4; batch++) await append(log, batchOf(['a'], { timestampMs: 0 }))
    clock.advance(1e12)
    expect(await log.applyRetention()).toBe(0)
  })
})

describe('appends are refused', () => {
  test.each<[string, Partial<LogConfig>, Uint8Array, string]>([
    ['above max.message.bytes', { maxMessageBytes: 100 }, batchOf(['x'.repeat(100)]), 'messageTooLarge'],
    ['above segment.bytes', { segmentBytes: 100 }, batchOf(['x'.repeat(100)]), 'recordListTooLarge'],
    [
      'from the future',
      { timestampAfterMaxMs: 10 },
      batchOf(['x'], { timestampMs: 1_700_000_000_011 }),
      'invalidTimestamp',
    ],
    [
      'from the past',
      { timestampBeforeMaxMs: 10 },
      batchOf(['x'], { timestampMs: 1_699_999_999_989 }),
      'invalidTimestamp',
    ],
  ])('%s', async (_, config, bytes, code) => {
    const { log } = await logWith(config)
    await expect(append(log, bytes)).rejects.toMatchObject({ code })
    expect(log.logEndOffset).toBe(0)
  })

  test('and the broker sets the time when the topic says so', async () => {
    const { log, clock } = await logWith({ timestampType: 'logAppendTime', timestampBeforeMaxMs: 10 })
    const { logAppendTimeMs } = await append(log, batchOf(['x'], { timestampMs: 5 }))
    expect(logAppendTimeMs).toBe(clock.nowMs)
    expect((await readAll(log))[0]!.timestampMs).toBe(clock.nowMs)
    expect(await log.offsetForTimestamp(clock.nowMs)).toEqual({
      offset: 0,
      timestampMs: clock.nowMs,
      leaderEpoch: 0,
    })
  })
})

describe('leader epochs (KIP-101)', () => {
  test.each([
    [3, 90, { epoch: -1, endOffset: -1 }],
    [2, 90, { epoch: 2, endOffset: 90 }],
    [1, 90, { epoch: 0, endOffset: 50 }],
    [0, 90, { epoch: 0, endOffset: 50 }],
    [-1, 90, { epoch: -1, endOffset: -1 }],
  ])('epoch %i ends where the next one begins', (epoch, logEndOffset, expected) => {
    const epochs = new LeaderEpochs([
      { epoch: 0, startOffset: 10 },
      { epoch: 2, startOffset: 50 },
    ])
    expect(epochs.endOffsetFor(epoch, logEndOffset)).toEqual(expected)
    expect(LeaderEpochs.decode(epochs.encode())?.entries).toEqual(epochs.entries)
  })

  test('never go back', async () => {
    const { log } = await logWith({})
    await append(log, batchOf(['a']), 5)
    await expect(append(log, batchOf(['b']), 4)).rejects.toMatchObject({ code: 'fencedLeaderEpoch' })
    await append(log, batchOf(['c']), 5)
    expect([log.logEndOffset, log.leaderEpochs.latestEpoch]).toEqual([2, 5])
  })

  test('that go on in the segment that recovery begins in begin where they did', async () => {
    const directory = temporaryDirectory()
    const config = { ...testConfig, segmentBytes: 500 }
    const log = await openLog(directory, { config })
    for (const epoch of [1, 1, 1, 1, 2, 2, 2, 2, 2, 3, 4]) await append(log, batchOf(['a']), epoch)
    const { logEndOffset } = log
    const entries = [...log.leaderEpochs.entries]
    await log.close({ clean: false })
    const [last] = readdirSync(directory)
      .filter((name) => name.endsWith('.snapshot'))
      .map((name) => Number.parseInt(name, 10))
      .sort((a, b) => b - a)
    // Epoch 2 begins before the segment and goes on in it.
    expect([last! > 4, last! < 9]).toEqual([true, true])
    const epochs = new LeaderEpochs(entries)
    const again = await openLog(directory, { config, recoveryPoint: logEndOffset, epochs })
    expect(again.leaderEpochs.entries).toEqual(entries)
    await again.close({ clean: false })
  })

  test('survive a crash without their checkpoint', async () => {
    const directory = temporaryDirectory()
    const log = await openLog(directory)
    await append(log, batchOf(['a', 'b']), 1)
    await append(log, batchOf(['c']), 4)
    await log.close({ clean: false })
    expect(existsSync(`${directory}/leader-epoch-checkpoint`)).toBe(false)
    const reopened = await openLog(directory, { recoveryPoint: 3 })
    expect(reopened.offsetForLeaderEpoch(1)).toEqual({ epoch: 1, endOffset: 2 })
    expect(reopened.offsetForLeaderEpoch(4)).toEqual({ epoch: 4, endOffset: 3 })
    await reopened.close({ clean: false })
  })
})

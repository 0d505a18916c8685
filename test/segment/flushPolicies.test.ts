import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { type FlushPolicy, isDurable } from '../../src/model/flushPolicy.ts'
import type { Disk, DiskWrite } from '../../src/runtime/disk.ts'
import { BackgroundSync } from '../../src/segment/backgroundSync.ts'
import type { AppendResult } from '../../src/segment/log.ts'
import { checkBatch } from '../../src/segment/recordBatch.ts'
import { WriteGroup } from '../../src/segment/writeGroup.ts'
import { temporaryDirectory } from '../support/temporaryDirectory.ts'
import { HoldingDisk } from './faultyDisk.ts'
import { batchOf, ManualClock, openLog, readAll, runtime, testConfig, valuesOf } from './support.ts'

interface Appended extends AppendResult {
  readonly answered: Promise<string>
}

async function world(flush: FlushPolicy, segmentBytes = 1 << 20) {
  const disk = new HoldingDisk()
  const clock = new ManualClock()
  const directory = temporaryDirectory()
  const config = { ...testConfig, flush, segmentBytes }
  const on = { ...disk.runtime, clock }
  const log = await openLog(directory, { config }, on)
  const append = (...batches: Uint8Array[]): Appended => {
    const group = new WriteGroup(disk.disk)
    const results = batches.map((bytes) => log.append(checkBatch(bytes, runtime.checksum), bytes, 0, group))
    const answered = group.submit().then(
      () => 'written',
      (error) => error.code as string,
    )
    return { ...results.at(-1)!, answered }
  }
  /** Answers the oldest group that waits and says what it asked for. */
  const release = async (): Promise<string[]> => {
    const held = disk.held.shift()!
    await held.release()
    return held.group.map(({ sync }) => sync)
  }
  return { disk, clock, directory, log, append, release }
}

const a100 = (): Uint8Array => batchOf(['a'.repeat(100)])
const sizeOfA100 = a100().length

describe('interval', () => {
  test('acknowledges from the page cache and syncs once the time is up, only where something was written', async () => {
    const { clock, log, append, release } = await world({ intervalMs: 500 })
    expect(clock.timerCount).toBe(0)
    expect(append(a100()).survives).toBe('processKill')
    expect(await release()).toEqual(['none'])
    expect([log.flushedOffset, log.recoveryPoint, clock.timerCount]).toEqual([1, 0, 1])
    clock.advance(499)
    append(a100())
    await release()
    expect(clock.timerCount).toBe(1)
    clock.advance(1)
    await expect.poll(() => log.recoveryPoint).toBe(2)
    expect(clock.timerCount).toBe(0)
  })

  test('takes the log offline when the sync behind fails', async () => {
    const { disk, clock, log, append, release } = await world({ intervalMs: 500 })
    append(a100())
    await release()
    disk.syncGate = Promise.reject(new Error('injected'))
    disk.syncGate.catch(() => {})
    clock.advance(500)
    await expect.poll(() => log.offline?.code).toBe('diskFailed')
    expect(() => append(a100())).toThrow('a sync failed')
  })

  test('leaves no timer behind when the log closes', async () => {
    const { clock, log, append, release } = await world({ intervalMs: 500 })
    append(a100())
    await release()
    await log.close({ clean: false })
    expect(clock.timerCount).toBe(0)
  })
})

describe.each([
  ['records', { records: 3 }],
  ['bytes', { bytes: 3 * sizeOfA100 }],
] as const)('%s', (_, flush) => {
  test('syncs with the append that reaches the bound, which waits for it', async () => {
    const { clock, log, append, release } = await world(flush)
    expect([append(a100()), append(a100()), append(a100())].map(({ survives }) => survives)).toEqual([
      'processKill',
      'processKill',
      'powerLoss',
    ])
    expect(await release()).toEqual(['none'])
    expect(await release()).toEqual(['none'])
    expect([log.flushedOffset, log.recoveryPoint]).toEqual([2, 0])
    expect(await release()).toEqual(['dataAndName'])
    expect([log.flushedOffset, log.recoveryPoint]).toEqual([3, 3])
    append(a100())
    expect(await release()).toEqual(['none'])
    expect([log.flushedOffset, log.recoveryPoint, clock.timerCount]).toEqual([4, 3, 0])
  })

  test('syncs the segments before it, too', async () => {
    const { disk, append } = await world(flush, sizeOfA100)
    append(a100(), a100())
    append(a100())
    const syncs = disk.held.map(({ group }) => group.map(({ file, sync }) => [file.path.slice(-6), sync]))
    expect(syncs).toEqual([
      [
        ['00.log', 'none'],
        ['01.log', 'none'],
      ],
      [
        ['02.log', 'dataAndName'],
        ['00.log', 'dataAndName'],
        ['01.log', 'dataAndName'],
      ],
    ])
  })

  test('is reached by one group of many appends', async () => {
    const { log, append, release } = await world(flush)
    append(a100(), a100(), a100(), a100())
    expect(await release()).toEqual(['dataAndName'])
    expect([log.flushedOffset, log.recoveryPoint]).toEqual([4, 4])
  })

  test('is reached by the next append after one that reached it was undone', async () => {
    const { disk, log, append, release } = await world(flush)
    append(a100())
    await release()
    append(a100(), a100())
    await disk.held.shift()!.fail('diskFull')
    await log.truncate(1)
    expect(append(a100()).survives).toBe('powerLoss')
    expect(await release()).toEqual(['dataAndName'])
    expect([log.flushedOffset, log.recoveryPoint]).toEqual([2, 2])
  })
})

test.each([
  ['records', { records: 5 }],
  ['bytes', { bytes: 1000 }],
] as const)(
  'never are more than the bound of %s acknowledged and not synced (any batches, any groups)',
  async (_, flush) => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.array(fc.integer({ min: 1, max: 4 }), { minLength: 1, maxLength: 4 }), { maxLength: 12 }),
        fc.constantFrom(sizeOfA100, 1 << 20),
        async (groups, segmentBytes) => {
          const { disk, log, append } = await world(flush, segmentBytes)
          /** What a power cut cannot take: writes that a sync of their file has covered. */
          const unsynced = new Map<string, { bytes: number; records: number }>()
          for (const counts of groups) {
            append(...counts.map((count) => batchOf(Array.from({ length: count }, () => 'v'))))
            const held = disk.held.shift()!
            await held.release()
            for (const write of held.group) settle(unsynced, write)
            const all = [...unsynced.values()]
            const bytes = all.reduce((sum, each) => sum + each.bytes, 0)
            const records = all.reduce((sum, each) => sum + each.records, 0)
            expect('bytes' in flush ? bytes : records).toBeLessThan(
              'bytes' in flush ? flush.bytes : flush.records,
            )
          }
          await log.close({ clean: false })
        },
      ),
      { numRuns: 60 },
    )
  },
)

/** Counts a write's bytes and records for its file, or forgets those of a file that was synced. */
function settle(unsynced: Map<string, { bytes: number; records: number }>, write: DiskWrite): void {
  const { file, parts, sync } = write
  if (sync !== 'none') {
    unsynced.delete(file.path)
    return
  }
  const bytes = Buffer.concat(parts)
  const known = unsynced.get(file.path) ?? { bytes: 0, records: 0 }
  for (let at = 0; at < bytes.length; at += 12 + bytes.readInt32BE(at + 8))
    known.records += bytes.readInt32BE(at + 57)
  unsynced.set(file.path, { bytes: known.bytes + bytes.length, records: known.records })
}

describe('append', () => {
  test('gives each append a write and a sync of its own, one after the other', async () => {
    const { disk, log, append, release } = await world('append')
    const first = append(a100(), a100())
    append(a100())
    await expect.poll(() => disk.held.length).toBe(1)
    expect(await release()).toEqual(['dataAndName'])
    expect(log.flushedOffset).toBe(0)
    await expect.poll(() => disk.held.length).toBe(1)
    expect(await release()).toEqual(['data'])
    expect(await first.answered).toBe('written')
    expect(log.flushedOffset).toBe(2)
    await expect.poll(() => disk.held.length).toBe(1)
    expect(await release()).toEqual(['data'])
    await log.whenFlushed(3)
    expect([log.flushedOffset, log.recoveryPoint]).toEqual([3, 3])
    expect(valuesOf(await readAll(log)).length).toBe(3)
  })

  test('copies what it queues, so that the caller may use its memory again', async () => {
    const { disk, log, append, release } = await world('append')
    const bytes = a100()
    append(bytes)
    bytes.fill(0)
    await expect.poll(() => disk.held.length).toBe(1)
    await release()
    await log.whenFlushed(1)
    expect(valuesOf(await readAll(log))).toEqual(['a'.repeat(100)])
  })

  test('fails what was queued behind a failure, and carries out what comes after it', async () => {
    const { disk, log, append, release } = await world('append')
    const answers = [append(a100()).answered, append(a100()).answered]
    await expect.poll(() => disk.held.length).toBe(1)
    await disk.held.shift()!.fail('diskFull')
    expect(await Promise.all(answers)).toEqual(['diskFull', 'diskFull'])
    await log.truncate(0)
    append(a100())
    await expect.poll(() => disk.held.length).toBe(1)
    await release()
    await log.whenFlushed(1)
    expect(log.flushedOffset).toBe(1)
  })
})

describe('changing the policy while running', () => {
  const relaxed: FlushPolicy[] = ['none', { intervalMs: 10 }, { records: 10 }, { bytes: 1 << 20 }]
  const durable: FlushPolicy[] = ['journal', 'batch', 'append']
  const pairs = relaxed.flatMap((before) => durable.map((after) => [before, after] as const))

  test.each(pairs)(
    'from %j to %j holds acknowledgements until all before is synced',
    async (before, after) => {
      const { disk, log, append, release } = await world(before)
      append(a100())
      await release()
      let open = (): void => {}
      disk.syncGate = new Promise((resolve) => (open = resolve))
      log.updateConfig({ ...log.config, flush: after })
      expect(append(a100()).survives).toBe('powerLoss')
      await expect.poll(() => disk.held.length).toBe(1)
      await release()
      expect([log.flushedOffset, log.recoveryPoint]).toEqual([1, 0])
      open()
      await log.whenFlushed(2)
      expect([log.flushedOffset, log.recoveryPoint]).toEqual([2, 2])
    },
  )

  test('promises no more for a batch that is sent again than holds for the first one', async () => {
    const { log, append, release } = await world('none')
    const producer = { producerId: 1, producerEpoch: 0 }
    const batch = (baseSequence: number): Uint8Array => batchOf(['x'], { ...producer, baseSequence })
    append(batch(0))
    await release()
    append(batch(1))
    log.updateConfig({ ...log.config, flush: 'batch' })
    const again = (sequence: number) =>
      log.append(
        checkBatch(batch(sequence), runtime.checksum),
        batch(sequence),
        0,
        new WriteGroup(runtime.disk),
      )
    expect([again(0), again(1)].map(({ survives }) => survives)).toEqual(['processKill', 'processKill'])
    await release()
    await expect.poll(() => log.recoveryPoint).toBe(2)
    append(batch(2))
    expect([0, 1, 2].map((sequence) => again(sequence).survives)).toEqual([
      'powerLoss',
      'powerLoss',
      'powerLoss',
    ])
    await release()
  })

  test('from none to an interval starts the clock for what was written before', async () => {
    const { clock, log, append, release } = await world('none')
    append(a100())
    await release()
    expect(clock.timerCount).toBe(0)
    log.updateConfig({ ...log.config, flush: { intervalMs: 5 } })
    clock.advance(5)
    await expect.poll(() => log.recoveryPoint).toBe(1)
  })
})

test('flush makes everything durable under a relaxed policy', async () => {
  const { log, append, release } = await world('none', sizeOfA100)
  append(a100(), a100())
  await release()
  expect(isDurable(log.config.flush)).toBe(false)
  await log.flush()
  await expect.poll(() => log.recoveryPoint).toBe(2)
})

describe('syncing behind', () => {
  function countingDisk(withFileSystem: boolean) {
    const calls = { files: 0, fileSystems: 0, fails: false }
    const disk = {
      syncDirectory: () => Promise.resolve(),
      ...(withFileSystem
        ? {
            syncFileSystem: async () => {
              calls.fileSystems++
              if (calls.fails) throw new Error('injected')
            },
          }
        : {}),
    } as unknown as Disk
    const target = (told: string[]) => ({
      takeUnsynced: () => ({
        files: [{ sync: async () => void calls.files++ } as never],
        directories: [],
        written: Promise.resolve(),
        synced: () => void told.push('synced'),
        failed: async () => {
          told.push('failed')
          return null
        },
      }),
    })
    return { calls, sync: new BackgroundSync({ ...runtime, disk }, '/data'), target }
  }

  test.each([
    [10, true, { files: 10, fileSystems: 0 }],
    [100, true, { files: 0, fileSystems: 1 }],
    [100, false, { files: 100, fileSystems: 0 }],
  ])('%i logs at once, where a file system can be synced: %s', async (count, withFileSystem, expected) => {
    const { calls, sync, target } = countingDisk(withFileSystem)
    const told: string[] = []
    for (let at = 0; at < count; at++) sync.request(target(told))
    await sync.idle()
    expect(calls).toMatchObject(expected)
    expect(told).toEqual(Array.from({ length: count }, () => 'synced'))
  })

  test('finds out whose file it was after the sync of a whole file system has failed', async () => {
    const { calls, sync, target } = countingDisk(true)
    calls.fails = true
    const told: string[] = []
    const bad = () => Promise.reject(new Error('injected'))
    const sick = {
      takeUnsynced: () => ({ ...target(told).takeUnsynced(), files: [{ sync: bad } as never] }),
    }
    await sync.sync([sick, ...Array.from({ length: 70 }, () => target(told))])
    expect(calls).toMatchObject({ files: 70, fileSystems: 1 })
    expect(told.sort()).toEqual(['failed', ...Array.from({ length: 70 }, () => 'synced')])
  })
})

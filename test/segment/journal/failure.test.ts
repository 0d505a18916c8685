import { expect, test } from 'vitest'
import { EngineError } from '../../../src/model/errors.ts'
import { Journal } from '../../../src/segment/journal/journal.ts'
import type { JournalOptions } from '../../../src/segment/journal/journalOptions.ts'
import type { JournalReplay } from '../../../src/segment/journal/journalReplay.ts'
import { SimFileSystem } from '../../../src/testing/simFileSystem.ts'
import { SimRandom } from '../../../src/testing/simRandom.ts'
import { createSimRuntime, type SimRuntime } from '../../../src/testing/simRuntime.ts'
import type { DiskCall, DiskFault } from '../../../src/testing/systemCalls.ts'
import { crash, directory, numbered, numbersIn, tiny } from './support.ts'

type Faults = (call: DiskCall) => DiskFault | null

interface Opened {
  readonly journal: Journal
  readonly replay: JournalReplay
  readonly runtime: SimRuntime
  readonly fs: SimFileSystem
}

async function open(
  fs: SimFileSystem = new SimFileSystem(),
  options: Partial<JournalOptions> = {},
  faults: Faults = () => null,
): Promise<Opened> {
  const runtime = createSimRuntime(fs, { seed: 1, faults })
  await runtime.disk.makeDirectory('/data')
  await runtime.disk.syncDirectory('/')
  const opened = await Journal.open(runtime, { ...tiny, directory, ...options })
  return { ...opened, runtime, fs }
}

/** What `numbersIn` gives for entries that are no appends. */
const notNumbered = -1

async function turns(count: number): Promise<void> {
  for (let turn = 0; turn < count; turn++) await null
}

const isJournalFile = (path: string): boolean => path.includes('/journal-')

test('full frames do not wait for those before them, one that still fills up does', async () => {
  const { journal, runtime } = await open(undefined, { fileBytes: 8 << 20, journalBytes: 32 << 20 })
  await journal.commit([numbered(0, 10)])
  const { disk } = runtime
  const submit = disk.submit.bind(disk)
  let submits = 0
  disk.submit = (group) => {
    // Files that are made ready are filled with zeros.
    if (group[0]!.parts[0]!.subarray(0, 64).some((byte) => byte !== 0)) submits++
    return submit(group)
  }
  const done = journal.commit([1, 2, 3, 4, 5].map((id) => numbered(id, 600_000)))
  await turns(1)
  expect(submits).toBe(4)
  await done
  expect(journal.flushedSequence).toBe(6)
  await journal.close({ clean: true })
})

test('a failed sync fails everything from then on, and is not tried again', async () => {
  let fails = false
  let syncs = 0
  const { journal } = await open(undefined, {}, ({ kind, path }) => {
    if (!fails || kind !== 'sync' || !isJournalFile(path)) return null
    syncs++
    return syncs === 1 ? { code: 'EIO' } : null
  })
  await journal.commit([numbered(0, 10)])
  fails = true
  const first = journal.commit([numbered(1, 10)])
  await turns(1)
  const second = journal.commit([numbered(2, 10)])
  await expect(first).rejects.toMatchObject({ code: 'diskFailed' })
  await expect(second).rejects.toMatchObject({ code: 'diskFailed' })
  const synced = syncs
  await expect(journal.commit([numbered(3, 10)])).rejects.toMatchObject({ code: 'diskFailed' })
  expect(journal.failed?.code).toBe('diskFailed')
  expect(journal.flushedSequence).toBe(1)
  expect(journal.queuedBytes).toBe(0)
  await turns(100)
  expect(syncs).toBe(synced)
  journal.host = { syncBehind: async () => ({ logs: [] }) }
  await expect(journal.checkpoint()).rejects.toMatchObject({ code: 'diskFailed' })
  await journal.close({ clean: true })
})

test('a journal whose sync failed is read from the disk at the next start', async () => {
  let fails = false
  const opened = await open(undefined, {}, ({ kind, path }) =>
    fails && kind === 'sync' && isJournalFile(path) ? { code: 'EIO' } : null,
  )
  await opened.journal.commit([numbered(0, 10)])
  fails = true
  await expect(opened.journal.commit([numbered(1, 4_000)])).rejects.toMatchObject({ code: 'diskFailed' })
  opened.runtime.disk.kill()
  // The page cache still shows the frame; the disk never got all of it.
  const again = await open(opened.fs)
  const numbers = await numbersIn(again.replay)
  again.fs.dropCached(again.fs.fileAt(`${directory}/journal-00000001`))
  expect(await numbersIn(again.replay)).toEqual(numbers)
})

test('a full journal makes commits wait, then refuses them, and goes on once its files are free', async () => {
  const { journal } = await open(undefined, { maxQueuedBytes: 40_000 })
  const settled: number[] = []
  const waiting: Promise<unknown>[] = []
  let refused: unknown = null
  for (let id = 0; refused === null; id++) {
    await turns(200)
    const commit = journal.commit([numbered(id, 6_000)])
    waiting.push(
      commit.then(
        () => settled.push(id),
        (error) => (refused ??= error),
      ),
    )
    await turns(1)
  }
  expect(refused).toMatchObject({ code: 'queueFull' })
  expect(journal.isFull).toBe(true)
  expect(journal.failed).toBeNull()
  expect(journal.totalBytes).toBe(tiny.journalBytes)
  const before = settled.length
  journal.host = { syncBehind: async () => ({ logs: [] }) }
  await Promise.all(waiting)
  expect(settled.length).toBe(waiting.length - 1)
  expect(settled.length).toBeGreaterThan(before)
  expect(journal.isFull).toBe(false)
  await journal.room()
  await journal.commit([numbered(1_000, 6_000)])
  await journal.close({ clean: true })
})

test('a full journal that nobody empties can be closed; what waits is refused', async () => {
  const { journal } = await open()
  let settled = 0
  const commits = Array.from({ length: 40 }, (_, id) =>
    journal.commit([numbered(id, 6_000)]).then(() => settled++),
  )
  const results = Promise.allSettled(commits)
  await turns(500)
  expect(journal.isFull).toBe(true)
  await journal.close({ clean: true })
  const refused = (await results).filter(({ status }) => status === 'rejected')
  expect(refused.length).toBe(40 - settled)
  expect(refused.length).toBeGreaterThan(0)
  expect(refused[0]).toMatchObject({ reason: { code: 'closed' } })
  await journal.close({ clean: true })
  await expect(journal.commit([numbered(99, 1)])).rejects.toMatchObject({ code: 'closed' })
})

test('without room for another file the journal goes on with those that it has', async () => {
  const { journal, fs } = await open()
  journal.host = { syncBehind: async () => ({ logs: [] }) }
  for (let id = 0; id < 6; id++) await journal.commit([numbered(id, 6_000)])
  await turns(500)
  const files = journal.totalBytes
  fs.capacityBytes = fs.usedBytes
  for (let id = 6; id < 60; id++) await journal.commit([numbered(id, 6_000)])
  expect(journal.totalBytes).toBeLessThanOrEqual(files + tiny.fileBytes)
  await journal.close({ clean: true })
})

/** A journal whose files take nothing while `isFull`: each write stores a little and says that there is no room. */
async function withFullDisk() {
  const state = { isFull: false, refusals: 0 }
  const opened = await open(undefined, {}, ({ kind, path }) => {
    if (!state.isFull || kind !== 'write' || !isJournalFile(path)) return null
    state.refusals++
    return { code: 'ENOSPC', writtenBytes: 5_000 }
  })
  await opened.journal.commit([numbered(0, 6_000)])
  return { ...opened, state }
}

async function numbersAfterPowerLoss(fs: SimFileSystem): Promise<number[]> {
  const again = await open(new SimFileSystem({ image: crash(fs, new SimRandom(1), 0) }))
  return numbersIn(again.replay)
}

test('writes that the disk refuses once are made when there is room, and nobody hears of it', async () => {
  const { journal, runtime, fs, state } = await withFullDisk()
  state.isFull = true
  const commits = [1, 2, 3, 4, 5].map(async (id) => {
    await turns(id * 3)
    await journal.commit([numbered(id, 6_000)])
  })
  await turns(500)
  expect(journal.flushedSequence).toBe(1)
  expect(state.refusals).toBeGreaterThan(0)
  state.isFull = false
  runtime.clock.advance(1_000)
  await Promise.all(commits)
  runtime.disk.kill()
  expect(await numbersAfterPowerLoss(fs)).toEqual([0, 1, 2, 3, 4, 5])
})

test('appends are refused once the disk has refused twice; what cannot be done without waits; then all goes on', async () => {
  const { journal, runtime, fs, state } = await withFullDisk()
  state.isFull = true
  const appended = expect(journal.commit([numbered(1, 6_000)])).rejects.toMatchObject({ code: 'diskFull' })
  await turns(500)
  let isDone = false
  const vital = journal.commit([{ type: 'truncated', logId: numbered(0, 0).logId }]).then(() => {
    isDone = true
  })
  runtime.clock.advance(1_000)
  await appended
  await expect(journal.commit([numbered(2, 6_000)])).rejects.toMatchObject({ code: 'diskFull' })
  expect(journal.failed).toBeNull()
  // Whoever waits for room is told, too: there is some, and the next append is refused.
  await journal.room()
  runtime.clock.advance(5_000)
  await turns(500)
  expect(isDone).toBe(false)
  state.isFull = false
  runtime.clock.advance(1_000)
  await vital
  await journal.commit([numbered(3, 6_000)])
  runtime.disk.kill()
  // What was on its way to the disk may be there; whoever was refused makes it void. What came later was never taken.
  expect(await numbersAfterPowerLoss(fs)).toEqual([0, 1, notNumbered, 3])
})

test('appends are refused when there is neither room for another file nor one that can be used again', async () => {
  const { journal, runtime, fs } = await open()
  let stores = false
  journal.host = {
    syncBehind: async () => {
      if (!stores) throw new EngineError('diskFailed', 'cannot be stored')
      return { logs: [] }
    },
  }
  await journal.commit([numbered(0, 6_000)])
  await turns(500)
  fs.capacityBytes = fs.usedBytes
  const seen: unknown[] = []
  const commits = Array.from({ length: 20 }, (_, id) =>
    journal.commit([numbered(id + 1, 6_000)]).catch((error) => seen.push(error)),
  )
  for (let second = 0; second < 5; second++) {
    await turns(500)
    runtime.clock.advance(1_000)
  }
  await Promise.all(commits)
  expect(seen.length).toBeGreaterThan(0)
  for (const error of seen) expect(['diskFull', 'queueFull']).toContain((error as EngineError).code)
  fs.capacityBytes = Number.POSITIVE_INFINITY
  stores = true
  for (let second = 0; second < 3; second++) {
    runtime.clock.advance(1_000)
    await turns(500)
  }
  await journal.commit([numbered(99, 6_000)])
  await journal.close({ clean: true })
})

test('a journal whose disk takes nothing can be closed; what waits is refused', async () => {
  let refuses = false
  const { journal } = await open(undefined, {}, ({ kind, path }) =>
    refuses && kind === 'write' && isJournalFile(path) ? { code: 'ENOSPC' } : null,
  )
  await journal.commit([numbered(0, 10)])
  refuses = true
  const refused = expect(journal.commit([numbered(1, 10)])).rejects.toMatchObject({ code: 'diskFailed' })
  await journal.close({ clean: true })
  await refused
})

test('what others have queued makes the journal wait, not fail', async () => {
  const fs = new SimFileSystem()
  const runtime = createSimRuntime(fs, { seed: 1, maxQueuedBytes: 100_000 })
  await runtime.disk.makeDirectory('/data')
  const { journal } = await Journal.open(runtime, { ...tiny, directory })
  await journal.commit([numbered(0, 10)])
  const file = runtime.disk.file('/data/segment')
  let at = 0
  const fill = (): Promise<void> => {
    const write = { file, position: at++, parts: [new Uint8Array(99_000)], sync: 'data' as const }
    return runtime.disk.submit([write])
  }
  for (let id = 1; id < 15; id++) {
    const filled = runtime.disk.queuedBytes === 0 ? fill() : Promise.resolve()
    const committed = journal.commit([numbered(id, 3_000)])
    await turns(id % 7)
    await Promise.all([filled, committed])
  }
  expect(journal.failed).toBeNull()
  await journal.close({ clean: false })
})

test('a host that cannot store keeps the files; the next try lets go of them', async () => {
  const { journal, runtime } = await open()
  let tries = 0
  journal.host = {
    async syncBehind() {
      if (++tries < 3) throw new Error('no')
      return { logs: [] }
    },
  }
  const commits = Array.from({ length: 40 }, (_, id) => journal.commit([numbered(id, 6_000)]))
  for (let second = 0; second < 20; second++) {
    await turns(2_000)
    runtime.clock.advance(1_000)
  }
  await Promise.all(commits)
  expect(tries).toBeGreaterThanOrEqual(3)
  await journal.close({ clean: true })
})

test('refuses what is larger than a frame may be, and takes nothing of it', async () => {
  const { journal } = await open()
  const large = numbered(1, journal.maxEntryBytes)
  await expect(journal.commit([numbered(0, 1), large])).rejects.toMatchObject({ code: 'messageTooLarge' })
  expect(journal.queuedBytes).toBe(0)
  await journal.commit([numbered(2, journal.maxEntryBytes - 100)])
  await journal.close({ clean: false })
})

test('refuses the journal of another data directory, and a file of one', async () => {
  const mine = await open()
  await mine.journal.commit([numbered(0, 10)])
  await mine.journal.close({ clean: false })
  const otherId = new Uint8Array(16).fill(1)
  await expect(open(mine.fs, { directoryId: otherId })).rejects.toMatchObject({ code: 'directoryForeign' })
  const other = await open(new SimFileSystem(), { directoryId: otherId })
  await other.journal.commit([numbered(0, 10)])
  await other.journal.close({ clean: false })
  const file = `${directory}/journal-00000001`
  mine.fs.damage(file, () => other.fs.contentOf(file))
  await expect(open(mine.fs)).rejects.toMatchObject({ code: 'directoryForeign' })
})

test('a journal with a smaller bound than it had gives files back, and keeps what they held', async () => {
  const { fs, journal } = await open(undefined, { journalBytes: 20 * tiny.fileBytes })
  for (let id = 0; id < 60; id++) await journal.commit([numbered(id, 6_000)])
  await journal.close({ clean: false })
  const small = { journalBytes: 3 * tiny.fileBytes }
  const { journal: again, replay } = await open(fs, small)
  expect(await numbersIn(replay)).toEqual(Array.from({ length: 60 }, (_, id) => id))
  const before = again.totalBytes
  again.host = { syncBehind: async () => ({ logs: [] }) }
  await again.commit([numbered(60, 6_000)])
  await again.checkpoint()
  expect(before).toBeGreaterThan(small.journalBytes)
  expect(again.totalBytes).toBeLessThanOrEqual(small.journalBytes)
  await again.close({ clean: true })
  const files = fs.list(directory).filter(({ name }) => name.startsWith('journal-'))
  expect(files.length * tiny.fileBytes).toBeLessThanOrEqual(small.journalBytes)
})

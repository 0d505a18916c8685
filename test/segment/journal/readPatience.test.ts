import { expect, test } from 'vitest'
import { Journal } from '../../../src/segment/journal/journal.ts'
import type { JournalReplay } from '../../../src/segment/journal/journalReplay.ts'
import { settle } from '../../../src/testing/crash/world.ts'
import { SimFileSystem } from '../../../src/testing/simFileSystem.ts'
import { SimRandom } from '../../../src/testing/simRandom.ts'
import { createSimRuntime } from '../../../src/testing/simRuntime.ts'
import type { DiskCall } from '../../../src/testing/systemCalls.ts'
import { directory, numbered, numbersIn, tiny } from './support.ts'

/** A machine whose journal has three entries, one a frame, that nothing else has. */
async function machine(): Promise<SimFileSystem> {
  const fs = new SimFileSystem()
  const runtime = createSimRuntime(fs, { seed: 1 })
  await runtime.disk.makeDirectory('/data')
  await runtime.disk.syncDirectory('/')
  const { journal } = await Journal.open(runtime, { ...tiny, directory })
  for (let id = 0; id < 3; id++) await journal.commit([numbered(id, 10)])
  await journal.close({ clean: false })
  return fs
}

/** What a start finds when some reads fail, and how long it takes, in milliseconds. */
async function start(
  fs: SimFileSystem,
  fails: (call: DiskCall, nowMs: number) => boolean,
): Promise<{ readonly replay: JournalReplay; readonly numbers: readonly number[]; readonly tookMs: number }> {
  const clock = createSimRuntime(fs).clock
  const beganMs = clock.monotonicMs()
  const passed = (): number => clock.monotonicMs() - beganMs
  const runtime = createSimRuntime(fs, {
    seed: 2,
    clock,
    faults: (call) => (call.kind === 'read' && fails(call, passed()) ? { code: 'EIO' } : null),
  })
  const { replay } = await settle(runtime, Journal.open(runtime, { ...tiny, directory }))
  const numbers = await settle(runtime, numbersIn(replay))
  return { replay, numbers, tookMs: passed() }
}

const covers = ({ path, position, length }: DiskCall, at: number): boolean =>
  path.includes('/journal-') && position <= at && at < position + length

test.each([1, 0.5, 0.1])(
  'reads that fail for a while cost nothing of what was durable (a share of %d)',
  async (share) => {
    const random = new SimRandom(7)
    const { replay, numbers } = await start(
      await machine(),
      (_, nowMs) => nowMs < 2500 && random.chance(share),
    )
    expect(numbers).toEqual([0, 1, 2])
    expect(replay.verdict).toEqual({ end: 'clean', rot: [] })
    expect(replay.damagedFiles).toEqual([])
  },
)

test('a sector that cannot be read costs its frame and some seconds, not the start', async () => {
  const { replay, numbers, tookMs } = await start(await machine(), (call) => covers(call, 8_192))
  expect(numbers).toEqual([0, 2])
  expect(replay.verdict.rot).toMatchObject([{ fromSequence: 2, toSequence: 2, position: 8_192 }])
  expect(tookMs).toBeGreaterThan(5_000)
})

test('many sectors that cannot be read keep a start no longer than one', async () => {
  const { replay, numbers, tookMs } = await start(
    await machine(),
    (call) => call.path.includes('/journal-') && call.position + call.length > 8_192,
  )
  expect(numbers).toEqual([0])
  expect(replay.verdict.end).toBe('tearUnproven')
  expect(tookMs).toBeLessThan(15_000)
})

test('a checkpoint that cannot be read for a while is not taken for a damaged one', async () => {
  const { numbers } = await start(
    await machine(),
    ({ path }, nowMs) => path.includes('/checkpoint-') && nowMs < 2500,
  )
  expect(numbers).toEqual([0, 1, 2])
})

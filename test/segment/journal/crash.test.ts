import fc from 'fast-check'
import { expect, test } from 'vitest'
import type { Image } from '../../../src/testing/medium.ts'
import type { SimFileSystem } from '../../../src/testing/simFileSystem.ts'
import { SimRandom } from '../../../src/testing/simRandom.ts'
import {
  type Action,
  crash,
  forgetFrom,
  hostOf,
  logCheckpoint,
  newTruth,
  numbersIn,
  openWorld,
  run,
  type Truth,
} from './support.ts'

const size = fc.oneof(fc.nat({ max: 50 }), fc.nat({ max: 7_000 }))
const action: fc.Arbitrary<Action> = fc.oneof(
  {
    weight: 8,
    arbitrary: fc.record({
      type: fc.constant('commit' as const),
      sizes: fc.array(size, { minLength: 1, maxLength: 4 }),
    }),
  },
  { weight: 4, arbitrary: fc.record({ type: fc.constant('turns' as const), count: fc.nat({ max: 40 }) }) },
  { weight: 2, arbitrary: fc.constant({ type: 'settle' as const }) },
  {
    weight: 1,
    arbitrary: fc.constantFrom({ type: 'wait' as const, ms: 60 }, { type: 'wait' as const, ms: 6_000 }),
  },
)
const life = fc.record({
  actions: fc.array(action, { minLength: 3, maxLength: 40, size: 'max' }),
  crashAt: fc.integer({ min: 1, max: 200 }),
  keep: fc.constantFrom(0, 0.1, 0.5, 0.9, 1),
  seed: fc.nat(),
})

/** What the next start has to know: entries up to `acked` must be there. */
interface Before {
  readonly image: Image
  readonly acked: number
  readonly stored: number
}

test('whatever a crash leaves, what was acknowledged is replayed in order, and nothing else', async () => {
  let cuts = 0
  await fc.assert(
    fc.asyncProperty(fc.array(life, { minLength: 1, maxLength: 4, size: 'max' }), async (lives) => {
      const truth = newTruth()
      let before: Before | null = null
      for (const { actions, crashAt, keep, seed } of lives) {
        const random = new SimRandom(seed)
        let events = 0
        const take = (fs: SimFileSystem): Before => ({
          image: crash(fs, random, keep),
          acked: truth.acked,
          stored: truth.stored,
        })
        let next: Before | null = null
        truth.acked = before?.acked ?? 0
        truth.stored = before?.stored ?? 1
        const world = await openWorld(before?.image ?? null, seed, truth, {}, (fs) => {
          if (++events === crashAt) next = take(fs)
        })
        // What was not acknowledged and is lost was never there.
        forgetFrom(truth, await check(world.replay, truth, before))
        if (world.replay.verdict.end !== 'clean') cuts++
        world.journal.host = hostOf(truth, random)
        await run(world, truth, actions)
        before = next ?? take(world.fs)
        world.runtime.disk.kill()
      }
      const last = await openWorld(before!.image, 1, truth)
      await check(last.replay, truth, before)
    }),
    { numRuns: 300 },
  )
  expect(cuts).toBeGreaterThan(10)
}, 60_000)

/** Compares a replay with what must be in it; returns the number of the first entry that does not exist. */
async function check(
  replay: Awaited<ReturnType<typeof openWorld>>['replay'],
  truth: Truth,
  before: Before | null,
): Promise<number> {
  const numbers = await numbersIn(replay)
  expect(await numbersIn(replay)).toEqual(numbers)
  const from = replay.checkpoint?.replayFrom.sequence ?? 1
  expect(from).toBeLessThanOrEqual(before?.stored ?? 1)
  const logs = replay.checkpoint?.logs ?? []
  expect(logs).toEqual(logs.map((_, log) => logCheckpoint(log, from)))
  expect(replay.verdict.rot).toEqual([])
  expect(replay.damagedFiles).toEqual([])
  // Everything below the checkpoint is stored elsewhere; the replay goes on from there without a gap.
  let first = 0
  while (truth.sequenceOf.has(first) && truth.sequenceOf.get(first)! < from) first++
  expect(numbers).toEqual(numbers.map((_, index) => first + index))
  expect(first + numbers.length).toBeGreaterThanOrEqual(before?.acked ?? 0)
  return first + numbers.length
}

import fc from 'fast-check'
import { expect, test } from 'vitest'
import { CoordinatorWorld } from './support/coordinatorWorld.ts'
import { settle } from './support/fakeClock.ts'

type Action =
  | { readonly type: 'commit'; readonly group: number; readonly partition: number }
  | { readonly type: 'flush' | 'crash' }
  | { readonly type: 'deleteGroup'; readonly group: number }

const groups = [0, 1, 2, 3, 4, 5]
const group = fc.constantFrom(...groups)
const action: fc.Arbitrary<Action> = fc.oneof(
  { weight: 8, arbitrary: fc.record({ type: fc.constant('commit' as const), group, partition: fc.nat(2) }) },
  { weight: 4, arbitrary: fc.constant({ type: 'flush' as const }) },
  { weight: 1, arbitrary: fc.constant({ type: 'crash' as const }) },
  { weight: 1, arbitrary: fc.record({ type: fc.constant('deleteGroup' as const), group }) },
)

/** Logs so small, and batches so short, that a rewrite of several writes is nearly always under way. */
const tiny = { offsetsLogBytes: 1_000, offsetsBatchBytes: 250 }

test('whatever is rewritten meanwhile, a kill at any moment loses nothing that was answered', async () => {
  let rewrites = 0
  await fc.assert(
    fc.asyncProperty(fc.array(action, { minLength: 40, maxLength: 120, size: 'max' }), async (actions) => {
      const world = await CoordinatorWorld.start(tiny)
      world.disk.autoFlush = false
      let nextOffset = 1
      /** Per key: what may be there after a kill. The answered value, and all that was asked for since. */
      const possible = new Map<string, number[]>()
      const may = (key: string): number[] => possible.get(key) ?? [-1]
      const set = (key: string, value: number, answered: Promise<boolean>): void => {
        possible.set(key, [...may(key), value])
        void answered.then((isDone) => {
          const values = may(key)
          if (isDone) possible.set(key, values.slice(values.indexOf(value)))
        })
      }
      for (const step of actions) {
        if (step.type === 'flush') world.disk.flush()
        else if (step.type === 'commit') {
          const { group, partition } = step
          const offset = nextOffset++
          const sent = world.commit(offset, { groupId: `g${group}`, partition })
          const answered = sent.then((response) => response.topics[0]!.partitions[0]!.errorCode === 0)
          set(`${group}/${partition}`, offset, answered)
        } else if (step.type === 'deleteGroup') {
          const sent = world.coordinator.deleteGroups({ groupsNames: [`g${step.group}`] })
          const answered = sent.then(({ results }) => results[0]!.errorCode === 0)
          for (const partition of [0, 1, 2]) set(`${step.group}/${partition}`, -1, answered)
        } else {
          rewrites += world.log.logStartOffset > 0 ? 1 : 0
          await world.restart()
          for (const group of groups) {
            for (const partition of [0, 1, 2]) {
              const key = `${group}/${partition}`
              const found = world.offset('t', partition, `g${group}`)
              expect(may(key)).toContain(found)
              possible.set(key, [found])
            }
          }
        }
        await settle()
      }
    }),
    { numRuns: 150 },
  )
  expect(rewrites).toBeGreaterThan(50)
})

test('a rewrite goes in slices between the requests, and nothing is deleted before it is whole', async () => {
  const world = await CoordinatorWorld.start({ offsetsLogBytes: 20_000, offsetsBatchBytes: 1_000 })
  for (const index of Array.from({ length: 50 }, (_, each) => each))
    await world.commit(index, { groupId: `g${index}` })
  let offset = 0
  while (world.log.logStartOffset === 0) {
    await world.commit(++offset, { groupId: 'hot' })
    const groupIds = new Set(world.log.records().map(({ key }) => Buffer.from(key!).toString('latin1')))
    expect(groupIds.size).toBe(51)
  }
  expect(offset).toBeGreaterThan(100)
  await world.restart()
  expect([world.offset('t', 0, 'g0'), world.offset('t', 0, 'g49'), world.offset('t', 0, 'hot')]).toEqual([
    0,
    49,
    offset,
  ])
})

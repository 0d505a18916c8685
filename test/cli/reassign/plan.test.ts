import fc from 'fast-check'
import { expect, test } from 'vitest'
import { type Assignment, balancedPlan, parsePlan, planText } from '../../../src/cli/reassign/plan.ts'

/** Partitions 0, 1, … of one topic with these replicas. */
function partitions(...replicas: readonly (readonly number[])[]): readonly Assignment[] {
  return replicas.map((each, partition) => ({ topic: 't', partition, replicas: each }))
}

function brokers(...ids: readonly number[]): readonly { id: number; rack: string | null }[] {
  return ids.map((id) => ({ id, rack: null }))
}

/** How many replicas each broker has. */
function load(plan: readonly Assignment[]): Record<number, number> {
  const count: Record<number, number> = {}
  for (const id of plan.flatMap(({ replicas }) => replicas)) count[id] = (count[id] ?? 0) + 1
  return count
}

test('a new broker gets its share, and nothing else moves', () => {
  const before = partitions([1, 2, 3], [2, 3, 1], [3, 1, 2], [1, 3, 2])
  const plan = balancedPlan(before, brokers(1, 2, 3, 4), null)
  expect(load(plan)).toEqual({ 1: 3, 2: 3, 3: 3, 4: 3 })
  const kept = plan.flatMap(({ replicas }, index) =>
    replicas.filter((id) => before[index]!.replicas.includes(id)),
  )
  expect(kept).toHaveLength(9)
})

test('brokers that are not named lose everything', () => {
  const plan = balancedPlan(partitions([1, 2], [2, 3], [3, 1]), brokers(2, 3, 4), null)
  expect(load(plan)).toEqual({ 2: 2, 3: 2, 4: 2 })
})

test('the number of copies can be changed both ways, within the number of brokers', () => {
  const before = partitions([1], [2])
  const more = balancedPlan(before, brokers(1, 2, 3), 3)
  expect(more.map(({ replicas }) => [...replicas].sort())).toEqual([
    [1, 2, 3],
    [1, 2, 3],
  ])
  expect(balancedPlan(more, brokers(1, 2, 3), 1).map(({ replicas }) => replicas.length)).toEqual([1, 1])
  expect(() => balancedPlan(before, brokers(1, 2), 3)).toThrow(
    't-0 is to have 3 replicas, and there are 2 brokers to put them on',
  )
})

test('replicas go to different racks as far as there are some', () => {
  const racks = [
    { id: 1, rack: 'a' },
    { id: 2, rack: 'a' },
    { id: 3, rack: 'b' },
    { id: 4, rack: 'b' },
  ]
  const plan = balancedPlan(partitions([1], [1], [2], [2]), racks, 2)
  for (const { replicas } of plan) {
    expect(new Set(replicas.map((id) => racks.find((each) => each.id === id)!.rack)).size).toBe(2)
  }
  expect(load(plan)).toEqual({ 1: 2, 2: 2, 3: 2, 4: 2 })
})

const world = fc
  .record({
    count: fc.integer({ min: 1, max: 9 }),
    racks: fc.integer({ min: 0, max: 3 }),
    wanted: fc.integer({ min: 1, max: 9 }),
    before: fc.array(fc.uniqueArray(fc.integer({ min: 1, max: 12 }), { minLength: 1, maxLength: 5 }), {
      minLength: 1,
      maxLength: 30,
    }),
  })
  .map(({ count, racks, wanted, before }) => ({
    before: partitions(...before),
    wanted: Math.min(wanted, count),
    brokers: Array.from({ length: count }, (_, index) => ({
      id: index + 1,
      rack: racks === 0 ? null : `r${index % racks}`,
    })),
  }))

test('any plan has the right number of different replicas on brokers that were named, evenly without racks, and is final', () => {
  fc.assert(
    fc.property(world, ({ before, wanted, brokers: named }) => {
      const plan = balancedPlan(before, named, wanted)
      expect(plan).toHaveLength(before.length)
      for (const { replicas } of plan) {
        expect(new Set(replicas).size).toBe(wanted)
        expect(replicas.every((id) => named.some((broker) => broker.id === id))).toBe(true)
      }
      const counts = named.map(({ id }) => load(plan)[id] ?? 0)
      if (named.every(({ rack }) => rack === null)) {
        expect(Math.max(...counts) - Math.min(...counts)).toBeLessThanOrEqual(1)
      }
      expect(load(balancedPlan(plan, named, wanted))).toEqual(load(plan))
    }),
  )
})

test('a plan is read as it was written', () => {
  const plan = partitions([1, 2], [3])
  expect(parsePlan(planText(plan), 'f')).toEqual(plan)
})

test.each([
  ['', 'no JSON'],
  ['[]', 'expected {"version":1'],
  ['{"version":2,"partitions":[]}', 'expected {"version":1'],
  ['{"version":1,"partitions":[]}', '"partitions" must be a list'],
  ['{"version":1,"partitions":[{}]}', 'partitions[0].topic'],
  ['{"version":1,"partitions":[{"topic":"t","partition":-1}]}', 'partitions[0].partition'],
  ['{"version":1,"partitions":[{"topic":"t","partition":0,"replicas":[]}]}', 'partitions[0].replicas must'],
  [
    '{"version":1,"partitions":[{"topic":"t","partition":0,"replicas":[1,1]}]}',
    'partitions[0].replicas names a broker twice',
  ],
  [
    '{"version":1,"partitions":[{"topic":"t","partition":0,"replicas":[1]},{"topic":"t","partition":0,"replicas":[2]}]}',
    'partitions[1]: t-0 stands there twice',
  ],
])('a plan that is none is refused with what is wrong: %s', (text, message) => {
  expect(() => parsePlan(text, 'plan.json')).toThrow(`plan.json: ${message}`)
})

import { expect, test } from 'vitest'
import { planMembers } from '../../../src/testing/brokers/memberOperations.ts'

const plan = (seed: number, members?: number) =>
  planMembers({ seed, durationMs: 20_000, members, firstNumber: 7 })

test('every member joins, and operations are numbered on', () => {
  const { count, operations } = plan(1, 3)
  expect(count).toBe(3)
  expect(operations.map(({ number }) => number)).toEqual(operations.map((_, index) => 7 + index))
  expect(operations.slice(0, 3).map(({ kind, client }) => [kind, client])).toEqual(
    [0, 1, 2].map((client) => ['joinGroup', client]),
  )
  expect(operations.length).toBeGreaterThan(6)
  expect(operations.every(({ atMs, client }) => atMs < 20_000 && client < 3)).toBe(true)
})

test('a run without members does nothing, and one run in three has some', () => {
  expect(plan(1, 0)).toEqual({ count: 0, operations: [] })
  const drawn = Array.from({ length: 100 }, (_, seed) => plan(seed).count)
  expect(drawn.filter((count) => count === 0).length).toBeGreaterThan(50)
  expect(new Set(drawn)).toEqual(new Set([0, 2, 3]))
})

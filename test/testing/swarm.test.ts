import { expect, test } from 'vitest'
import { runCluster } from '../../src/testing/clusterRun.ts'
import { drawExpectation } from '../../src/testing/drawRun.ts'
import type { FaultClass } from '../../src/testing/fault.ts'
import { harmlessFaults, planFaults } from '../../src/testing/swarm.ts'

const destructive: readonly FaultClass[] = ['rot', 'diskLost', 'diskBack', 'lyingFlush', 'syncError']

const planOf = (seed: number, expectation: 'lies' | 'overBudget') =>
  planFaults({ seed, expectation, nodes: 5, voters: 5, durationMs: 5000 })

test('what more may be taken than can be borne is taken after faults that can be, and always is', () => {
  for (let seed = 1; seed <= 300; seed++) {
    for (const expectation of ['lies', 'overBudget'] as const) {
      const kinds = planOf(seed, expectation)
        .toSorted((left, right) => left.number - right.number)
        .map(({ kind }) => kind)
      const first = kinds.slice(0, harmlessFaults)
      expect(first.filter((kind) => destructive.includes(kind))).toEqual([])
      const next = kinds[harmlessFaults]!
      if (expectation === 'lies') expect(next).toBe('lyingFlush')
      else expect(destructive).toContain(next)
    }
  }
})

test('a run in which a disk lies has enough behind it when that is noticed', async () => {
  const lying = Array.from({ length: 200 }, (_, index) => index + 1).filter(
    (seed) => drawExpectation(seed, undefined) === 'lies',
  )
  for (const seed of lying.slice(0, 1)) {
    const { events, faultCounts, failure } = await runCluster({ seed })
    expect(failure).toBe(null)
    expect(events).toBeGreaterThanOrEqual(2000)
    expect([...faultCounts.values()].reduce((sum, count) => sum + count)).toBeGreaterThanOrEqual(5)
  }
})

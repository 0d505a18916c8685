import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { type Skipped, shrink } from '../../src/testing/shrink.ts'

const numbers = (count: number): number[] => Array.from({ length: count }, (_, index) => index)

/** A run that fails as long as none of `needed` is left out. */
function task(count: number, needed: readonly number[], neededOperations: readonly number[]) {
  const run = async (skipped: Skipped) => {
    const fails =
      needed.every((fault) => !skipped.faults.has(fault)) &&
      neededOperations.every((operation) => !skipped.operations.has(operation))
    return fails ? { id: 'I5', message: 'lost' } : null
  }
  return { faults: numbers(count), operations: numbers(count), run, mostRuns: 10_000 }
}

const failure = { id: 'I5', message: 'lost' }

describe('shrinking a failure', () => {
  test('leaves the faults and operations that it needs, and no other', async () => {
    const needed = fc.uniqueArray(fc.nat(39), { maxLength: 4 })
    await fc.assert(
      fc.asyncProperty(needed, needed, async (faults, operations) => {
        const smallest = await shrink(task(40, faults, operations), failure)
        expect(smallest.faults).toEqual(faults.toSorted((a, b) => a - b))
        expect(smallest.operations).toEqual(operations.toSorted((a, b) => a - b))
      }),
    )
  })

  test('takes far fewer runs than there are faults when one of them is enough', async () => {
    const { runs, faults } = await shrink(task(500, [321], []), failure)
    expect(faults).toEqual([321])
    expect(runs).toBeLessThan(40)
  })

  test('does not take another failure for the same one', async () => {
    const run = async ({ faults }: Skipped) =>
      faults.has(7) ? { id: 'I1', message: 'two leaders' } : { id: 'I5', message: 'lost' }
    const smallest = await shrink({ faults: numbers(10), operations: [], run }, failure)
    expect(smallest.faults).toEqual([7])
    expect(smallest.failure.id).toBe('I5')
  })

  test('stops when its runs are used up', async () => {
    const all = task(64, numbers(64), [])
    const { runs, faults } = await shrink({ ...all, mostRuns: 12 }, failure)
    expect(runs).toBe(12)
    expect(faults).toHaveLength(64)
  })
})

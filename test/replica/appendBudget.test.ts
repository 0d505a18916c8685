import { expect, test } from 'vitest'
import { AppendBudget } from '../../src/replica/appendBudget.ts'

test('appends beyond the bound wait in the order of their calls', async () => {
  const budget = new AppendBudget(100)
  const admitted: string[] = []
  expect(budget.take(60, undefined)).toBe(null)
  const second = budget.take(60, undefined)!.then(() => admitted.push('second'))
  const third = budget.take(10, undefined)!.then(() => admitted.push('third'))
  expect(budget.waiting).toBe(2)
  budget.give(60)
  await Promise.all([second, third])
  expect(admitted).toEqual(['second', 'third'])
  expect(budget.pendingBytes).toBe(70)
})

test('one that is larger than the bound is taken alone', () => {
  const budget = new AppendBudget(100)
  expect(budget.take(500, undefined)).toBe(null)
  expect(budget.take(1, undefined)).not.toBe(null)
})

test('whoever gives up while waiting leaves no trace', async () => {
  const budget = new AppendBudget(100)
  budget.take(100, undefined)
  const controller = new AbortController()
  const waiting = budget.take(50, controller.signal)!
  controller.abort(new Error('enough'))
  await expect(waiting).rejects.toThrow('enough')
  budget.give(100)
  expect(budget.pendingBytes).toBe(0)
})

test('closing refuses those who wait and those who come', async () => {
  const budget = new AppendBudget(10)
  budget.take(10, undefined)
  const waiting = budget.take(1, undefined)!
  budget.close()
  await expect(waiting).rejects.toMatchObject({ code: 'closed' })
  await expect(budget.take(1, undefined)).rejects.toMatchObject({ code: 'closed' })
})

import { expect, test } from 'vitest'
import { ProducerIds } from '../../src/controller/producerIds.ts'

test('hands out every id of a block once, then those of the next', async () => {
  let first = 0
  const ids = new ProducerIds(async () => ({ first: (first += 100), count: 3 }))
  const handed = []
  for (let count = 0; count < 7; count++) handed.push(await ids.next())
  expect(handed).toEqual([100, 101, 102, 200, 201, 202, 300])
})

test('callers at the same time share allocations and get different ids', async () => {
  let allocations = 0
  const ids = new ProducerIds(async () => ({ first: allocations++ * 10, count: 10 }))
  const handed = await Promise.all(Array.from({ length: 35 }, () => ids.next()))
  expect(new Set(handed).size).toBe(35)
  expect(allocations).toBe(4)
})

test('a failed allocation fails those who wait for it and nobody after', async () => {
  let fails = true
  const ids = new ProducerIds(async () => {
    if (fails) throw new Error('no disk')
    return { first: 0, count: 1 }
  })
  const outcomes = await Promise.allSettled([ids.next(), ids.next()])
  expect(outcomes.map(({ status }) => status)).toEqual(['rejected', 'rejected'])
  fails = false
  await expect(ids.next()).resolves.toBe(0)
})

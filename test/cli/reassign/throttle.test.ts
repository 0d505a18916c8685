import { expect, test } from 'vitest'
import { movesOf } from '../../../src/cli/reassign/throttle.ts'

const at = (partition: number, ...replicas: number[]) => ({ topic: 'a', partition, replicas })

test('who has a partition sends, who is new takes', () => {
  expect(movesOf([at(0, 2, 3, 4)], [at(0, 1, 2, 3)], [])).toEqual([
    { topic: 'a', partition: 0, from: [1, 2, 3], to: [4] },
  ])
})

test('a partition that only loses replicas, or changes their order, copies nothing', () => {
  expect(movesOf([at(0, 2), at(1, 2, 1)], [at(0, 1, 2), at(1, 1, 2)], [])).toEqual([])
})

test('a replica that an earlier plan is making still takes', () => {
  const underWay = [{ ...at(0, 1, 4), adding: [4] }]
  expect(movesOf([at(0, 4, 5)], [at(0, 1, 4)], underWay)).toEqual([
    { topic: 'a', partition: 0, from: [1], to: [4, 5] },
  ])
})

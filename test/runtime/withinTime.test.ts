import { expect, test } from 'vitest'
import { withinTime } from '../../src/runtime/withinTime.ts'
import { ManualClock } from '../segment/support.ts'

test('what is never answered is given up when its time is over', async () => {
  const clock = new ManualClock()
  const answer = withinTime(clock, 500, new Promise<never>(() => {}))
  const given = answer.catch((error: unknown) => error)
  clock.advance(499)
  expect(clock.pending).toBe(1)
  clock.advance(1)
  expect(await given).toMatchObject({ code: 'requestTimedOut', retriable: true })
})

test.each<[string, () => Promise<string>, string]>([
  ['an answer', () => Promise.resolve('yes'), 'yes'],
  ['a rejection', () => Promise.reject(new Error('no')), 'no'],
])('%s in time is passed on, and no timer stays', async (_, work, expected) => {
  const clock = new ManualClock()
  const given = await withinTime(clock, 500, work()).catch((error: Error) => error.message)
  expect(given).toBe(expected)
  await Promise.resolve()
  expect(clock.pending).toBe(0)
})

import fc from 'fast-check'
import { expect, test } from 'vitest'
import { InTurns } from '../../src/replica/inTurns.ts'
import { TimerWheel } from '../../src/replica/timerWheel.ts'
import { SimClock } from '../../src/testing/simClock.ts'

function start() {
  const clock = new SimClock()
  const done: number[] = []
  const turns = new InTurns(new TimerWheel(clock), () => clock.monotonicMs())
  return { clock, done, turns, add: (value: number) => turns.add(() => void done.push(value)) }
}

const upTo = (count: number) => Array.from({ length: count }, (_, index) => index)

test('a few things are done at once, thousands bit by bit and in their order', () => {
  const { clock, done, add } = start()
  for (const value of upTo(10_000)) add(value)
  expect(done).toEqual(upTo(256))
  clock.advance(20)
  expect(done.length).toBeGreaterThan(256)
  expect(done.length).toBeLessThan(2000)
  clock.advance(1000)
  expect(done).toEqual(upTo(10_000))
})

test('once all is done a few things are done at once again, and nothing is due', () => {
  const { clock, done, turns, add } = start()
  for (const value of upTo(1000)) add(value)
  clock.advance(1000)
  expect(turns.dueMs).toBe(Number.POSITIVE_INFINITY)
  add(1000)
  expect(done).toEqual(upTo(1001))
})

test('everything is done once, in the order in which it came, whenever that was', () => {
  const burst = fc.tuple(fc.nat(700), fc.nat(30))
  fc.assert(
    fc.property(fc.array(burst, { maxLength: 12 }), (bursts) => {
      const { clock, done, turns, add } = start()
      let count = 0
      for (const [size, pauseMs] of bursts) {
        for (let i = 0; i < size; i++) {
          const value = count++
          // What is done may add more.
          if (value % 97 === 0) turns.add(() => add(value))
          else add(value)
        }
        clock.advance(pauseMs)
      }
      clock.advance(5000)
      expect(done.toSorted((a, b) => a - b)).toEqual(upTo(count))
      expect(turns.dueMs).toBe(Number.POSITIVE_INFINITY)
    }),
  )
})

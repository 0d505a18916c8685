import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { CatchUp, Pace } from '../../src/replica/catchUp.ts'
import { SimClock } from '../../src/testing/simClock.ts'

const ref = { topicId: 'AAAAAAAAAAAAAAAAAAAAAg', topic: 't', partition: 0 }

/** Has `sizes` pass and gives the moments at which they did, milliseconds. */
function passAll(clock: SimClock, pace: Pace, sizes: readonly number[]): number[] {
  const at: number[] = []
  for (const size of sizes) {
    pace.pass(() => {
      at.push(clock.monotonicMs())
      return size
    })
  }
  while (at.length < sizes.length) expect(clock.advanceToNext()).toBe(true)
  return at
}

describe('what replicas that catch up get', () => {
  test('passes at once without a rate, and leaves no timer', () => {
    const clock = new SimClock()
    const pace = new Pace(clock, () => Number.POSITIVE_INFINITY)
    expect(passAll(clock, pace, [1e9, 1e9])).toEqual([0, 0])
    expect(clock.nextDueMs).toBeNull()
  })

  test('passes in order and never faster than the rate, whatever the sizes', () => {
    const sizes = fc.array(fc.integer({ min: 0, max: 5000 }), { minLength: 1, maxLength: 40 })
    fc.assert(
      fc.property(sizes, fc.integer({ min: 100, max: 100_000 }), (bytes, rate) => {
        const clock = new SimClock()
        const at = passAll(clock, new Pace(clock, () => rate), bytes)
        let before = 0
        for (const [index, moment] of at.entries()) {
          // What passed before it is paid for by then, and it does not wait much longer.
          const paidMs = (before * 1000) / rate
          expect(moment).toBeGreaterThanOrEqual(paidMs - 1e-6)
          expect(moment).toBeLessThanOrEqual(paidMs + index + 1)
          before += bytes[index]!
        }
        expect(clock.nextDueMs).toBeNull()
      }),
    )
  })

  test('waits while the rate is 0, and goes on when it is another one', () => {
    const clock = new SimClock()
    let rate = 0
    const pace = new Pace(clock, () => rate)
    let passed = 0
    pace.pass(() => ++passed)
    clock.advance(60_000)
    expect(passed).toBe(0)
    rate = 1000
    clock.advance(1000)
    expect(passed).toBe(1)
  })

  test('is counted as what it turned out to be', () => {
    const clock = new SimClock()
    const pace = new Pace(clock, () => 1000)
    expect(passAll(clock, pace, [1000])).toEqual([0])
    pace.correct(-900)
    expect(passAll(clock, pace, [0])).toEqual([100])
  })

  test('is bound only where the limits say so, and whoever waits is not called after the end', () => {
    const clock = new SimClock()
    const catchUp = new CatchUp(clock)
    const calls: string[] = []
    expect(catchUp.beforeTaking(ref, 10, () => calls.push('unlimited'))).toBe(false)
    catchUp.limits = {
      sendingRate: 0,
      receivingRate: 0,
      limitsSending: ({ partition }) => partition === 0,
      limitsReceiving: ({ partition }) => partition === 0,
    }
    expect(catchUp.beforeTaking({ ...ref, partition: 1 }, 10, () => calls.push('other'))).toBe(false)
    expect(catchUp.beforeTaking(ref, 10, () => calls.push('late'))).toBe(true)
    catchUp.beforeSending({ ...ref, partition: 1 }, 10, () => calls.push('sent'))
    catchUp.beforeSending(ref, 10, () => calls.push('late'))
    catchUp.close()
    clock.advance(10_000)
    expect(calls).toEqual(['unlimited', 'other', 'sent'])
    expect(clock.nextDueMs).toBeNull()
  })
})

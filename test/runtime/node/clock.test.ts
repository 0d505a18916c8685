import { expect, test, vi } from 'vitest'
import { nodeClock } from '../../../src/runtime/node/clock.ts'
import { nodeRandom } from '../../../src/runtime/node/random.ts'

test('a timer fires once, after its delay, unless it is cancelled', () => {
  vi.useFakeTimers()
  try {
    const fired: string[] = []
    nodeClock.setTimer(100, () => fired.push('kept'))
    const cancelled = nodeClock.setTimer(100, () => fired.push('cancelled'))
    vi.advanceTimersByTime(99)
    expect(fired).toEqual([])
    cancelled.cancel()
    vi.advanceTimersByTime(1000)
    cancelled.cancel()
    expect(fired).toEqual(['kept'])
  } finally {
    vi.useRealTimers()
  }
})

test('a delay beyond what Node takes does not fire at once', () => {
  vi.useFakeTimers()
  try {
    let fired = false
    const timer = nodeClock.setTimer(1e12, () => (fired = true))
    vi.advanceTimersByTime(1e6)
    expect(fired).toBe(false)
    timer.cancel()
  } finally {
    vi.useRealTimers()
  }
})

test('random numbers stay below their bound and reach every value', () => {
  const seen = new Set<number>()
  for (let round = 0; round < 500; round++) seen.add(nodeRandom.below(5))
  expect([...seen].sort()).toEqual([0, 1, 2, 3, 4])
  expect(nodeRandom.below(1)).toBe(0)
  const bytes = new Uint8Array(64)
  nodeRandom.fill(bytes)
  expect(bytes.every((byte) => byte === 0)).toBe(false)
})

import { expect, test } from 'vitest'
import { ElectionPace, type Stander } from '../../src/replica/electionPace.ts'
import { TimerWheel } from '../../src/replica/timerWheel.ts'
import { SimClock } from '../../src/testing/simClock.ts'

class Replica implements Stander {
  isVoting = false
  stoodMs = -1
  wants = true
  readonly #clock: SimClock

  constructor(clock: SimClock) {
    this.#clock = clock
  }

  stand(): void {
    if (!this.wants) return
    this.isVoting = true
    this.stoodMs = this.#clock.monotonicMs()
  }
}

/** A pace, and replicas that have all asked. */
function start(count: number, slackMs = 0) {
  const clock = new SimClock()
  const pace = new ElectionPace(new TimerWheel(clock), () => slackMs)
  const replicas = Array.from({ length: count }, () => new Replica(clock))
  for (const replica of replicas) if (pace.admits(replica, 0)) replica.stand()
  return { clock, pace, replicas, voting: () => replicas.filter(({ isVoting }) => isVoting).length }
}

test('a few stand at once, whoever comes later when a round is over, in their order', () => {
  const { clock, pace, replicas, voting } = start(1000)
  expect(voting()).toBe(128)
  expect(replicas.slice(0, 128).every(({ isVoting }) => isVoting)).toBe(true)
  expect(pace.waitingCount).toBe(872)
  for (const replica of replicas.slice(0, 100)) replica.isVoting = false
  clock.advance(20)
  expect(voting()).toBe(128)
  expect(replicas.slice(128, 228).every(({ stoodMs }) => stoodMs > 0)).toBe(true)
  expect(replicas[228]!.stoodMs).toBe(-1)
  expect(pace.admits(replicas[228]!, clock.monotonicMs())).toBe(false)
})

test('rounds that nobody answers keep the others waiting for a moment only, and for longer where everything is slow', () => {
  const fast = start(300)
  fast.clock.advance(600)
  expect(fast.voting()).toBe(300)
  const slow = start(300, 2000)
  slow.clock.advance(600)
  expect(slow.voting()).toBe(128)
  slow.clock.advance(5000)
  expect(slow.voting()).toBe(300)
  expect(slow.clock.nextDueMs).toBe(null)
})

test('whoever has heard of a leader meanwhile takes nobody’s place', () => {
  const { clock, replicas, voting } = start(400)
  for (const replica of replicas.slice(128, 300)) replica.wants = false
  for (const replica of replicas.slice(0, 128)) replica.isVoting = false
  clock.advance(20)
  expect(replicas.slice(300).every(({ isVoting }) => isVoting)).toBe(true)
  expect(voting()).toBe(100)
})

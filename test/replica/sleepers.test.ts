import { expect, test } from 'vitest'
import { nextLookMs, Sleepers } from '../../src/replica/sleepers.ts'
import { TimerWheel } from '../../src/replica/timerWheel.ts'
import type { Transport } from '../../src/replica/transport.ts'
import { SimClock } from '../../src/testing/simClock.ts'

class Group {
  dueMs = Number.POSITIVE_INFINITY
  slotMs = Number.POSITIVE_INFINITY
  woken = 0
  fire(): void {}
  wake(): void {
    this.woken++
  }
}

/** Sleepers over sessions whose last sign of life a test sets. */
function start() {
  const clock = new SimClock()
  const heardMs = new Map<string, number>()
  const transport = {
    sessionContactMs: (node: number, role: string) =>
      heardMs.get(`${role} ${node}`) ?? Number.NEGATIVE_INFINITY,
  } as Partial<Transport> as Transport
  const wheel = new TimerWheel(clock)
  return { clock, heardMs, wheel, sleepers: new Sleepers(clock, wheel, transport, () => 400) }
}

test('groups sleep while the session lives, behind one timer, and wake when it falls silent', () => {
  const { clock, heardMs, wheel, sleepers } = start()
  const groups = Array.from({ length: 1000 }, () => new Group())
  clock.advance(1000)
  heardMs.set('leader 2', 1000)
  for (const group of groups) expect(sleepers.sleep(group, [2], 'leader')).toBe(true)
  expect(wheel.count).toBe(1)
  for (let round = 0; round < 20; round++) {
    clock.advance(150)
    heardMs.set('leader 2', clock.monotonicMs())
  }
  expect(groups.every(({ woken }) => woken === 0)).toBe(true)
  clock.advance(700)
  expect(groups.every(({ woken }) => woken > 0)).toBe(true)
})

test('nobody sleeps on a session that is silent, or on one of two that is', () => {
  const { clock, heardMs, sleepers } = start()
  clock.advance(1000)
  heardMs.set('follower 2', 1000)
  heardMs.set('follower 3', 700)
  expect(sleepers.sleep(new Group(), [2, 3], 'follower')).toBe(false)
  expect(sleepers.sleep(new Group(), [4], 'follower')).toBe(false)
  expect(sleepers.sleep(new Group(), [2], 'leader')).toBe(false)
})

test('a group that is awake is left alone, and its session asks for no timer any more', () => {
  const { clock, heardMs, sleepers } = start()
  const group = new Group()
  clock.advance(1000)
  heardMs.set('leader 2', 1000)
  sleepers.sleep(group, [2], 'leader')
  sleepers.awake(group)
  clock.advance(2000)
  expect(group.woken).toBe(0)
  expect(clock.nextDueMs).toBe(null)
})

test('a transport that tells of no sessions lets nobody sleep', () => {
  const clock = new SimClock()
  const sleepers = new Sleepers(clock, new TimerWheel(clock), {} as Transport, () => 400)
  expect(sleepers.sleep(new Group(), [2], 'leader')).toBe(false)
})

test('groups that fell asleep in one moment are looked after in many, some of them together', () => {
  const times = Array.from({ length: 10_000 }, (_, partition) => nextLookMs(1000, { partition }))
  expect(Math.min(...times)).toBeGreaterThan(15_000)
  expect(Math.max(...times)).toBeLessThanOrEqual(31_000)
  const counts = new Map<number, number>()
  for (const time of times) counts.set(time, (counts.get(time) ?? 0) + 1)
  expect(counts.size).toBeLessThan(70)
  expect(Math.max(...counts.values())).toBeLessThan(400)
})

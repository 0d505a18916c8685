import fc from 'fast-check'
import { expect, test } from 'vitest'
import { type Due, TimerWheel } from '../../src/replica/timerWheel.ts'
import { SimClock } from '../../src/testing/simClock.ts'

/** Something that notes when it fired and then does as it is told. */
class Alarm implements Due {
  dueMs = Number.POSITIVE_INFINITY
  slotMs = Number.POSITIVE_INFINITY
  readonly firedMs: number[] = []
  next: (nowMs: number) => number = () => Number.POSITIVE_INFINITY

  fire(nowMs: number): void {
    this.firedMs.push(nowMs)
    this.dueMs = this.next(nowMs)
  }
}

test('things fire once they are due, never early, at most a slot late', () => {
  fc.assert(
    fc.property(
      fc.array(fc.tuple(fc.nat(50), fc.integer({ min: 0, max: 5000 }), fc.nat(40)), { maxLength: 60 }),
      (steps) => {
        const clock = new SimClock()
        const wheel = new TimerWheel(clock)
        const alarms = Array.from({ length: 51 }, () => new Alarm())
        const dueMs = new Map<Alarm, number>()
        const check = (): void => {
          for (const alarm of alarms) {
            const due = dueMs.get(alarm)
            for (const firedMs of alarm.firedMs.splice(0)) {
              expect(firedMs).toBeGreaterThanOrEqual(due!)
              expect(firedMs).toBeLessThanOrEqual(due! + 8)
              dueMs.delete(alarm)
            }
            const left = dueMs.get(alarm)
            if (left !== undefined) expect(left).toBeGreaterThan(clock.monotonicMs() - 8)
          }
        }
        for (const [which, delayMs, waitMs] of steps) {
          const alarm = alarms[which]!
          alarm.dueMs = clock.monotonicMs() + delayMs
          dueMs.set(alarm, alarm.dueMs)
          wheel.arm(alarm)
          clock.advance(waitMs)
          check()
        }
        clock.advance(10_000)
        check()
        expect(dueMs.size).toBe(0)
        expect(wheel.count).toBe(0)
        expect(clock.nextDueMs).toBe(null)
      },
    ),
  )
})

test('what is put off again and again needs no work until its first slot comes', () => {
  const clock = new SimClock()
  const wheel = new TimerWheel(clock)
  const alarm = new Alarm()
  alarm.dueMs = 100
  wheel.arm(alarm)
  for (let at = 1; at < 100; at++) {
    clock.advance(1)
    alarm.dueMs = at + 100
    wheel.arm(alarm)
  }
  expect(wheel.count).toBe(1)
  clock.advance(90)
  expect(alarm.firedMs).toEqual([])
  clock.advance(20)
  expect(alarm.firedMs).toHaveLength(1)
})

test('thousands of things are behind one timer of the clock', () => {
  const clock = new SimClock()
  let timers = 0
  const counted = {
    wallMs: () => clock.wallMs(),
    monotonicMs: () => clock.monotonicMs(),
    setTimer: (delayMs: number, fire: () => void) => {
      timers++
      return clock.setTimer(delayMs, fire)
    },
  }
  const wheel = new TimerWheel(counted)
  const alarms = Array.from({ length: 10_000 }, () => new Alarm())
  alarms.forEach((alarm, index) => {
    alarm.dueMs = 300 + (index % 100)
    wheel.arm(alarm)
  })
  clock.advance(1000)
  expect(alarms.every(({ firedMs }) => firedMs.length === 1)).toBe(true)
  expect(timers).toBeLessThan(60)
})

test('after it was closed nothing fires', () => {
  const clock = new SimClock()
  const wheel = new TimerWheel(clock)
  const alarm = new Alarm()
  alarm.dueMs = 10
  wheel.arm(alarm)
  wheel.close()
  wheel.arm(alarm)
  clock.advance(100)
  expect(alarm.firedMs).toEqual([])
})

test('what is due in thousands takes several turns, so that other things happen in between', () => {
  const clock = new SimClock()
  const alarms = Array.from({ length: 1000 }, () => new Alarm())
  const fired = (): number => alarms.filter(({ firedMs }) => firedMs.length > 0).length
  const atTurns: number[] = []
  const wheel = new TimerWheel(clock, () => atTurns.push(fired()))
  for (const alarm of alarms) {
    alarm.dueMs = 100
    wheel.arm(alarm)
  }
  clock.advance(110)
  expect(atTurns).toEqual([0, 256, 512, 768])
  expect(alarms.every(({ firedMs }) => firedMs.length === 1)).toBe(true)
  expect(wheel.count).toBe(0)
})

test('whoever listens hears how late a turn is', () => {
  const clock = new SimClock()
  const late: number[] = []
  const standing = {
    ...clock,
    monotonicMs: () => clock.monotonicMs() + (clock.monotonicMs() >= 100 ? 700 : 0),
  }
  const setTimer: typeof clock.setTimer = (delayMs, fire) => clock.setTimer(delayMs, fire)
  const wheel = new TimerWheel({ ...standing, setTimer } as unknown as SimClock, (lateMs) =>
    late.push(lateMs),
  )
  const alarm = new Alarm()
  alarm.dueMs = 100
  wheel.arm(alarm)
  clock.advance(120)
  expect(late[0]).toBe(700)
  expect(alarm.firedMs).toEqual([804])
})

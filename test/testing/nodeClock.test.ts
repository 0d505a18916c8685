import { expect, test } from 'vitest'
import { EventQueue } from '../../src/testing/eventQueue.ts'
import { MachineClock, NodeClock } from '../../src/testing/nodeClock.ts'
import { SimRandom } from '../../src/testing/simRandom.ts'

// World seed 200229: after a drift the remainder was 1e-13 ms, which is nothing beside 4,166 ms, again and again.
test.each([0.851, 1, 1.183])(
  'whoever waits for the rest of a delay, however small, gets there on a clock of speed %d',
  (factor) => {
    const queue = new EventQueue()
    queue.take(4166.45995350803)
    const machine = new MachineClock(queue, 0)
    machine.factor = factor
    const clock = new NodeClock(queue, machine, new SimRandom(1), 1)
    const fired: number[] = []
    const wait = (): void =>
      void clock.setTimer(1e-13, () => {
        fired.push(queue.nowMs)
        wait()
      })
    wait()
    for (let turn = 0; turn < 10; turn++) queue.take(Number.POSITIVE_INFINITY)!.run!()
    expect(new Set(fired).size).toBe(10)
    expect(clock.pendingTimers).toBe(1)
  },
)

// Seeds 303773, 316611: a node that was started again and again seemed to use what its dead processes had left in the queue.
test('a process waits for the timers that are neither over nor cancelled, and once it is dead for none', () => {
  const queue = new EventQueue()
  const machine = new MachineClock(queue, 0)
  const clock = new NodeClock(queue, machine, new SimRandom(1), 1)
  const next = new NodeClock(queue, machine, new SimRandom(2), 1)
  const fired: string[] = []
  clock.setTimer(1, () => fired.push('over'))
  clock.setTimer(2, () => fired.push('cancelled')).cancel()
  clock.setTimer(3, () => fired.push('dead'))
  next.setTimer(4, () => fired.push('next'))
  queue.take(Number.POSITIVE_INFINITY)!.run!()
  expect([clock.pendingTimers, next.pendingTimers]).toEqual([1, 1])
  clock.kill()
  expect([clock.pendingTimers, next.pendingTimers]).toEqual([0, 1])
  for (let event = queue.take(10); event !== null; event = queue.take(10)) event.run!()
  expect(fired).toEqual(['over', 'next'])
  expect(next.pendingTimers).toBe(0)
})

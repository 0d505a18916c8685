import { expect, test } from 'vitest'
import { EventKind } from '../../src/testing/eventKinds.ts'
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
    expect(queue.pending(1, EventKind.timer)).toBe(1)
  },
)

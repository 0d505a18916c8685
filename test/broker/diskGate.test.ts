import { expect, test } from 'vitest'
import { DiskGate, type WriteQueue } from '../../src/broker/diskGate.ts'
import { WriteBudget } from '../../src/runtime/writeBudget.ts'
import { SimClock } from '../../src/testing/simClock.ts'

const mebibyte = 1 << 20

test.each(['disk', 'journal'])(
  'a request waits while the queue of the %s is full, and no longer than its time',
  async (name) => {
    const queues = { disk: new WriteBudget(mebibyte), journal: new WriteBudget(mebibyte) }
    const clock = new SimClock()
    const gate = new DiskGate(Object.values<WriteQueue>(queues), clock)
    const full = queues[name as keyof typeof queues]
    expect(gate.hasRoom(1000)).toBe(true)
    full.take(mebibyte)
    expect(gate.hasRoom(1000)).toBe(false)
    const told: string[] = []
    gate.wait(1000, 200, (hasRoom) => told.push(`first ${hasRoom}`))
    gate.wait(1000, 5000, (hasRoom) => told.push(`second ${hasRoom}`))
    clock.advance(200)
    expect([told, gate.waiting]).toEqual([['first false'], 1])
    full.give(mebibyte)
    await new Promise(setImmediate)
    expect([told, gate.waiting, gate.hasRoom(1000)]).toEqual([['first false', 'second true'], 0, true])
    // No timer is left.
    expect(clock.advanceToNext()).toBe(false)
  },
)

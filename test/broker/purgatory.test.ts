import { expect, test } from 'vitest'
import { LocalPartition } from '../../src/broker/localPartition.ts'
import type { Partition } from '../../src/broker/partition.ts'
import { FetchWait, Purgatory, type WatchedPartition } from '../../src/broker/purgatory.ts'
import { EngineError } from '../../src/model/errors.ts'
import { zeroUuid } from '../../src/model/uuid.ts'
import type { Log } from '../../src/segment/log.ts'
import { ManualClock } from './support/fakes.ts'

/** As much of a log as a partition looks at. */
class FakeLog {
  flushedOffset = 0
  logEndOffset = 0
  offline: EngineError | null = null
  onAdvance: ((flushedOffset: number) => void) | null = null
  onFailure: ((error: EngineError, endOffset: number) => void) | null = null

  advance(offset: number): void {
    this.flushedOffset = offset
    this.logEndOffset = offset
    this.onAdvance?.(offset)
  }
}

function partitions(count: number): { partition: Partition; log: FakeLog }[] {
  return Array.from({ length: count }, (_, index) => {
    const log = new FakeLog()
    const identity = { topic: 't', topicId: zeroUuid, index }
    return {
      partition: new LocalPartition(identity, log as unknown as Log, { leader: 1, leaderEpoch: 0 }, 1),
      log,
    }
  })
}

function watch(partition: Partition, wait: FetchWait): WatchedPartition {
  // Ten bytes a record.
  const availableBytes = (): number => partition.highWatermark * 10
  return { partition, wait, availableBytes, knownBytes: 0, slot: -1 }
}

function world(count: number, minBytes: number, maxWatched?: number, maxHeld?: number) {
  const clock = new ManualClock()
  const purgatory = new Purgatory(clock, maxWatched, maxHeld)
  const all = partitions(count)
  let completed = 0
  const wait = new FetchWait(purgatory, minBytes, () => {
    completed += 1
  })
  wait.start(
    all.map(({ partition }) => watch(partition, wait)),
    0,
    500,
  )
  const isEmpty = (): boolean =>
    purgatory.size === 0 &&
    clock.timerCount === 0 &&
    all.every(({ partition }) => partition.watcherCount === 0)
  return { clock, purgatory, all, wait, completed: () => completed, isEmpty }
}

/** Lets what was deferred to the end of the turn happen. */
const settle = (): Promise<void> => new Promise((resolve) => setImmediate(resolve))

test('a fetch completes once, after everything that advances in the same turn has', async () => {
  const { all, completed, isEmpty, purgatory } = world(3, 1)
  expect(purgatory.size).toBe(1)
  for (const { log } of all) log.advance(1)
  expect(completed()).toBe(0)
  await settle()
  expect(completed()).toBe(1)
  expect(isEmpty()).toBe(true)
  for (const { log } of all) log.advance(2)
  await settle()
  expect(completed()).toBe(1)
})

test('bytes of all partitions together make up minBytes', async () => {
  const { all, completed, isEmpty } = world(2, 50)
  all[0]!.log.advance(2)
  all[0]!.log.advance(3)
  all[1]!.log.advance(1)
  await settle()
  expect(completed()).toBe(0)
  all[1]!.log.advance(2)
  await settle()
  expect(completed()).toBe(1)
  expect(isEmpty()).toBe(true)
})

test('time ends the wait, and so does a cancel, which completes nothing', async () => {
  const timed = world(2, 1)
  timed.clock.advance(499)
  expect(timed.completed()).toBe(0)
  timed.clock.advance(1)
  expect(timed.completed()).toBe(1)
  expect(timed.isEmpty()).toBe(true)

  const cancelled = world(2, 1)
  cancelled.all[0]!.log.advance(1)
  cancelled.wait.cancel()
  await settle()
  expect(cancelled.completed()).toBe(0)
  expect(cancelled.isEmpty()).toBe(true)
})

test.each<[string, (world: ReturnType<typeof partitions>[number]) => void]>([
  ['the topic is deleted', ({ partition }) => partition.close()],
  ['the log fails', ({ log }) => log.onFailure!(new EngineError('diskFailed', 'gone'), 0)],
])('a fetch completes when %s', async (_name, happen) => {
  const { all, completed, isEmpty } = world(3, 1_000_000)
  happen(all[1]!)
  await settle()
  expect(completed()).toBe(1)
  expect(isEmpty()).toBe(true)
})

test('fetches of too many partitions together wait for their time alone, and of far too many not at all', () => {
  const { purgatory, wait, clock } = world(3, 1, 5, 8)
  expect([purgatory.mayWatch(2), purgatory.mayWatch(3)]).toEqual([true, false])
  let completed = 0
  const asleep = new FetchWait(purgatory, 1, () => {
    completed += 1
  })
  asleep.start([], 0, 500, 3)
  expect([purgatory.mayWatch(2), purgatory.hasRoom(2), purgatory.hasRoom(3)]).toEqual([true, true, false])
  clock.advance(499)
  expect(completed).toBe(0)
  clock.advance(1)
  expect(completed).toBe(1)
  wait.cancel()
  expect([purgatory.mayWatch(100), purgatory.hasRoom(100)]).toEqual([true, true])
})

test('whoever waits for a flush is told once, in any order of offsets', () => {
  const [{ partition, log }] = partitions(1) as [{ partition: Partition; log: FakeLog }]
  const told: number[] = []
  for (const offset of [5, 3, 9]) expect(partition.awaitAck(offset, -1, () => told.push(offset))).toBe(true)
  log.advance(5)
  expect(told).toEqual([5, 3])
  expect(partition.awaitAck(4, -1, () => told.push(4))).toBe(false)
  log.onFailure!(new EngineError('diskFull', 'full'), 5)
  expect(told).toEqual([5, 3, 9])
  expect(partition.losses).toBe(1)
})

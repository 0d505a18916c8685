import { expect, test } from 'vitest'
import { CorruptionError, EngineError } from '../../../src/model/errors.ts'
import { silentLogger } from '../../../src/model/logger.ts'
import type { Group } from '../../../src/replica/group.ts'
import { Repairs, type RepairWorld } from '../../../src/replica/repair/repairs.ts'
import type { Runtime } from '../../../src/runtime/runtime.ts'
import { BadRanges } from '../../../src/segment/badRanges.ts'
import type { LogDirectory } from '../../../src/segment/logDirectory.ts'
import type { Reopen } from '../../../src/segment/reopen.ts'
import { ManualClock } from '../../segment/support.ts'

const corruption = { file: '/data/t-0/0.log', position: 0, expected: 'a batch', found: 'damage' }

interface Tried {
  readonly repairs: Repairs
  readonly group: Group
  readonly clock: ManualClock
  /** Milliseconds since the start at which it was tried to mend the log. */
  readonly atMs: number[]
}

/** A follower with something that nobody can mend: of a log in use, or of one that cannot be opened again. */
function damaged(isOffline: boolean): Tried {
  const clock = new ManualClock()
  const startMs = clock.nowMs
  const atMs: number[] = []
  const tried = (): void => {
    atMs.push(clock.nowMs - startMs)
  }
  const range = { ...corruption, end: 100, baseOffset: 0, nextOffset: 1 }
  const log = {
    directory: '/data/t-0',
    offline: isOffline ? new CorruptionError(corruption) : null,
    damage: [range],
    mending: async () => ({ file: range.file, position: 0, fromOffset: 0, toOffset: 1, isOver: false }),
    mendOffline: async () => [],
  }
  const reopen: Reopen = async () => {
    tried()
    return group.log
  }
  const group = {
    key: 'id/0',
    ref: { topic: 't', topicId: 'AAAAAAAAAAAAAAAAAAAAzw', partition: 0 },
    spec: { kind: 'metadata' },
    state: 'follower',
    leaderId: 2,
    failure: null,
    voters: { voters: { size: 3, voters: [{ id: 1 }, { id: 2 }] } },
    log,
    noteDamage() {},
  } as unknown as Group
  const world: RepairWorld = {
    runtime: { clock } as unknown as Runtime,
    nodeId: 1,
    logs: { badRanges: new BadRanges(), reopening: () => reopen } as unknown as LogDirectory,
    logger: silentLogger,
    groups: new Map([[group.key, group]]),
    call: async () => {
      tried()
      throw new EngineError('brokerNotAvailable', 'not reached')
    },
    reopened: async () => {},
  }
  return { repairs: new Repairs(world), group, clock, atMs }
}

/** Time passes in steps of 100 ms, and what can happen does. */
async function wait(clock: ManualClock, ms: number): Promise<void> {
  for (let passed = 0; passed <= ms; passed += 100) {
    for (let turn = 0; turn < 20; turn++) await Promise.resolve()
    if (passed < ms) clock.advance(100)
  }
}

test('what nobody can mend is tried again half a second later, then ever more rarely, every five seconds in the end', async () => {
  const { repairs, group, clock, atMs } = damaged(false)
  repairs.look(group)
  await wait(clock, 20_000)
  expect(atMs).toEqual([0, 500, 1500, 3500, 7500, 12_500, 17_500])
  expect(repairs.counts).toMatchObject({ failed: 7, mended: 0 })
  await repairs.close()
})

test('somebody who comes is asked at once, and the pauses are short again', async () => {
  const { repairs, group, clock, atMs } = damaged(false)
  repairs.look(group)
  await wait(clock, 8000)
  repairs.look(group)
  await wait(clock, 2000)
  expect(atMs.slice(-3)).toEqual([8000, 8500, 9500])
  await repairs.close()
})

test('a log that has everything and cannot be opened is tried every half minute in the end, whoever comes', async () => {
  const { repairs, group, clock, atMs } = damaged(true)
  repairs.look(group)
  for (let second = 0; second < 95; second++) {
    await wait(clock, 1000)
    repairs.look(group)
  }
  expect(atMs).toEqual([0, 500, 1500, 3500, 7500, 15_500, 31_500, 61_500, 91_500])
  await repairs.close()
})

test('nothing is tried any more after the end', async () => {
  const { repairs, group, clock, atMs } = damaged(false)
  repairs.look(group)
  await wait(clock, 1000)
  await repairs.close()
  await wait(clock, 20_000)
  expect(atMs).toEqual([0, 500])
  expect(clock.timerCount).toBe(0)
})

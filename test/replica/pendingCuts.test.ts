import { expect, test } from 'vitest'
import { PendingCuts } from '../../src/replica/pendingCuts.ts'
import { committed } from './support/cluster.ts'
import { Lone } from './support/lone.ts'
import { answer, follow, mark, records } from './support/playedLeader.ts'

test('nothing is surely committed from where a log is being cut, but what was before', () => {
  const cuts = new PendingCuts(2)
  expect(cuts.surelyCommitted(7)).toBe(7)
  const isCut = cuts.begin(9)
  expect([cuts.surelyCommitted(8), cuts.surelyCommitted(12)]).toEqual([8, 9])
  const isReplaced = cuts.begin(0)
  expect(cuts.surelyCommitted(12)).toBe(9)
  isCut()
  expect(cuts.surelyCommitted(12)).toBe(9)
  // Those who vote have forgotten what was committed.
  expect([cuts.surelyCommitted(5), cuts.surelyCommitted(12)]).toEqual([5, 5])
  isReplaced()
  expect(cuts.surelyCommitted(12)).toBe(12)
})

test('what is committed in the place of records that are still being cut is not known at the next start', async () => {
  const lone = await Lone.start()
  const group = await lone.open(3)
  await follow(lone, 2, 1)
  await answer(lone, 2, 1, { epochStarts: [mark(1, 0)], batches: records(lone, 0, 1, 'a', 'b') })
  await answer(lone, 2, 1, { batches: records(lone, 2, 1, 'only here'), highWatermark: 2 })
  await follow(lone, 3, 2)
  lone.gate.hold('read')
  await answer(lone, 3, 2, { divergingEpoch: { epoch: 1, endOffset: 2, votersVersion: 0 } })
  await answer(lone, 3, 2, { epochStarts: [mark(2, 2)], batches: records(lone, 2, 2, 'c'), highWatermark: 3 })
  expect(group.highWatermark).toBe(3)
  // A new epoch is written, and with it what is known to be committed.
  await follow(lone, 2, 3)

  const again = await lone.restart()
  const reopened = await again.open(3)
  expect([reopened.leaderEpoch, reopened.log.logEndOffset, reopened.highWatermark]).toEqual([3, 3, 2])
  expect(await committed(reopened)).toEqual(['a', 'b'])
  lone.gate.release()
  await lone.quiet()
  await follow(lone, 3, 4)
  expect((await (await lone.restart()).open(3)).highWatermark).toBe(3)
})

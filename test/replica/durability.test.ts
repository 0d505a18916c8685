import { expect, test } from 'vitest'
import type { Effect, RaftEvent } from '../../src/raft.ts'
import { defaultLogConfig } from '../../src/segment/logConfig.ts'
import { expectAckBehind } from './support/ackBehind.ts'
import { batchOf } from './support/cluster.ts'
import { Lone } from './support/lone.ts'

test('a vote is not answered before it is durable, and is not given twice after the power went', async () => {
  const lone = await Lone.start()
  await lone.open(3)
  await lone.quiet()
  lone.gate.hold('sync')
  const answer = lone.ask(lone.vote(3))
  await lone.quiet()
  expect(answer.response).toBe(null)
  lone.gate.release()
  await lone.quiet()
  expect(answer.response).toMatchObject({ type: 'vote', voteGranted: true, leaderEpoch: 3 })

  const again = await lone.restart()
  const group = await again.open(3)
  expect(group.leaderEpoch).toBe(3)
  const other = lone.vote(3)
  const second = again.ask({ ...other, candidate: { id: 3, directoryId: 'AAAAAAAAAAAAAAAAAAAAAw' } } as never)
  await again.quiet()
  expect(second.response).toMatchObject({ voteGranted: false })
})

test('nobody is asked for a vote before the own one is durable', async () => {
  const lone = await Lone.start()
  await lone.open(3)
  await lone.quiet()
  const asked = () => lone.sent.filter(({ request }) => request.type === 'vote' && !request.preVote)
  lone.clock.advance(700)
  await lone.quiet()
  lone.gate.hold('sync')
  for (const { to, group, requestId } of lone.sent.splice(0)) {
    const leader = { error: 'none', leaderId: -1, leaderEpoch: 0 } as const
    const vote = { type: 'vote', ...leader, voteGranted: true, quarantined: false, recorded: null } as const
    lone.host.response(to, group, requestId, vote)
  }
  await lone.quiet()
  expect(asked()).toEqual([])
  lone.gate.release()
  await lone.quiet()
  expect(asked().map(({ to }) => to)).toEqual([2, 3])
})

test('an append is committed by a single voter when its fdatasync has returned, not before', async () => {
  const lone = await Lone.start()
  const group = await lone.open(1)
  await lone.quiet()
  expect(group.state).toBe('leader')
  await expectAckBehind(lone, group, 'sync')
})

test('an append whose sync has returned says nothing about the next one', async () => {
  const lone = await Lone.start()
  const group = await lone.open(1)
  await lone.quiet()
  lone.gate.hold('sync')
  const first = group.append(batchOf(lone.runtime, 'a'), { acks: 'all' })
  await lone.quiet()
  const second = group.append(batchOf(lone.runtime, 'b'), { acks: 'all' })
  await lone.quiet()
  lone.gate.releaseOne()
  await first
  await lone.quiet()
  expect(group.highWatermark).toBe(1)
  lone.gate.release()
  await second
  expect(group.highWatermark).toBe(2)
})

test('the start of an epoch counts once its mark is durable', async () => {
  const flushed: number[] = []
  const lone = await Lone.start(undefined, {
    observer: {
      started() {},
      left() {},
      stepped(_: unknown, event: RaftEvent | null, effects: readonly Effect[]) {
        if (event?.type === 'flushed') flushed.push(event.sequence)
        if (effects.some(({ type }) => type === 'markEpoch')) lone.gate.hold('sync')
      },
    },
  })
  await lone.open(3)
  const group = await lone.elect()
  expect(group.state).toBe('leader')
  await lone.quiet()
  expect(flushed).toEqual([])
  lone.gate.release()
  await lone.quiet()
  expect(flushed).toEqual([1])
})

test('under a relaxed policy an append counts once it is in the page cache', async () => {
  const lone = await Lone.start()
  const group = await lone.open(1, 0, { config: { ...defaultLogConfig, flush: 'none' } })
  await lone.quiet()
  lone.gate.hold('sync')
  await group.append(batchOf(lone.runtime, 'a'), { acks: 'all' })
  expect(group.highWatermark).toBe(1)
  lone.gate.release()
})

test('votes and appends of many groups are one sync of the journal', async () => {
  const lone = await Lone.start()
  const groups = []
  for (let partition = 0; partition < 40; partition++) groups.push(await lone.open(1, partition))
  await lone.quiet()
  const before = lone.gate.counts.get('sync') ?? 0
  await Promise.all(groups.map((group) => group.append(batchOf(lone.runtime, 'a'), { acks: 'all' })))
  expect((lone.gate.counts.get('sync') ?? 0) - before).toBeLessThanOrEqual(2)
})

test('what has become durable is told in the order in which it was written', async () => {
  const flushed: number[] = []
  const written: number[] = []
  const lone = await Lone.start(undefined, {
    observer: {
      started() {},
      left() {},
      stepped(_: unknown, event: RaftEvent | null, effects: readonly Effect[]) {
        if (event?.type === 'flushed') {
          flushed.push(event.sequence)
          expect(written).toContain(event.sequence)
        }
        for (const effect of effects) if ('sequence' in effect) written.push(effect.sequence)
      },
    },
  })
  const group = await lone.open(1)
  await lone.quiet()
  const appends = Array.from({ length: 30 }, async (_, index) => {
    for (let turn = 0; turn < index; turn++) await null
    await group.append(batchOf(lone.runtime, `${index}`), { acks: 'all' })
  })
  await Promise.all(appends)
  expect(flushed).toEqual([...flushed].sort((a, b) => a - b))
  expect(new Set(flushed).size).toBe(flushed.length)
  expect(flushed.at(-1)).toBe(written.at(-1))
  expect(written).toEqual(written.map((_, index) => index + 1))
})

test('others fetch what the leader has not flushed', async () => {
  const lone = await Lone.start()
  await lone.open(3)
  const group = await lone.elect()
  await lone.quiet()
  lone.gate.hold('sync')
  void group.append(batchOf(lone.runtime, 'a'), { acks: 'all' }).catch(() => {})
  await lone.quiet()
  expect(group.log.flushedOffset).toBe(0)
  const { candidate, incarnation } = lone.vote(1) as Extract<ReturnType<Lone['vote']>, { type: 'vote' }>
  const answer = lone.ask({
    type: 'fetch',
    clusterId: 'test-cluster',
    replica: candidate,
    currentLeaderEpoch: group.leaderEpoch,
    fetchOffset: 0,
    lastFetchedEpoch: 0,
    highWatermark: 0,
    maxWaitMs: 100,
    flushedOffset: -1,
    flushedVotersVersion: -1,
    votersVersion: 0,
    claimOnly: false,
    damaged: false,
    quarantined: false,
    round: 0,
    incarnation,
  })
  await lone.quiet()
  // The start of node 2 is recorded before it is answered.
  expect(answer.response).toBe(null)
  lone.gate.release()
  await lone.quiet()
  expect(answer.response).toMatchObject({ type: 'fetch', error: 'none', highWatermark: -1 })
  expect(answer.records).toHaveLength(1)
  expect(answer.records[0]).toBeInstanceOf(Uint8Array)
})

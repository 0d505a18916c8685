import { expect, test } from 'vitest'
import type { Group } from '../../src/replica/group.ts'
import { encodeEpochStarts, stateKind } from '../../src/replica/groupStates.ts'
import type { GroupSpec } from '../../src/replica/groupTypes.ts'
import { defaultLogConfig } from '../../src/segment/logConfig.ts'
import { checkBatch } from '../../src/segment/recordBatch.ts'
import { encodeBatch } from '../../src/segment/records.ts'
import { WriteGroup } from '../../src/segment/writeGroup.ts'
import { batchOf, committed } from './support/cluster.ts'
import { directoryOf, Lone } from './support/lone.ts'
import { answer, follow, mark, records } from './support/playedLeader.ts'

test('a follower whose log parts from the leader cuts it, and appends what comes then, in order', async () => {
  const lone = await Lone.start()
  const group = await lone.open(3)
  await follow(lone, 2, 1)
  await answer(lone, 2, 1, { epochStarts: [mark(1, 0)], batches: records(lone, 0, 1, 'a', 'b') })
  await answer(lone, 2, 1, { batches: records(lone, 2, 1, 'only here') })
  expect(group.log.logEndOffset).toBe(3)
  await follow(lone, 3, 2)
  lone.gate.hold('sync')
  await answer(lone, 3, 2, { divergingEpoch: { epoch: 1, endOffset: 2, votersVersion: 0 } })
  // The cut is under way, and what follows it waits.
  await answer(lone, 3, 2, { epochStarts: [mark(2, 2)], batches: records(lone, 2, 2, 'c'), highWatermark: 3 })
  expect(group.log.logEndOffset).toBeLessThanOrEqual(3)
  lone.gate.release()
  await lone.quiet()
  expect(group.failure).toBe(null)
  expect(group.log.logEndOffset).toBe(3)
  expect(group.log.flushedOffset).toBe(3)
  expect(group.log.leaderEpochs.entries).toEqual([
    { epoch: 1, startOffset: 0 },
    { epoch: 2, startOffset: 2 },
  ])
  expect(await committed(group)).toEqual(['a', 'b', 'c'])

  const again = await lone.restart()
  const reopened = await again.open(3)
  expect(reopened.log.logEndOffset).toBe(3)
  await again.quiet()
  const fetch = again.sent.find(({ request }) => request.type === 'fetch')!.request
  expect(fetch).toMatchObject({ fetchOffset: 3, lastFetchedEpoch: 2 })
})

test('epochs without records of theirs, several at one offset, are there after the power went', async () => {
  const lone = await Lone.start()
  await lone.open(3)
  await follow(lone, 2, 4)
  await answer(lone, 2, 4, {
    epochStarts: [mark(1, 0), mark(3, 1), mark(4, 1)],
    batches: records(lone, 0, 1, 'a'),
  })
  const again = await lone.restart()
  await again.open(3)
  await again.quiet()
  const fetch = again.sent.find(({ request }) => request.type === 'fetch')!.request
  expect(fetch).toMatchObject({ fetchOffset: 1, lastFetchedEpoch: 4, flushedOffset: 1 })
})

/** A log with records, and marks beside it as a crash may leave them. */
async function openWith(
  epochs: readonly number[],
  marks: ReturnType<typeof mark>[],
  kind: GroupSpec['kind'] = 'partition',
): Promise<Group> {
  const lone = await Lone.start()
  const log = await lone.logs.createLog('t', 0, 'dG9waWMtb2YtYS10ZXN0AA', defaultLogConfig)
  const group = new WriteGroup(lone.runtime.disk)
  for (const epoch of epochs) {
    const bytes = batchOf(lone.runtime, `of ${epoch}`)
    log.append(checkBatch(bytes, lone.runtime.checksum), bytes, epoch, group)
  }
  await group.submit()
  const quorum = { leaderEpoch: 9, leaderId: -1, voted: null, quarantine: 'none', incarnation: 1 }
  const state = { ...quorum, startNonces: [5], incarnations: [], highWatermark: 0 }
  await lone.logs.putState(log, stateKind.quorum, Buffer.from(JSON.stringify(state)))
  await lone.logs.putState(log, stateKind.epochs, encodeEpochStarts(marks))
  return lone.open(3, 0, { kind })
}

test('records of an epoch whose mark is not durable are cut off at the start', async () => {
  const group = await openWith([1, 1, 2, 2], [mark(1, 0)])
  expect(group.log.logEndOffset).toBe(2)
})

test('records in the place of which the marks have a later epoch are cut off at the start', async () => {
  const group = await openWith([1, 1, 2], [mark(1, 0), mark(3, 2)])
  expect(group.log.logEndOffset).toBe(2)
  expect(group.epochBefore(2)).toBe(1)
})

test('marks beyond the end of the records are dropped at the start, durably', async () => {
  const group = await openWith([1, 1], [mark(1, 0), mark(2, 2), mark(3, 7)])
  expect(group.log.logEndOffset).toBe(2)
  expect(group.epochBefore(3)).toBe(2)
})

test('records and marks that agree stay as they are', async () => {
  const group = await openWith([1, 3, 3], [mark(1, 0), mark(2, 1), mark(3, 1), mark(4, 3)])
  expect(group.log.logEndOffset).toBe(3)
  expect(group.epochBefore(4)).toBe(4)
})

test('marks go after the records whose place a snapshot takes: the power may go at every moment between', async () => {
  const lone = await Lone.start()
  const group = await lone.open(3)
  await follow(lone, 2, 1)
  await answer(lone, 2, 1, { epochStarts: [mark(1, 0)], batches: records(lone, 0, 1, 'a', 'b') })
  await follow(lone, 3, 2)
  await answer(lone, 3, 2, { epochStarts: [mark(2, 2)], batches: records(lone, 2, 2, 'c'), highWatermark: 3 })
  lone.gate.hold('sync', 'write')
  let isOver = false
  const taken = group.snapshotTaken({ endOffset: 3, epoch: 2 }, 3).then(() => {
    isOver = true
  })
  const starts = new Set<number>()
  while (!isOver) {
    await lone.quiet()
    const reopened = await (await lone.restart()).open(3)
    expect(reopened.failure).toBe(null)
    expect(reopened.log.logEndOffset).toBe(3)
    starts.add(reopened.log.logStartOffset)
    lone.gate.releaseOne()
    await lone.quiet()
  }
  await taken
  lone.gate.release()
  expect((await (await lone.restart()).open(3)).epochBefore(3)).toBe(2)
  expect([...starts]).toEqual([0, 3])
})

test('a replica is in the epoch of its last record at least: what was mended may be of one that it never heard of', async () => {
  const group = await openWith([1, 12], [], 'metadata')
  expect(group.leaderEpoch).toBe(12)
  expect(group.leaderId).toBe(-1)
})

test('a leader whose disk is full refuses appends, keeps what it took, and goes on when there is room', async () => {
  const lone = await Lone.start()
  const group = await lone.open(1)
  await lone.quiet()
  await group.append(batchOf(lone.runtime, 'a'), { acks: 'all' })
  lone.faults = ({ kind, path }) => (kind === 'write' && path.endsWith('.log') ? { code: 'ENOSPC' } : null)
  const taken = group.append(batchOf(lone.runtime, 'b'), { acks: 'all' })
  await lone.quiet()
  await expect(group.append(batchOf(lone.runtime, 'c'), { acks: 'all' })).rejects.toMatchObject({
    code: 'diskFull',
  })
  expect(group.state).toBe('leader')
  expect(await committed(group)).toEqual(['a'])
  lone.faults = null
  for (let round = 0; round < 10; round++) {
    lone.clock.advance(100)
    await lone.quiet()
  }
  expect(await taken).toMatchObject({ baseOffset: 1 })
  await group.append(batchOf(lone.runtime, 'd'), { acks: 'all' })
  expect(await committed(group)).toEqual(['a', 'b', 'd'])
})

test('a replica whose journal fails is out of use, and answers so', async () => {
  const lone = await Lone.start()
  const group = await lone.open(3)
  await lone.quiet()
  const failures: string[] = []
  group.watch({ failed: ({ message }) => failures.push(message) })
  lone.faults = ({ kind, path }) => (kind === 'sync' && path.includes('journal') ? { code: 'EIO' } : null)
  const vote = lone.ask(lone.vote(5))
  await lone.quiet()
  expect(vote.response).toBe(null)
  expect(failures).toHaveLength(1)
  expect(group.failure).toMatchObject({ code: 'diskFailed' })
  const later = lone.ask(lone.vote(6))
  expect(later.response).toMatchObject({ error: 'kafkaStorageError', voteGranted: false })
  await expect(group.append(batchOf(lone.runtime, 'a'), { acks: 'all' })).rejects.toMatchObject({
    code: 'diskFailed',
  })
})

test('a relaxed replica that comes back after the power went votes under reserve, a durable one does not', async () => {
  const vote = async (flush: 'none' | 'journal', isClean: boolean) => {
    const lone = await Lone.start()
    const spec = { config: { ...defaultLogConfig, flush } }
    await lone.open(3, 0, spec)
    await lone.quiet()
    if (isClean) {
      await lone.host.close()
      await lone.logs.close()
    }
    const again = await lone.restart()
    await again.open(3, 0, spec)
    const answered = again.ask(again.vote(7))
    await again.quiet()
    return answered.response
  }
  expect(await vote('none', false)).toMatchObject({ voteGranted: true, quarantined: true })
  expect(await vote('none', true)).toMatchObject({ voteGranted: true, quarantined: false })
  expect(await vote('journal', false)).toMatchObject({ voteGranted: true, quarantined: false })
})

test('a batch that a producer sends twice is there once, and both are told where', async () => {
  const lone = await Lone.start()
  const group = await lone.open(1)
  await lone.quiet()
  const batch = encodeBatch(
    {
      records: [{ key: null, value: Buffer.from('a'), timestampMs: 1 }],
      producerId: 4,
      producerEpoch: 0,
      baseSequence: 0,
    },
    lone.runtime.checksum,
  )
  const [first, second] = await Promise.all([
    group.append(batch, { acks: 'all' }),
    group.append(batch, { acks: 'all' }),
  ])
  expect(first).toMatchObject({ baseOffset: 0, duplicate: false })
  expect(second).toMatchObject({ baseOffset: 0, duplicate: true })
  expect(group.log.logEndOffset).toBe(1)
})

// What waits for the mark is not among what the log knows of producers: a batch that came again would be there twice.
test('a producer’s batch is taken once the mark of the epoch is durable, where that is written by itself', async () => {
  const lone = await Lone.start()
  const batch = (baseSequence: number): Uint8Array =>
    encodeBatch(
      {
        records: [{ key: null, value: Buffer.from('a'), timestampMs: 1 }],
        producerId: 4,
        producerEpoch: 0,
        baseSequence,
      },
      lone.runtime.checksum,
    )
  await lone.open(3, 0, { config: { ...defaultLogConfig, flush: 'batch' } })
  const group = await lone.elect(0, () => lone.gate.hold('sync'))
  await expect(group.append(batch(0), { acks: 'all' })).rejects.toMatchObject({ code: 'notEnoughReplicas' })
  expect(group.log.logEndOffset).toBe(0)
  lone.gate.release()
  await lone.quiet()
  const refused: unknown[] = []
  // Committed they never are: the other voters do not fetch.
  for (const sequence of [0, 1, 0]) {
    group.append(batch(sequence), { acks: 'all' }).catch((error) => refused.push(error))
  }
  await lone.quiet()
  expect([group.log.logEndOffset, refused]).toEqual([2, []])
})

test('appends beyond the bound of the node wait, and may be given up', async () => {
  const lone = await Lone.start(undefined, { maxPendingBytes: 100 })
  const group = await lone.open(1)
  await lone.quiet()
  lone.gate.hold('sync')
  const first = group.append(batchOf(lone.runtime, 'a'), { acks: 'all' })
  const controller = new AbortController()
  const second = group.append(batchOf(lone.runtime, 'b'), { acks: 'all', signal: controller.signal })
  const third = group.append(batchOf(lone.runtime, 'c'), { acks: 'all' })
  await lone.quiet()
  expect(group.log.logEndOffset).toBe(1)
  controller.abort(new Error('enough'))
  await expect(second).rejects.toThrow('enough')
  lone.gate.release()
  await first
  expect(await third).toMatchObject({ baseOffset: 1 })
})

test('a node whose directory is that of another replica is told so', async () => {
  const lone = await Lone.start()
  await lone.open(3)
  const request = lone.vote(3)
  const other = { ...request, voter: { id: 1, directoryId: directoryOf(9) } } as typeof request
  const answered = lone.ask(other)
  await lone.quiet()
  expect(answered.response).toMatchObject({ error: 'invalidVoterKey', voteGranted: false })
})

test('requests for groups that are not here are refused', async () => {
  const lone = await Lone.start()
  await lone.open(3)
  for (const type of ['vote', 'fetch', 'fetchSnapshot', 'beginQuorumEpoch'] as const) {
    const asked = lone.ask({ ...lone.vote(3), type, snapshotId: { endOffset: 1, epoch: 1 } } as never, 77)
    expect(asked.response).toMatchObject({ type, error: 'unknownTopicOrPartition', leaderId: -1 })
  }
})

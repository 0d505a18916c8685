import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import type { Effect } from '../../src/raft/effects.ts'
import type { RaftEvent } from '../../src/raft/events.ts'
import { initialQuorumState } from '../../src/raft/quorumState.ts'
import { VoterSet } from '../../src/raft/voterSet.ts'
import { answerIn, directory, inState, Lone, replica, voter } from './support/lone.ts'

const types = (effects: readonly Effect[]): readonly string[] => effects.map(({ type }) => type)

describe('a vote', () => {
  test('is written before it is answered', () => {
    const effects = new Lone().step(new Lone().voteRequest(replica(2)))
    expect(types(effects).indexOf('persist')).toBeLessThan(types(effects).indexOf('respond'))
  })

  test('is given once in an epoch, and again to the same candidate (Raft §5.2)', () => {
    const lone = new Lone()
    const ask = (id: number) => answerIn(lone.step(lone.voteRequest(replica(id), { replicaEpoch: 4 })))
    expect(ask(2)).toMatchObject({ voteGranted: true })
    expect(ask(3)).toMatchObject({ voteGranted: false })
    expect(ask(2)).toMatchObject({ voteGranted: true })
  })

  test('is refused to a shorter log, also when the candidate that has it asks again (Raft §5.4.1)', () => {
    const log = {
      logStartOffset: 0,
      logEndOffset: 5,
      epochStarts: [{ epoch: 1, startOffset: 0, votersVersion: 0 }],
      snapshotId: null,
    }
    const quorum = { ...initialQuorumState, leaderEpoch: 1 }
    const lone = new Lone({ start: { log, quorum } })
    const ask = (lastOffset: number) =>
      answerIn(lone.step(lone.voteRequest(replica(2), { replicaEpoch: 2, lastOffset })))
    expect(ask(4)).toMatchObject({ voteGranted: false })
    expect(ask(5)).toMatchObject({ voteGranted: true })
    expect(ask(4)).toMatchObject({ voteGranted: false })
  })

  test('is refused when it is meant for another disk of this node (KIP-853)', () => {
    const lone = new Lone()
    const request = lone.voteRequest(replica(2), { voter: { id: 1, directoryId: directory(9) } })
    expect(answerIn(lone.step(request))).toMatchObject({ error: 'invalidVoterKey', voteGranted: false })
  })

  test('is refused to another cluster, and changes nothing', () => {
    const lone = new Lone()
    const effects = lone.step(lone.voteRequest(replica(2), { clusterId: 'another', replicaEpoch: 9 }))
    expect(answerIn(effects)).toMatchObject({ error: 'inconsistentClusterId' })
    expect(lone.core.leaderEpoch).toBe(0)
  })

  test('before the election is refused by whoever hears its leader (KIP-996)', () => {
    const ask = (lone: Lone) =>
      answerIn(
        lone.step(
          lone.voteRequest(replica(3), { preVote: true, replicaEpoch: 2, lastOffset: 9, lastOffsetEpoch: 2 }),
        ),
      )
    expect(ask(inState.follower())).toMatchObject({ voteGranted: false })
    expect(ask(new Lone().follow(2, 2))).toMatchObject({ voteGranted: true })
  })

  test('of a replica that may have forgotten something counts only when all voters agree', () => {
    const lone = inState.prospective()
    lone.grant(2, true)
    expect(lone.core.state).toBe('prospective')
    lone.grant(3, true)
    expect(lone.core.state).toBe('candidate')
  })

  test('is not given before peers have recorded the start', () => {
    const lone = new Lone({ config: { confirmation: 'controller' } })
    expect(answerIn(lone.step(lone.voteRequest(replica(2))))).toMatchObject({ voteGranted: false })
    const { incarnation } = lone.sent('vote', 2).request
    lone.step({ type: 'incarnationRecorded', recorded: incarnation })
    expect(answerIn(lone.step(lone.voteRequest(replica(2))))).toMatchObject({ voteGranted: true })
  })
})

describe('a leader', () => {
  const leader = (): Lone => {
    const lone = inState.candidate()
    lone.grant(2)
    return lone
  }

  test('counts itself only once its own records are durable', () => {
    const lone = leader()
    lone.fetch(replica(2))
    expect(lone.core.highWatermark).toBe(0)
    lone.flush()
    expect(lone.core.highWatermark).toBe(1)
  })

  test('serves what it has not flushed, and counts a follower by what that has flushed', () => {
    const lone = leader()
    lone.flush()
    lone.step({ type: 'append', token: null, recordCount: 3, records: null })
    lone.flush()
    const effects = lone.fetch(replica(2), { fetchOffset: 1, flushedOffset: 1 })
    expect(effects).toContainEqual(
      expect.objectContaining({ read: { type: 'records', fromOffset: 1, toOffset: 4 } }),
    )
    expect(lone.core.highWatermark).toBe(1)
    lone.fetch(replica(2), { fetchOffset: 4, flushedOffset: 2, claimOnly: true })
    expect(lone.core.highWatermark).toBe(2)
  })

  test('commits nothing of an earlier epoch before something of its own (Raft §5.4.2)', () => {
    const log = {
      logStartOffset: 0,
      logEndOffset: 5,
      epochStarts: [{ epoch: 1, startOffset: 0, votersVersion: 0 }],
      snapshotId: null,
    }
    const lone = new Lone({ start: { log, quorum: { ...initialQuorumState, leaderEpoch: 1 } } }).elect()
    lone.flush()
    lone.fetch(replica(2), { fetchOffset: 5, lastFetchedEpoch: 1 })
    expect(lone.core.highWatermark).toBe(0)
    lone.fetch(replica(2))
    expect(lone.core.highWatermark).toBe(6)
  })

  test('of a partition begins its epoch with a mark, and counts only who has flushed that', () => {
    const lone = new Lone({ config: { kind: 'partition' } }).elect()
    lone.step({ type: 'append', token: null, recordCount: 1, records: null })
    expect(lone.effects).toContainEqual(expect.objectContaining({ type: 'accepted', baseOffset: 0 }))
    lone.flush()
    lone.fetch(replica(2), { lastFetchedEpoch: 0, fetchOffset: 0 })
    expect(lone.core.highWatermark).toBe(0)
    lone.fetch(replica(2), { flushedOffset: -1 })
    expect(lone.core.highWatermark).toBe(0)
    lone.fetch(replica(2))
    expect(lone.core.highWatermark).toBe(1)
  })

  test('does not count observers, other disks or replicas in quarantine', () => {
    const lone = leader()
    lone.flush()
    lone.fetch(replica(4))
    lone.fetch({ id: 2, directoryId: directory(9) })
    lone.fetch(replica(2), { quarantined: true })
    expect(lone.core.highWatermark).toBe(0)
  })

  test.each([
    ['fencedLeaderEpoch', { currentLeaderEpoch: 1 }],
    ['unknownLeaderEpoch', { currentLeaderEpoch: 9 }],
    ['invalidRequest', { fetchOffset: -1 }],
    ['invalidRequest', { fetchOffset: 0.5 }],
    ['invalidRequest', { replica: replica(1) }],
    ['inconsistentClusterId', { clusterId: 'another' }],
  ])('refuses a Fetch with %s', (error, change) => {
    expect(answerIn(leader().fetch(replica(2), change))).toMatchObject({ error })
  })

  test('tells a follower where logs part', () => {
    expect(answerIn(leader().fetch(replica(2), { fetchOffset: 7, lastFetchedEpoch: 2 }))).toMatchObject({
      divergingEpoch: { epoch: 0, endOffset: 0 },
    })
  })

  test('raises the alarm when a voter that starts anew claims less than it did', () => {
    const lone = leader()
    lone.flush()
    lone.fetch(replica(2))
    const incarnation = { ...replica(2), incarnation: 2, startNonce: 5, earlierNonces: [] }
    const effects = lone.fetch(replica(2), { fetchOffset: 0, lastFetchedEpoch: 0, incarnation })
    expect(effects).toContainEqual(expect.objectContaining({ type: 'alarm', code: 'rolledBack', id: 2 }))
  })

  test('that is its own majority does not lead before its vote is durable, whatever an operator says', () => {
    const lone = new Lone({ voters: [1] })
    lone.step({ type: 'uncleanElection', token: 'x' })
    expect(lone.core.state).toBe('candidate')
    lone.step({ type: 'voteDurable', epoch: lone.core.leaderEpoch - 1 })
    expect(lone.core.state).toBe('candidate')
    lone.step({ type: 'voteDurable', epoch: lone.core.leaderEpoch })
    expect(lone.core.state).toBe('leader')
  })

  test('answers a read only after a majority has come back to it', () => {
    const lone = inState.leader()
    lone.fetch(replica(2))
    expect(types(lone.step({ type: 'readIndex', token: 'r' }))).not.toContain('readReady')
    expect(types(lone.fetch(replica(2)))).not.toContain('readReady')
    expect(types(lone.fetch(replica(2), { round: 1 }))).toContain('readReady')
  })

  test('goes when it cannot write its log any more', () => {
    const lone = inState.leader()
    lone.step({ type: 'logFailed' })
    expect(lone.core.state).toBe('stopped')
    expect(lone.sent('endQuorumEpoch').request.preferredCandidates[0]).toEqual(replica(2))
  })

  test('refuses appends while it hands the lead over, and takes them again when that fails', () => {
    const lone = inState.leader()
    lone.fetch(replica(3), { fetchOffset: 0, lastFetchedEpoch: 0, flushedOffset: -1 })
    lone.step({ type: 'transferLeadership', token: 't', to: 3 })
    const append = (): readonly string[] =>
      types(lone.step({ type: 'append', token: null, recordCount: 1, records: null }))
    expect(append()).toEqual(['refused'])
    while (!types(lone.timeOut()).includes('refused')) lone.fetch(replica(2))
    expect(append()).toContain('accepted')
  })
})

describe('a follower', () => {
  test('applies an answer once, and only to the question that it belongs to', () => {
    const lone = new Lone().follow(2, 2)
    const { requestId } = lone.sent('fetch', 2)
    const response = lone.fetchResponse({ batches: lone.batches(0, 2, 1) })
    const arrive = () => lone.step({ type: 'fetchResponse', from: 2, requestId, response })
    expect(types(arrive())).toEqual(['append', 'append', 'send'])
    expect(arrive()).toEqual([])
    expect(lone.core.logEnd.endOffset).toBe(2)
  })

  test('knows no more to be committed than it has', () => {
    const lone = new Lone().follow(2, 2)
    lone.answer('fetch', 2, lone.fetchResponse({ batches: lone.batches(0, 2, 1), highWatermark: 9 }))
    expect(lone.core.highWatermark).toBe(2)
  })

  test('tells at once what it has flushed while its Fetch waits at the leader', () => {
    const lone = new Lone().follow(2, 1)
    lone.answer('fetch', 2, lone.fetchResponse({ batches: lone.batches(0, 2, 1) }))
    expect(lone.sent('fetch', 2).request.flushedOffset).toBe(-1)
    lone.flush()
    expect(lone.sent('fetch', 2).request).toMatchObject({ claimOnly: true, flushedOffset: 2 })
  })

  test('takes no records that do not follow its log', () => {
    const lone = new Lone().follow(2, 2)
    const effects = lone.answer('fetch', 2, lone.fetchResponse({ batches: lone.batches(0, 1, 7) }))
    expect(effects).toContainEqual(expect.objectContaining({ type: 'alarm', code: 'malformed' }))
    expect(lone.core.logEnd.endOffset).toBe(0)
  })

  test('never cuts what is committed (I5)', () => {
    const lone = inState.follower()
    const divergingEpoch = { epoch: 0, endOffset: 0, votersVersion: 0 }
    expect(() => lone.answer('fetch', 2, lone.fetchResponse({ divergingEpoch }))).toThrow('I5')
  })

  test('in quarantine leaves it once it has flushed what its leader had, durably and not before', () => {
    const lone = new Lone({ start: { mayHaveForgotten: true } }).follow(2, 1)
    expect(lone.core.quorumState.quarantine).toBe('forgotten')
    lone.answer('fetch', 2, lone.fetchResponse({ batches: lone.batches(0, 2, 1), logEndOffset: 2 }))
    expect(lone.core.quorumState.quarantine).toBe('forgotten')
    lone.flush()
    expect(lone.core.quorumState.quarantine).toBe('none')
  })
})

describe('messages that nobody should send', () => {
  const number = fc.oneof(
    fc.integer({ min: -2, max: 5 }),
    fc.constantFrom(Number.NaN, Number.POSITIVE_INFINITY, 2 ** 31, 2 ** 53, 1.5),
  )
  const anyEvent = (lone: Lone): fc.Arbitrary<RaftEvent> => {
    const key = fc.record({
      id: number,
      directoryId: fc.constantFrom(directory(1), directory(2), directory(9)),
    })
    const vote = fc.record({
      candidate: key,
      replicaEpoch: number,
      lastOffset: number,
      lastOffsetEpoch: number,
      preVote: fc.boolean(),
    })
    const fetch = fc.record({
      replica: key,
      currentLeaderEpoch: number,
      fetchOffset: number,
      lastFetchedEpoch: number,
      flushedOffset: number,
      round: number,
      maxWaitMs: number,
    })
    const quorum = fc.record({ leaderId: number, leaderEpoch: number })
    const often = <T>(value: T): fc.Arbitrary<T | number> => fc.oneof(fc.constant(value), number)
    const response = fc.record({
      leaderId: often(lone.core.leaderId),
      leaderEpoch: often(lone.core.leaderEpoch),
      highWatermark: number,
      round: number,
      logEndOffset: number,
    })
    return fc.oneof(
      vote.map((change) => lone.voteRequest(replica(2), change)),
      fetch.map(
        (change): RaftEvent => ({
          type: 'fetchRequest',
          replyTo: 0,
          request: lone.fetchRequest(replica(2), change),
        }),
      ),
      quorum.map(
        (request): RaftEvent => ({
          type: 'beginQuorumEpochRequest',
          replyTo: 0,
          request: { clusterId: null, voter: replica(1), ...request },
        }),
      ),
      quorum.map(
        (request): RaftEvent => ({
          type: 'endQuorumEpochRequest',
          replyTo: 0,
          request: { clusterId: null, preferredCandidates: [], ...request },
        }),
      ),
      fc
        .record({
          response,
          batch: fc.record({ baseOffset: number, lastOffset: number, leaderEpoch: number }),
        })
        .map(({ response, batch }): RaftEvent => {
          const asked = lone.effects.findLast(
            (effect) => effect.type === 'send' && effect.request.type === 'fetch',
          )
          const batches = [{ ...batch, control: [], records: null }]
          return {
            type: 'fetchResponse',
            from: 2,
            requestId: asked?.type === 'send' ? asked.requestId : 0,
            response: { ...lone.fetchResponse({ batches }), ...response },
          }
        }),
      fc.record({ id: number, size: number, position: number }).map(
        ({ id, size, position }): RaftEvent => ({
          type: 'fetchSnapshotResponse',
          from: 2,
          requestId: id,
          response: {
            error: 'none',
            leaderId: 2,
            leaderEpoch: 2,
            snapshotId: { endOffset: size, epoch: id },
            size,
            position,
            bytes: new Uint8Array(3),
          },
        }),
      ),
      fc.array(number, { maxLength: 3 }).map(
        (ids): RaftEvent => ({
          type: 'addVoterRequest',
          replyTo: 0,
          request: {
            clusterId: null,
            voter: { ...voter(9), id: ids[0] ?? -1 },
            timeoutMs: ids[1] ?? 0,
            ackWhenCommitted: true,
          },
        }),
      ),
      fc.constant<RaftEvent>({ type: 'timerFired' }),
    )
  }

  test('are refused in every state, and the replica goes on', () => {
    const states = Object.values(inState)
    fc.assert(
      fc.property(fc.nat(states.length - 1), fc.infiniteStream(fc.nat()), (index, seeds) => {
        const lone = states[index]!()
        for (const seed of seeds.take(15)) {
          const [event] = fc.sample(anyEvent(lone), { numRuns: 1, seed })
          lone.nowMs += seed % 200
          const before = lone.core.leaderEpoch
          lone.step(event!)
          expect(lone.core.leaderEpoch).toBeGreaterThanOrEqual(before)
          expect(Number.isSafeInteger(lone.core.leaderEpoch)).toBe(true)
          expect(lone.core.highWatermark).toBeLessThanOrEqual(lone.core.logEnd.endOffset)
        }
      }),
      { numRuns: 400 },
    )
  })
})

test('a voter set that cannot be is refused wherever it comes from', () => {
  const lone = new Lone().follow(2, 2)
  const control = [{ type: 'voters' as const, voters: [voter(1), voter(1)] }]
  const batches = [{ baseOffset: 0, lastOffset: 0, leaderEpoch: 1, control, records: null }]
  lone.answer('fetch', 2, lone.fetchResponse({ batches }))
  expect(lone.core.voters.voters).toEqual(new VoterSet([voter(1), voter(2), voter(3)]))
  expect(lone.core.logEnd.endOffset).toBe(0)
})

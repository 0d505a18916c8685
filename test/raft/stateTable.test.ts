import { describe, expect, test } from 'vitest'
import type { Effect } from '../../src/raft/effects.ts'
import type { RaftEvent, RaftEventType } from '../../src/raft/events.ts'
import { legalMoves } from '../../src/raft/legalMoves.ts'
import { raftStates } from '../../src/raft/states.ts'
import { stateTable } from '../../src/raft/stateTable.ts'
import { golden } from './support/golden.ts'
import { inState, type Lone, replica, voter } from './support/lone.ts'

const inFuture = { leaderId: 3, leaderEpoch: 9 }
const refused = { error: 'notLeaderOrFollower', leaderId: -1, leaderEpoch: 0 } as const
const snapshotId = { endOffset: 1, epoch: 1 }

/** Each event in a form that has news, so that every cell shows what it does about them. Complete by type. */
const news: Readonly<{ [T in RaftEventType]: (lone: Lone) => RaftEvent }> = {
  timerFired: (lone) => {
    lone.nowMs += 10_000
    return { type: 'timerFired' }
  },
  voteRequest: (lone) => lone.voteRequest(replica(3)),
  voteResponse: (lone) => ({
    type: 'voteResponse',
    from: 3,
    requestId: lastRequest(lone, 'vote'),
    response: {
      error: 'none',
      leaderId: -1,
      leaderEpoch: lone.core.leaderEpoch,
      voteGranted: true,
      quarantined: false,
      recorded: null,
    },
  }),
  beginQuorumEpochRequest: () => ({
    type: 'beginQuorumEpochRequest',
    replyTo: 3,
    request: { clusterId: 'cluster', voter: replica(1), ...inFuture },
  }),
  beginQuorumEpochResponse: () => ({
    type: 'beginQuorumEpochResponse',
    from: 3,
    requestId: 0,
    response: { error: 'fencedLeaderEpoch', ...inFuture },
  }),
  endQuorumEpochRequest: (lone) => ({
    type: 'endQuorumEpochRequest',
    replyTo: 2,
    request: {
      clusterId: 'cluster',
      leaderId: 2,
      leaderEpoch: lone.core.leaderEpoch,
      preferredCandidates: [replica(1), replica(3)],
    },
  }),
  endQuorumEpochResponse: () => ({
    type: 'endQuorumEpochResponse',
    from: 3,
    requestId: 0,
    response: { error: 'fencedLeaderEpoch', leaderId: -1, leaderEpoch: 9 },
  }),
  fetchRequest: (lone) => ({ type: 'fetchRequest', replyTo: 3, request: lone.fetchRequest(replica(3)) }),
  fetchResponse: (lone) => ({
    type: 'fetchResponse',
    from: 2,
    requestId: lastRequest(lone, 'fetch'),
    response: lone.fetchResponse({ batches: lone.batches(3, 1, 2), highWatermark: 4 }),
  }),
  fetchSnapshotRequest: (lone) => ({
    type: 'fetchSnapshotRequest',
    replyTo: 3,
    request: {
      clusterId: 'cluster',
      replica: replica(3),
      currentLeaderEpoch: lone.core.leaderEpoch,
      snapshotId,
      position: 0,
    },
  }),
  fetchSnapshotResponse: () => ({
    type: 'fetchSnapshotResponse',
    from: 2,
    requestId: 0,
    response: { error: 'none', ...inFuture, snapshotId, size: 1, position: 0, bytes: new Uint8Array(1) },
  }),
  addVoterRequest: () => ({
    type: 'addVoterRequest',
    replyTo: 5,
    request: { clusterId: 'cluster', voter: voter(5), timeoutMs: 100, ackWhenCommitted: true },
  }),
  addVoterResponse: () => ({
    type: 'addVoterResponse',
    from: 2,
    requestId: 0,
    response: { ...refused, leaderEpoch: 9 },
  }),
  removeVoterRequest: () => ({
    type: 'removeVoterRequest',
    replyTo: 5,
    request: { clusterId: 'cluster', voter: replica(3) },
  }),
  removeVoterResponse: () => ({ type: 'removeVoterResponse', from: 2, requestId: 0, response: refused }),
  updateVoterRequest: (lone) => ({
    type: 'updateVoterRequest',
    replyTo: 3,
    request: { clusterId: 'cluster', currentLeaderEpoch: lone.core.leaderEpoch, voter: voter(3) },
  }),
  updateVoterResponse: () => ({ type: 'updateVoterResponse', from: 2, requestId: 0, response: refused }),
  voteDurable: (lone) => ({ type: 'voteDurable', epoch: lone.core.leaderEpoch }),
  flushed: () => ({ type: 'flushed', sequence: 99 }),
  logFailed: () => ({ type: 'logFailed' }),
  requestFailed: (lone) => ({ type: 'requestFailed', requestId: lastRequest(lone, 'fetch') }),
  connectionLost: () => ({ type: 'connectionLost', id: 2 }),
  contact: (lone) => ({ type: 'contact', id: 2, leaderEpoch: lone.core.leaderEpoch }),
  append: () => ({ type: 'append', token: 'a', recordCount: 2, records: 'bytes' }),
  readIndex: () => ({ type: 'readIndex', token: 'r' }),
  transferLeadership: () => ({ type: 'transferLeadership', token: 't', to: 2 }),
  upgradeVersion: () => ({ type: 'upgradeVersion', token: 'u' }),
  uncleanElection: () => ({ type: 'uncleanElection', token: 'x' }),
  damaged: () => ({ type: 'damaged', isDamaged: true }),
  snapshotTaken: (lone) => ({
    type: 'snapshotTaken',
    snapshotId: { endOffset: lone.core.highWatermark, epoch: lone.core.epochBefore(lone.core.highWatermark) },
    logStartOffset: lone.core.highWatermark,
  }),
  snapshotReceived: () => ({ type: 'snapshotReceived', snapshotId, voters: [voter(1)], votersVersion: 0 }),
  snapshotFailed: () => ({ type: 'snapshotFailed', snapshotId }),
  incarnationRecorded: () => ({
    type: 'incarnationRecorded',
    recorded: { ...replica(1), incarnation: 7, startNonce: 7, earlierNonces: [] },
  }),
  shutdown: () => ({ type: 'shutdown' }),
}

function lastRequest(lone: Lone, type: 'vote' | 'fetch'): number {
  const found = lone.effects.findLast((effect) => effect.type === 'send' && effect.request.type === type)
  return found?.type === 'send' ? found.requestId : 0
}

function inWords(effect: Effect): string {
  switch (effect.type) {
    case 'send':
      return `send ${effect.request.type} to ${effect.to}`
    case 'respond': {
      const { response } = effect
      const granted = 'voteGranted' in response ? (response.voteGranted ? ' granted' : ' denied') : ''
      return `respond ${response.type} ${response.error}${granted}`
    }
    case 'stateChanged':
      return `become ${effect.state} in ${effect.leaderEpoch}`
    case 'refused':
      return `refuse ${effect.error}`
    case 'alarm':
      return `alarm ${effect.code}`
    default:
      return effect.type
  }
}

const events = Object.keys(news) as RaftEventType[]

describe('every state knows every event', () => {
  test('and the table says what it does, effect by effect', () => {
    const lines = raftStates.flatMap((state) => [
      `# ${state}`,
      ...events.map((event) => {
        const lone = inState[state]()
        expect(lone.core.state).toBe(state)
        const effects = lone.step(news[event](lone))
        const handler = stateTable[state][event].name
        return `${event} (${handler}): ${effects.map(inWords).join(', ') || '-'}`
      }),
      '',
    ])
    const actual = lines.join('\n')
    expect(actual).toBe(golden(new URL('./stateTable.txt', import.meta.url), actual))
  })

  test.each(raftStates)('%s leaves only along the legal moves', (state) => {
    for (const event of events) {
      const lone = inState[state]()
      const moves = lone.step(news[event](lone)).filter((effect) => effect.type === 'stateChanged')
      let from = state
      for (const { state: to } of moves) {
        expect(legalMoves[from][to], `${from} to ${to} by ${event}`).not.toBeNull()
        from = to
      }
      expect(lone.core.state).toBe(from)
    }
  })
})

test('the table of moves has a reason for each, or none', () => {
  const table = raftStates.map((from) =>
    [
      `# ${from}`,
      ...raftStates.flatMap((to) =>
        legalMoves[from][to] === null ? [] : [`${to}: ${legalMoves[from][to]}`],
      ),
      '',
    ].join('\n'),
  )
  const actual = table.join('\n')
  expect(actual).toBe(golden(new URL('./legalMoves.txt', import.meta.url), actual))
})

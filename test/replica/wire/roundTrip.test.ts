import fc from 'fast-check'
import { expect, test } from 'vitest'
import type { AnyApi } from '../../../src/protocol/apiKeys.ts'
import { decode, encode, encodeParts } from '../../../src/protocol/codec.ts'
import { quorumApis } from '../../../src/protocol/quorumApis.ts'
import type { Infer, InferInput } from '../../../src/protocol/schema.ts'
import type { RaftRequest, RaftResponse } from '../../../src/raft.ts'
import { type GroupRef, groupKey } from '../../../src/replica/transport.ts'
import {
  fetchRequestBody,
  fetchResponseBody,
  readFetchRequest,
  readFetchResponse,
} from '../../../src/replica/wire/fetchMessages.ts'
import {
  beginRequestBody,
  endRequestBody,
  leaderResponseBody,
  readBeginRequest,
  readEndRequest,
  readLeaderResponse,
  readVoteRequest,
  readVoteResponse,
  voteRequestBody,
  voteResponseBody,
} from '../../../src/replica/wire/quorumMessages.ts'
import {
  readSnapshotRequest,
  readSnapshotResponse,
  snapshotRequestBody,
  snapshotResponseBody,
} from '../../../src/replica/wire/snapshotMessages.ts'
import {
  addRequestBody,
  readAddRequest,
  readRemoveRequest,
  readUpdateRequest,
  readUpdateResponse,
  readVoterResponse,
  removeRequestBody,
  updateRequestBody,
  updateResponseBody,
  voterResponseBody,
} from '../../../src/replica/wire/voterMessages.ts'
import { nodeChecksum } from '../../../src/runtime/node/nodeChecksum.ts'
import { type Envelope, envelope, groups, requests, responses } from './arbitraries.ts'

/** Through the bytes of the version that nodes speak. */
function sentRequest<A extends AnyApi>(api: A, body: InferInput<A['request']>): Infer<A['request']> {
  return decode(api.request, api.max, encode(api.request, api.max, body)) as Infer<A['request']>
}

function sentResponse<A extends AnyApi>(api: A, body: InferInput<A['response']>): Infer<A['response']> {
  const parts = encodeParts(api.response, api.max, body) as Uint8Array[]
  return decode(api.response, api.max, Buffer.concat(parts)) as Infer<A['response']>
}

interface Item<T> {
  readonly group: GroupRef
  readonly what: T
}

/** Several groups, each with a request or answer of its own. */
function itemsOf<T>(what: fc.Arbitrary<T>): fc.Arbitrary<readonly Item<T>[]> {
  return groups(6).chain((list) =>
    fc.tuple(...list.map((group) => what.map((each) => ({ group, what: each })))),
  )
}

const byKey = <T extends { readonly group: GroupRef }>(items: readonly T[]): readonly T[] =>
  [...items].sort((a, b) => (groupKey(a.group) < groupKey(b.group) ? -1 : 1))

/** A conversion of requests of one type there and back. */
function requestsSurvive<T extends RaftRequest['type']>(
  type: T,
  through: (
    asked: readonly { group: GroupRef; request: Extract<RaftRequest, { type: T }> }[],
    envelope: Envelope,
  ) => readonly { readonly group: GroupRef; readonly request: RaftRequest }[],
): void {
  test(`${type} requests arrive as they were sent`, () => {
    fc.assert(
      fc.property(
        envelope.chain((common) =>
          itemsOf(requests[type](common) as fc.Arbitrary<Extract<RaftRequest, { type: T }>>).map((items) => ({
            items,
            common,
          })),
        ),
        ({ items, common }) => {
          const asked = items.map(({ group, what }) => ({ group, request: what }))
          expect(byKey(through(asked, common))).toEqual(byKey(asked))
        },
      ),
    )
  })
}

function responsesSurvive<T extends RaftResponse['type']>(
  type: T,
  through: (
    answers: readonly { group: GroupRef; response: Extract<RaftResponse, { type: T }> }[],
  ) => readonly { readonly group: GroupRef; readonly response: RaftResponse }[],
): void {
  test(`${type} answers arrive as they were given`, () => {
    fc.assert(
      fc.property(itemsOf(responses[type]() as fc.Arbitrary<Extract<RaftResponse, { type: T }>>), (items) => {
        const answers = items.map(({ group, what }) => ({ group, response: what }))
        expect(byKey(through(answers))).toEqual(byKey(answers))
      }),
    )
  })
}

requestsSurvive('vote', (asked) => readVoteRequest(sentRequest(quorumApis.vote, voteRequestBody(asked))))
requestsSurvive('beginQuorumEpoch', (asked) =>
  readBeginRequest(sentRequest(quorumApis.beginQuorumEpoch, beginRequestBody(asked, []))),
)
requestsSurvive('endQuorumEpoch', (asked) =>
  readEndRequest(sentRequest(quorumApis.endQuorumEpoch, endRequestBody(asked, []))),
)
requestsSurvive('fetchSnapshot', (asked) =>
  readSnapshotRequest(sentRequest(quorumApis.fetchSnapshot, snapshotRequestBody(asked))),
)
requestsSurvive('addVoter', (asked) =>
  asked.map((each) => readAddRequest(sentRequest(quorumApis.addRaftVoter, addRequestBody(each)))),
)
requestsSurvive('removeVoter', (asked) =>
  asked.map((each) => readRemoveRequest(sentRequest(quorumApis.removeRaftVoter, removeRequestBody(each)))),
)
requestsSurvive('updateVoter', (asked) =>
  asked.map((each) => readUpdateRequest(sentRequest(quorumApis.updateRaftVoter, updateRequestBody(each)))),
)
requestsSurvive('fetch', (asked, { clusterId, from }) => {
  const session = { clusterId, replicaId: from, sessionId: 7, sessionEpoch: 9, maxWaitMs: 200, maxBytes: 1 }
  const fetches = asked.map((each) => ({ ...each, tellsStart: true, atOnce: false }))
  const read = readFetchRequest(sentRequest(quorumApis.fetch, fetchRequestBody(session, fetches, [])))
  expect(read.envelope).toEqual(session)
  const names = new Map(asked.map(({ group }) => [groupKey(group), group]))
  return read.fetches.map(({ group, request, incarnation }) => ({
    // A Fetch names topics by their ids only.
    group: names.get(groupKey(group))!,
    request: { ...request, incarnation: incarnation! },
  }))
})

responsesSurvive('vote', (answers) =>
  readVoteResponse(sentResponse(quorumApis.vote, voteResponseBody(answers))),
)
responsesSurvive('beginQuorumEpoch', (answers) =>
  readLeaderResponse(
    'beginQuorumEpoch',
    sentResponse(quorumApis.beginQuorumEpoch, leaderResponseBody(answers)),
  ),
)
responsesSurvive('endQuorumEpoch', (answers) =>
  readLeaderResponse('endQuorumEpoch', sentResponse(quorumApis.endQuorumEpoch, leaderResponseBody(answers))),
)
responsesSurvive('fetchSnapshot', (answers) =>
  readSnapshotResponse(sentResponse(quorumApis.fetchSnapshot, snapshotResponseBody(answers))),
)
responsesSurvive('addVoter', (answers) =>
  answers.map(({ group, response }) => ({
    group,
    response: readVoterResponse(
      'addVoter',
      sentResponse(quorumApis.addRaftVoter, voterResponseBody(response)),
    ),
  })),
)
responsesSurvive('removeVoter', (answers) =>
  answers.map(({ group, response }) => ({
    group,
    response: readVoterResponse(
      'removeVoter',
      sentResponse(quorumApis.removeRaftVoter, voterResponseBody(response)),
    ),
  })),
)
responsesSurvive('updateVoter', (answers) =>
  answers.map(({ group, response }) => ({
    group,
    response: readUpdateResponse(sentResponse(quorumApis.updateRaftVoter, updateResponseBody(response))),
  })),
)
responsesSurvive('fetch', (answers) => {
  const given = answers.map((each, index) => ({
    ...each,
    records: [],
    askedIn: index,
    isClaim: index % 2 === 0,
  }))
  const read = readFetchResponse(sentResponse(quorumApis.fetch, fetchResponseBody(3, given)), nodeChecksum)
  const marks = (items: readonly { group: GroupRef; askedIn: number; isClaim: boolean }[]) =>
    items.map(({ group, askedIn, isClaim }) => `${groupKey(group)} ${askedIn} ${isClaim}`).sort()
  expect(marks(read)).toEqual(marks(given))
  const names = new Map(answers.map(({ group }) => [groupKey(group), group]))
  return read.map(({ group, response }) => ({ group: names.get(groupKey(group))!, response }))
})

test('what is private may be missing: the rest reads as Kafka means it', () => {
  const body = {
    clusterId: 'c',
    voterId: 2,
    topics: [
      {
        topicName: '__cluster_metadata',
        partitions: [
          {
            partitionIndex: 0,
            replicaEpoch: 5,
            replicaId: 1,
            lastOffsetEpoch: 4,
            lastOffset: 9,
            preVote: true,
          },
        ],
      },
    ],
  }
  const [vote] = readVoteRequest(sentRequest(quorumApis.vote, body))
  expect(vote).toMatchObject({
    group: { topicId: 'AAAAAAAAAAAAAAAAAAAAAQ', partition: 0 },
    request: { votersVersion: 0, incarnation: { id: 1, incarnation: 0 }, preVote: true },
  })
  const fetch = { replicaState: { replicaId: 1 }, topics: [{ partitions: [{ fetchOffset: 3 }] }] }
  const { fetches } = readFetchRequest(sentRequest(quorumApis.fetch, fetch))
  expect(fetches[0]).toMatchObject({
    request: { fetchOffset: 3, flushedOffset: -1, claimOnly: false, quarantined: false, round: 0 },
    incarnation: null,
    atOnce: false,
  })
  const answer = { responses: [{ partitions: [{ highWatermark: 8 }] }] }
  const [read] = readFetchResponse(sentResponse(quorumApis.fetch, answer), nodeChecksum)
  expect(read).toMatchObject({
    askedIn: -1,
    response: { highWatermark: 8, logEndOffset: 8, divergingEpoch: null, snapshotId: null, recorded: null },
  })
  const [added] = [readAddRequest(sentRequest(quorumApis.addRaftVoter, { clusterId: null, voterId: 4 }))]
  expect(added).toMatchObject({ group: { topic: '__cluster_metadata' }, request: { voter: { id: 4 } } })
})

test('an error of a whole message is one of each group, and grants no vote', () => {
  const answers = [{ partitionIndex: 0, leaderId: -1, leaderEpoch: 3, voteGranted: true }]
  const body = { errorCode: 104, topics: [{ topicName: 't', partitions: answers }] }
  const [vote] = readVoteResponse(sentResponse(quorumApis.vote, body))
  expect(vote!.response).toMatchObject({ error: 'inconsistentClusterId', voteGranted: false })
})

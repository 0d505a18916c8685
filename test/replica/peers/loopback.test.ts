import { afterEach, expect, test } from 'vitest'
import type { RaftResponse } from '../../../src/raft.ts'
import { groupKey } from '../../../src/replica/transport.ts'
import { nodeChecksum } from '../../../src/runtime/node/nodeChecksum.ts'
import { encodeBatch } from '../../../src/segment/records.ts'
import {
  fetchAnswer,
  fetchRequest,
  granted,
  groupAt,
  startNode,
  startNodes,
  type TestNode,
  voteRequest,
} from './support.ts'

let nodes: TestNode[] = []
afterEach(async () => {
  for (const { transport } of nodes.splice(0)) await transport.close()
})

async function two(options = {}): Promise<[TestNode, TestNode]> {
  nodes = await startNodes(2, options)
  return [nodes[0]!, nodes[1]!]
}

/** A batch of one record at an offset. */
function batchAt(baseOffset: number, leaderEpoch = 1): Uint8Array {
  const record = { key: null, value: new Uint8Array([baseOffset]), timestampMs: 5 }
  return encodeBatch({ records: [record], baseOffset, leaderEpoch }, nodeChecksum)
}

test('what is sent in one turn travels together, and each group gets its own answer', async () => {
  const [a, b] = await two()
  b.recorder.onRequest = ({ group, reply }) => {
    const leaderEpoch = group.partition
    reply({ ...granted, leaderEpoch } as RaftResponse, [])
  }
  for (let i = 0; i < 1000; i++) a.transport.send(2, groupAt(i), i, voteRequest(1, 2))
  expect(a.recorder.got).toHaveLength(0)
  await a.recorder.until(() => a.recorder.got.length === 1000)
  expect(b.recorder.handed.every(({ from }) => from === 1)).toBe(true)
  expect(b.recorder.handed[999]!.request).toEqual(voteRequest(1, 2))
  for (const { requestId, response } of a.recorder.got) expect(response.leaderEpoch).toBe(requestId)
})

test('the same group asked twice in one turn gets both answers', async () => {
  const [a, b] = await two()
  b.recorder.onRequest = ({ request, reply }) => {
    if (request.type === 'vote') reply({ ...granted, leaderEpoch: request.replicaEpoch } as RaftResponse, [])
  }
  a.transport.send(2, groupAt(0), 1, voteRequest(1, 2, 11))
  a.transport.send(2, groupAt(0), 2, voteRequest(1, 2, 12))
  await a.recorder.until(() => a.recorder.got.length === 2)
  expect(a.recorder.got.map(({ requestId, response }) => [requestId, response.leaderEpoch])).toEqual([
    [1, 11],
    [2, 12],
  ])
})

test('the first Fetch of a group is to be answered at once, the next one waits until there is something', async () => {
  const [a, b] = await two()
  a.transport.send(2, groupAt(0), 1, fetchRequest(1, 0))
  await b.recorder.until(() => b.recorder.handed.length === 1)
  const first = b.recorder.handed[0]!
  expect(first.request).toEqual({ ...fetchRequest(1, 0), maxWaitMs: 0 })
  first.reply(fetchAnswer(2, 5), [])
  await a.recorder.until(() => a.recorder.got.length === 1)
  expect(a.recorder.got[0]!.response).toEqual(fetchAnswer(2, 5))
  a.transport.send(2, groupAt(0), 2, fetchRequest(1, 7))
  await b.recorder.until(() => b.recorder.handed.length === 2)
  const second = b.recorder.handed[1]!
  expect(second.request).toEqual({ ...fetchRequest(1, 7), maxWaitMs: 0x7fff_ffff })
  const records = [batchAt(7), batchAt(8, 2)]
  second.reply(fetchAnswer(2, 9), records)
  await a.recorder.until(() => a.recorder.got.length === 2)
  const { response } = a.recorder.got[1]!
  if (response.type !== 'fetch') throw new Error('another answer')
  expect(
    response.batches.map(({ baseOffset, lastOffset, leaderEpoch }) => [baseOffset, lastOffset, leaderEpoch]),
  ).toEqual([
    [7, 7, 1],
    [8, 8, 2],
  ])
  expect(response.batches.map(({ records: bytes }) => Buffer.from(bytes as Uint8Array))).toEqual(
    records.map((batch) => Buffer.from(batch)),
  )
})

test('a group that waits costs nothing: rounds are empty, and prove both sides alive', async () => {
  const [a, b] = await two({ limits: { sessionWaitMs: 10 } })
  b.recorder.onRequest = ({ request, reply }) => {
    if (request.type === 'fetch' && request.maxWaitMs === 0) reply(fetchAnswer(2, 0), [])
  }
  a.recorder.onResponse = ({ requestId }) => {
    if (requestId < 100) a.transport.send(2, groupAt(requestId), requestId + 100, fetchRequest(1, 1))
  }
  for (let i = 0; i < 100; i++) a.transport.send(2, groupAt(i), i, fetchRequest(1, 0))
  await b.recorder.until(() => b.recorder.handed.length === 200)
  const { length } = b.recorder.handed
  const before = b.transport.followerContactMs(1, groupAt(3))
  expect(before).toBeGreaterThan(0)
  // What another node asks comes after many rounds of this one.
  for (let i = 0; i < 5; i++) {
    const count = b.recorder.handed.length
    a.transport.send(2, groupAt(0), 1000 + i, fetchRequest(1, 1, true))
    await b.recorder.until(() => b.recorder.handed.length > count)
    b.recorder.handed.at(-1)!.reply(fetchAnswer(2, 0), [])
    await a.recorder.until(() => a.recorder.got.some(({ requestId }) => requestId === 1000 + i))
  }
  expect(b.recorder.handed).toHaveLength(length + 5)
  expect(b.transport.followerContactMs(1, groupAt(3))).toBeGreaterThan(before)
  expect(a.transport.leaderContactMs(2, groupAt(3))).toBeGreaterThan(before)
  expect(a.transport.leaderContactMs(2, groupAt(500))).toBe(Number.NEGATIVE_INFINITY)
  expect(b.transport.followerContactMs(1, groupAt(500))).toBe(Number.NEGATIVE_INFINITY)
  expect(b.transport.leaderContactMs(1, groupAt(3))).toBe(Number.NEGATIVE_INFINITY)
})

test('whoever was just brought something still follows, until it says otherwise or was refused', async () => {
  const [a, b] = await two({ limits: { sessionWaitMs: 100_000 } })
  for (const partition of [0, 1]) a.transport.send(2, groupAt(partition), partition, fetchRequest(1, 3))
  await b.recorder.until(() => b.recorder.handed.length === 2)
  b.recorder.handed[0]!.reply(fetchAnswer(2, 1), [])
  b.recorder.handed[1]!.reply({ ...fetchAnswer(2, 1), error: 'fencedLeaderEpoch' }, [])
  expect(b.transport.followerContactMs(1, groupAt(0))).toBeGreaterThan(0)
  expect(b.transport.followerContactMs(1, groupAt(1))).toBe(Number.NEGATIVE_INFINITY)
  await a.recorder.until(() => a.recorder.got.length === 2)
  a.transport.forget(groupAt(0))
  a.transport.send(2, groupAt(2), 2, fetchRequest(1, 3))
  await b.recorder.until(() => b.recorder.handed.length === 3)
  expect(b.transport.followerContactMs(1, groupAt(0))).toBe(Number.NEGATIVE_INFINITY)
})

test('a claim does not wait behind the Fetch that waits, and both are told apart', async () => {
  const [a, b] = await two({ limits: { sessionWaitMs: 100_000 } })
  a.transport.send(2, groupAt(0), 1, fetchRequest(1, 3))
  await b.recorder.until(() => b.recorder.handed.length === 1)
  a.transport.send(2, groupAt(0), 2, fetchRequest(1, 3, true))
  await b.recorder.until(() => b.recorder.handed.length === 2)
  expect(b.recorder.handed[1]!.request).toMatchObject({ claimOnly: true })
  b.recorder.handed[1]!.reply(fetchAnswer(2, 1), [])
  await a.recorder.until(() => a.recorder.got.length === 1)
  expect(a.recorder.got[0]).toMatchObject({ requestId: 2, response: { highWatermark: 1 } })
  b.recorder.handed[0]!.reply(fetchAnswer(2, 2), [])
  await a.recorder.until(() => a.recorder.got.length === 2)
  expect(a.recorder.got[1]).toMatchObject({ requestId: 1, response: { highWatermark: 2 } })
})

test('what there is after the answer to a claim leaves without another message of the follower', async () => {
  const [a, b] = await two({ limits: { sessionWaitMs: 100_000 } })
  b.recorder.onRequest = ({ request, reply }) => {
    if (request.type === 'fetch' && request.claimOnly) reply(fetchAnswer(2, 1), [])
  }
  for (let round = 1; round < 10; round++) {
    a.transport.send(2, groupAt(0), 2 * round, fetchRequest(1, round))
    await b.recorder.until(() => b.recorder.handed.length === 2 * round - 1)
    a.transport.send(2, groupAt(0), 2 * round + 1, fetchRequest(1, round, true))
    await a.recorder.until(() => a.recorder.got.length === 2 * round - 1)
    const askedMs = b.transport.followerContactMs(1, groupAt(0))
    b.recorder.handed[2 * round - 2]!.reply(fetchAnswer(2, 2), [])
    await a.recorder.until(() => a.recorder.got.length === 2 * round)
    // The first message of a session never waits.
    if (round > 1) expect(b.transport.followerContactMs(1, groupAt(0))).toBe(askedMs)
  }
})

test('a forgotten group fails, is no sign of life any more, and its answer is dropped', async () => {
  const [a, b] = await two({ limits: { sessionWaitMs: 100_000 } })
  a.transport.send(2, groupAt(0), 1, fetchRequest(1, 3))
  a.transport.send(2, groupAt(1), 2, fetchRequest(1, 3))
  await b.recorder.until(() => b.recorder.handed.length === 2)
  expect(b.transport.followerContactMs(1, groupAt(0))).toBeGreaterThan(0)
  a.transport.forget(groupAt(0))
  expect(a.recorder.failures).toEqual([])
  await a.recorder.until(() => a.recorder.failures.length === 1)
  expect(a.recorder.failures).toEqual([1])
  // The next message of the session takes the news along.
  a.transport.send(2, groupAt(2), 3, fetchRequest(1, 3))
  await b.recorder.until(() => b.recorder.handed.length === 3)
  expect(b.transport.followerContactMs(1, groupAt(0))).toBe(Number.NEGATIVE_INFINITY)
  expect(b.transport.followerContactMs(1, groupAt(1))).toBeGreaterThan(0)
  for (const { reply } of b.recorder.handed) reply(fetchAnswer(2, 1), [])
  await a.recorder.until(() => a.recorder.got.length === 2)
  expect(a.recorder.got.map(({ requestId }) => requestId).sort()).toEqual([2, 3])
})

test('a Fetch in place of an earlier one fails that one, and an answer to it is dropped', async () => {
  const [a, b] = await two({ limits: { sessionWaitMs: 100_000 } })
  a.transport.send(2, groupAt(0), 1, fetchRequest(1, 3))
  await b.recorder.until(() => b.recorder.handed.length === 1)
  a.transport.send(2, groupAt(0), 2, fetchRequest(1, 4))
  await b.recorder.until(() => b.recorder.handed.length === 2)
  expect(a.recorder.failures).toEqual([1])
  b.recorder.handed[0]!.reply(fetchAnswer(2, 1), [])
  b.recorder.handed[1]!.reply(fetchAnswer(2, 2), [])
  await a.recorder.until(() => a.recorder.got.length === 1)
  expect(a.recorder.got).toMatchObject([{ requestId: 2, response: { highWatermark: 2 } }])
})

test('answers that do not fit into one message come in the next ones, and nobody is left out', async () => {
  const [a, b] = await two({ limits: { maxAnswerBytes: 150 } })
  for (let i = 0; i < 20; i++) a.transport.send(2, groupAt(i), i, fetchRequest(1, 3))
  await b.recorder.until(() => b.recorder.handed.length === 20)
  for (const { reply } of b.recorder.handed) reply(fetchAnswer(2, 4), [batchAt(3)])
  await a.recorder.until(() => a.recorder.got.length === 20)
  expect(a.recorder.got.map(({ requestId }) => requestId)).toEqual([...Array(20).keys()])
})

test('damaged records fail their group alone', async () => {
  const [a, b] = await two()
  a.transport.send(2, groupAt(0), 1, fetchRequest(1, 3))
  a.transport.send(2, groupAt(1), 2, fetchRequest(1, 3))
  await b.recorder.until(() => b.recorder.handed.length === 2)
  const damaged = batchAt(3)
  damaged[65]! ^= 1
  b.recorder.handed[0]!.reply(fetchAnswer(2, 4), [damaged])
  b.recorder.handed[1]!.reply(fetchAnswer(2, 4), [batchAt(3)])
  await a.recorder.until(() => a.recorder.got.length === 1 && a.recorder.failures.length === 1)
  expect(a.recorder.failures).toEqual([1])
  expect(a.recorder.got[0]!.requestId).toBe(2)
})

test('a broken connection fails what was under way, says so once, and is made anew', async () => {
  const [a, b] = await two({ limits: { sessionWaitMs: 100_000 } })
  const port = b.transport
  a.transport.send(2, groupAt(0), 1, fetchRequest(1, 3))
  a.transport.send(2, groupAt(0), 2, voteRequest(1, 2))
  await b.recorder.until(() => b.recorder.handed.length === 2)
  const order: string[] = []
  a.recorder.onFailed = (_, id) => order.push(`failed ${id} ${a.recorder.lost.length}`)
  await port.close()
  await a.recorder.until(() => a.recorder.lost.length === 1)
  expect(order.sort()).toEqual(['failed 1 0', 'failed 2 0'])
  expect(a.transport.leaderContactMs(2, groupAt(0))).toBe(Number.NEGATIVE_INFINITY)
  // A late answer of the old connection is nobody's.
  for (const { reply } of b.recorder.handed) reply(granted, [])
  const again = startNode(2)
  nodes.push(again)
  a.transport.know(2, [{ name: 'x', ...(await again.transport.listen({ host: '127.0.0.1', port: 0 })) }])
  again.recorder.onRequest = ({ reply }) => reply(granted, [])
  a.transport.send(2, groupAt(0), 3, voteRequest(1, 2))
  await a.recorder.until(() => a.recorder.got.length === 1)
  expect(a.recorder.got[0]!.requestId).toBe(3)
  expect(a.recorder.lost).toEqual([2])
})

test('a node that nobody knows fails at once, but not during the call', async () => {
  const [a] = await two()
  a.transport.send(7, groupAt(0), 5, voteRequest(1, 7))
  expect(a.recorder.failures).toEqual([])
  await a.recorder.until(() => a.recorder.failures.length === 1)
  expect(a.recorder.failures).toEqual([5])
  expect(a.recorder.lost).toEqual([])
})

test('a node that does not answer is given up, without being taken for lost', async () => {
  const [a, b] = await two({ limits: { requestTimeoutMs: 30, sessionWaitMs: 10 } })
  // Everything else goes on while one group is not answered.
  a.transport.send(2, groupAt(0), 1, { ...voteRequest(1, 2) })
  await a.recorder.until(() => a.recorder.failures.length === 1)
  expect(b.recorder.handed).toHaveLength(1)
  expect(a.recorder.lost).toEqual([])
})

test('changes of voters, and parts of snapshots, find their way', async () => {
  const [a, b] = await two()
  const directoryId = 'VYxc0qjnQpS5vXtQp0i7Ew'
  const voter = {
    id: 3,
    directoryId,
    endpoints: [{ name: 'n', host: 'h', port: 9 }],
    minVersion: 0,
    maxVersion: 1,
  }
  const clusterId = 'cluster'
  const snapshotId = { endOffset: 10, epoch: 2 }
  const leader = { error: 'none', leaderId: 2, leaderEpoch: 4 } as const
  const bytes = new Uint8Array(5000).fill(7)
  const asked = [
    { type: 'addVoter', clusterId, voter, timeoutMs: 1000, ackWhenCommitted: false },
    { type: 'removeVoter', clusterId, voter: { id: 3, directoryId } },
    { type: 'updateVoter', clusterId, currentLeaderEpoch: 4, voter },
    {
      type: 'fetchSnapshot',
      clusterId,
      replica: { id: 1, directoryId },
      currentLeaderEpoch: 4,
      snapshotId,
      position: 3,
    },
    { type: 'beginQuorumEpoch', clusterId, voter: { id: 2, directoryId }, leaderId: 1, leaderEpoch: 9 },
    {
      type: 'endQuorumEpoch',
      clusterId,
      leaderId: 1,
      leaderEpoch: 9,
      preferredCandidates: [{ id: 2, directoryId }],
    },
  ] as const
  b.recorder.onRequest = ({ request: { type }, reply }) => {
    if (type === 'fetchSnapshot') reply({ type, ...leader, snapshotId, size: 9000, position: 3, bytes }, [])
    else reply({ type, ...leader } as RaftResponse, [])
  }
  for (const [index, request] of asked.entries()) a.transport.send(2, groupAt(index), index, request)
  await a.recorder.until(() => a.recorder.got.length === asked.length)
  const byGroup = (x: { partition: number }, y: { partition: number }) => x.partition - y.partition
  const handed = b.recorder.handed.map(({ group, request }) => ({ ...group, request })).sort(byGroup)
  expect(handed).toEqual(asked.map((request, index) => ({ ...groupAt(index), request })))
  for (const { key, requestId, response } of a.recorder.got) {
    expect(key).toBe(groupKey(groupAt(requestId)))
    expect(response).toMatchObject({ type: asked[requestId]!.type, ...leader })
    if (response.type === 'fetchSnapshot') expect(Buffer.from(response.bytes)).toEqual(Buffer.from(bytes))
  }
})

test('a node that cannot be reached to fetch from is told as lost, so that whoever follows it looks elsewhere', async () => {
  const [a] = await two({ limits: { minBackoffMs: 1, maxBackoffMs: 1 } })
  const gone = startNode(3)
  const bound = await gone.transport.listen({ host: '127.0.0.1', port: 0 })
  await gone.transport.close()
  a.transport.know(3, [{ name: 'x', ...bound }])
  a.transport.send(3, groupAt(0), 1, fetchRequest(1, 0))
  await a.recorder.until(() => a.recorder.lost.length > 0)
  expect([a.recorder.failures, a.recorder.lost[0]]).toEqual([[1], 3])
})

import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import type { Logger } from '../../../src/model/logger.ts'
import type { AnyApi } from '../../../src/protocol/apiKeys.ts'
import { decodeResponse, encodeRequest, encodeResponse } from '../../../src/protocol/headers.ts'
import { quorumApis } from '../../../src/protocol/quorumApis.ts'
import type { InferInput } from '../../../src/protocol/schema.ts'
import type { RaftResponse } from '../../../src/raft.ts'
import type { PeerRuntime } from '../../../src/replica/peers/peerOptions.ts'
import { PeerTransport } from '../../../src/replica/peerTransport.ts'
import { fetchRequestBody } from '../../../src/replica/wire/fetchMessages.ts'
import { beginRequestBody, voteRequestBody } from '../../../src/replica/wire/quorumMessages.ts'
import { nodeChecksum } from '../../../src/runtime/node/nodeChecksum.ts'
import { SimClock } from '../../../src/testing/simClock.ts'
import { SimRandom } from '../../../src/testing/simRandom.ts'
import { FakeNetwork } from './fakeNetwork.ts'
import { fetchAnswer, fetchRequest, granted, groupAt, Recorder, voteRequest } from './support.ts'

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve))

/** Node 1 of a cluster, all others played by the test. */
async function startAlone() {
  const network = new FakeNetwork()
  const clock = new SimClock()
  const runtime: PeerRuntime = { network, clock, random: new SimRandom(5), checksum: nodeChecksum }
  const recorder = new Recorder()
  const lines: string[] = []
  const note = (message: string): void => {
    lines.push(message)
  }
  const logger: Logger = { debug: note, info: note, warn: note, error: note }
  const transport = new PeerTransport(runtime, { nodeId: 1, clusterId: 'cluster', logger }, recorder)
  await transport.listen({ host: 'node', port: 9 })
  recorder.onRequest = ({ request: { type }, reply }) => {
    if (type === 'vote') reply(granted, [])
    else if (type === 'fetch') reply(fetchAnswer(1, 0), [])
    else if (type !== 'fetchSnapshot')
      reply({ type, error: 'none', leaderId: 1, leaderEpoch: 1 } as RaftResponse, [])
  }
  recorder.call = async (_, payload) => payload
  return { network, clock, recorder, transport, lines }
}

function frame<A extends AnyApi>(
  api: A,
  body: InferInput<A['request']>,
  correlationId = 1,
  version = api.max,
): Buffer {
  return Buffer.concat(encodeRequest(api, version, correlationId, 'test', body) as Uint8Array[])
}

const introduction = (nodeId = 2, channel = 'control', asks: object = {}): Buffer =>
  frame(quorumApis.apiVersions, {
    clientSoftwareName: 'test',
    clientSoftwareVersion: '1',
    clusterId: 'cluster',
    nodeId: 1,
    peer: { nodeId, channel },
    ...asks,
  })

const vote = (from: number): Buffer =>
  frame(quorumApis.vote, voteRequestBody([{ group: groupAt(0), request: voteRequest(from, 1) as never }]), 2)

const sessionOf = (from: number, sessionEpoch = 0, sessionId = 0) => ({
  clusterId: 'cluster',
  replicaId: from,
  sessionId,
  sessionEpoch,
  maxWaitMs: 100,
  maxBytes: 1000,
})

const fetch = (from: number, sessionEpoch = 0, sessionId = 0): Buffer =>
  frame(
    quorumApis.fetch,
    fetchRequestBody(
      sessionOf(from, sessionEpoch, sessionId),
      [{ group: groupAt(0), request: fetchRequest(from, 0), tellsStart: true, atOnce: true }],
      [],
    ),
    3,
  )

/** The frames in what was sent. */
function framesOf(bytes: Buffer): Buffer[] {
  const frames: Buffer[] = []
  for (let at = 0; at < bytes.length; at += 4 + bytes.readInt32BE(at)) {
    frames.push(bytes.subarray(at + 4, at + 4 + bytes.readInt32BE(at)))
  }
  return frames
}

describe('who may connect', () => {
  test.each([
    ['another cluster', { clusterId: 'other' }, 104],
    ['another node', { nodeId: 7 }, 129],
    ['itself', { peer: { nodeId: 1, channel: 'control' } }, 42],
    ['a channel that there is not', { peer: { nodeId: 2, channel: 'gossip' } }, 42],
  ])(
    '%s is refused by name, with one line in the log, and nothing is read after it',
    async (_, asks, code) => {
      const { network, recorder, lines } = await startAlone()
      const connection = network.arrive()
      connection.take(Buffer.concat([introduction(2, 'control', asks), vote(2)]))
      await turn()
      const [answer] = framesOf(connection.takeSent())
      expect(decodeResponse(quorumApis.apiVersions, 5, answer!)).toMatchObject({
        errorCode: code,
        peer: { nodeId: 1, clusterId: 'cluster' },
      })
      expect(connection.isClosed).toBe(true)
      expect(recorder.handed).toEqual([])
      expect(lines).toHaveLength(1)
    },
  )

  test('nobody votes or fetches without having said who it is, or for another node', async () => {
    for (const bytes of [
      vote(2),
      fetch(2),
      Buffer.concat([introduction(2), vote(3)]),
      Buffer.concat([introduction(2, 'fetch'), fetch(3)]),
      Buffer.concat([
        introduction(2),
        frame(
          quorumApis.beginQuorumEpoch,
          beginRequestBody(
            [
              {
                group: groupAt(0),
                request: {
                  type: 'beginQuorumEpoch',
                  clusterId: 'cluster',
                  voter: { id: 1, directoryId: 'AAAAAAAAAAAAAAAAAAAAAA' },
                  leaderId: 3,
                  leaderEpoch: 1,
                },
              },
            ],
            [],
          ),
        ),
      ]),
      Buffer.concat([introduction(2), introduction(3)]),
      frame(quorumApis.envelope, { requestData: new Uint8Array(1) }),
    ]) {
      const { network, recorder } = await startAlone()
      const connection = network.arrive()
      connection.take(bytes)
      await turn()
      expect(recorder.handed).toEqual([])
      expect(connection.isClosed).toBe(true)
    }
  })

  test('an administrator who is no node may change voters, and do nothing else', async () => {
    const { network, recorder } = await startAlone()
    const connection = network.arrive()
    const plain = frame(
      quorumApis.apiVersions,
      { clientSoftwareName: 'admin', clientSoftwareVersion: '1' },
      1,
      3,
    )
    const remove = frame(quorumApis.removeRaftVoter, { clusterId: 'cluster', voterId: 3 }, 2)
    connection.take(Buffer.concat([plain, remove]))
    await turn()
    expect(recorder.handed).toMatchObject([{ from: -1, request: { type: 'removeVoter', voter: { id: 3 } } }])
    const [, answer] = framesOf(connection.takeSent())
    expect(decodeResponse(quorumApis.removeRaftVoter, 0, answer!)).toMatchObject({ errorCode: 0 })
    connection.take(vote(3))
    expect(connection.isClosed).toBe(true)
  })

  test('a version of ApiVersions that nobody knows is answered with what can be asked', async () => {
    const { network } = await startAlone()
    const connection = network.arrive()
    const newer = introduction()
    newer.writeInt16BE(9, 6)
    connection.take(newer)
    await turn()
    const [answer] = framesOf(connection.takeSent())
    expect(decodeResponse(quorumApis.apiVersions, 0, answer!)).toMatchObject({ errorCode: 35 })
    expect(connection.isClosed).toBe(false)
  })

  test('a new session of a node takes the place of its old one', async () => {
    const { network, transport } = await startAlone()
    const [first, second] = [network.arrive(), network.arrive()]
    first.take(Buffer.concat([introduction(2, 'fetch'), fetch(2)]))
    second.take(introduction(2, 'fetch'))
    expect(first.isClosed).toBe(true)
    expect(second.isClosed).toBe(false)
    expect(transport.followerContactMs(2, groupAt(0))).toBe(Number.NEGATIVE_INFINITY)
  })

  test('whoever never says who it is goes', async () => {
    const { network, clock } = await startAlone()
    const [silent, slow, good] = [network.arrive(), network.arrive(), network.arrive()]
    slow.take(introduction().subarray(0, 9))
    good.take(introduction())
    await turn()
    clock.advance(10_001)
    expect([silent, slow, good].map(({ isClosed }) => isClosed)).toEqual([true, true, false])
  })
})

test('a session that the leader does not know is answered so, and a repeated message too', async () => {
  const { network } = await startAlone()
  const connection = network.arrive()
  connection.take(Buffer.concat([introduction(2, 'fetch'), fetch(2, 5, 77)]))
  await turn()
  const [, unknown] = framesOf(connection.takeSent())
  expect(decodeResponse(quorumApis.fetch, 18, unknown!)).toMatchObject({ errorCode: 70 })
  connection.take(fetch(2))
  await turn()
  const [begun] = framesOf(connection.takeSent())
  const { sessionId, errorCode } = decodeResponse(quorumApis.fetch, 18, begun!)
  expect(errorCode).toBe(0)
  connection.take(fetch(2, 2, sessionId))
  await turn()
  const [repeated] = framesOf(connection.takeSent())
  expect(decodeResponse(quorumApis.fetch, 18, repeated!)).toMatchObject({ errorCode: 71 })
})

test('more requests than may be open are read later, and all are answered in order', async () => {
  const { network, recorder } = await startAlone()
  const replies: (() => void)[] = []
  recorder.onRequest = ({ reply }) => {
    replies.push(() => reply(granted, []))
  }
  const connection = network.arrive()
  const votes = Array.from({ length: 500 }, (_, i) => {
    const bytes = vote(2)
    bytes.writeInt32BE(i, 8)
    return bytes
  })
  connection.take(Buffer.concat([introduction(2), ...votes]))
  expect(connection.isPaused).toBe(true)
  expect(recorder.handed.length).toBeLessThanOrEqual(64)
  while (replies.length > 0) replies.pop()!()
  await turn()
  const answered = framesOf(connection.takeSent()).slice(1)
  expect(answered.map((bytes) => bytes.readInt32BE(0))).toEqual([...Array(500).keys()])
  expect(connection.isPaused).toBe(false)
})

/** One way in which a stream differs from a good one. */
type Damage = (bytes: Buffer) => Buffer
const place = fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true })
const damage: fc.Arbitrary<Damage> = fc.oneof(
  fc.tuple(place, fc.nat(255)).map(
    ([where, value]): Damage =>
      (bytes) => {
        const copy = Buffer.from(bytes)
        copy[Math.floor(where * copy.length)] = value
        return copy
      },
  ),
  fc.tuple(place, place).map(
    ([from, to]): Damage =>
      (bytes) => {
        const [a, b] = [from, to].map((where) => Math.floor(where * bytes.length)).sort((x, y) => x - y)
        return Buffer.concat([bytes.subarray(0, a), bytes.subarray(b)])
      },
  ),
  fc.tuple(place, fc.uint8Array({ maxLength: 20 })).map(
    ([where, more]): Damage =>
      (bytes) => {
        const at = Math.floor(where * bytes.length)
        return Buffer.concat([bytes.subarray(0, at), more, bytes.subarray(at)])
      },
  ),
)

const goodRequests = fc.array(
  fc.constantFrom(
    () => introduction(2, 'control'),
    () => introduction(2, 'fetch'),
    () => introduction(2, 'calls'),
    () => vote(2),
    () => fetch(2),
    () => fetch(2, 1, 5),
    () => frame(quorumApis.envelope, { requestData: new Uint8Array(30) }, 4),
    () => frame(quorumApis.addRaftVoter, { clusterId: null, voterId: 9, timeoutMs: 5 }, 5),
    () =>
      frame(
        quorumApis.fetchSnapshot,
        { replicaId: 2, topics: [{ name: '__cluster_metadata', partitions: [{ position: 0 }] }] },
        6,
      ),
  ),
  { maxLength: 6 },
)

/** Cuts bytes where `cuts` says. */
function chunksOf(bytes: Buffer, cuts: readonly number[]): Buffer[] {
  const at = [0, ...cuts.map((cut) => Math.floor(cut * bytes.length)).sort((a, b) => a - b), bytes.length]
  return at.slice(1).map((end, i) => bytes.subarray(at[i], end))
}

test('whatever arrives, only sound requests get through, answers are whole, and others are served', async () => {
  let handedOn = 0
  let refused = 0
  await fc.assert(
    fc.asyncProperty(
      goodRequests,
      fc.array(damage, { maxLength: 2 }),
      fc.array(place, { maxLength: 5 }),
      fc.uint8Array({ maxLength: 30 }),
      async (requests, damages, cuts, tail) => {
        const { network, recorder, transport, lines } = await startAlone()
        const connection = network.arrive()
        const good = Buffer.concat([introduction(2, 'fetch'), ...requests.map((make) => make()), tail])
        const bytes = damages.reduce<Buffer>((current, apply) => apply(current), good)
        for (const chunk of chunksOf(bytes, cuts)) connection.take(chunk)
        await turn()
        for (const { from } of recorder.handed) expect([2, -1]).toContain(from)
        framesOf(connection.takeSent())
        handedOn += recorder.handed.length
        if (connection.isClosed) {
          refused++
          expect(lines.length).toBeGreaterThan(0)
        }
        const other = network.arrive()
        other.take(Buffer.concat([introduction(3), vote(3)]))
        await turn()
        expect(framesOf(other.takeSent())).toHaveLength(2)
        await transport.close()
      },
    ),
    { numRuns: 600 },
  )
  expect(handedOn).toBeGreaterThan(200)
  expect(refused).toBeGreaterThan(100)
})

test('random bytes from the first one on are refused', async () => {
  await fc.assert(
    fc.asyncProperty(fc.uint8Array({ minLength: 4, maxLength: 200 }), async (bytes) => {
      const { network, recorder } = await startAlone()
      const connection = network.arrive()
      connection.take(bytes)
      await turn()
      expect(recorder.handed.filter(({ from }) => from !== -1)).toEqual([])
    }),
    { numRuns: 300 },
  )
})

describe('a node that answers badly', () => {
  /** Node 1 has asked node 2, which has introduced itself, for a vote and a Fetch. */
  async function asked() {
    const alone = await startAlone()
    const { transport, network } = alone
    transport.know(2, [{ name: 'x', host: 'b', port: 2 }])
    transport.send(2, groupAt(0), 1, fetchRequest(1, 0))
    transport.send(2, groupAt(0), 2, voteRequest(1, 2))
    await turn()
    const welcome = Buffer.concat(
      encodeResponse(quorumApis.apiVersions, 5, 1, {
        errorCode: 0,
        apiKeys: Object.values(quorumApis).map(({ key, max }) => ({
          apiKey: key,
          minVersion: 0,
          maxVersion: max,
        })),
        peer: { clusterId: 'cluster', nodeId: 2 },
      }) as Uint8Array[],
    )
    for (const connection of network.made) connection.take(welcome)
    await turn()
    return { ...alone, welcome }
  }

  test.each([
    ['another cluster', { peer: { clusterId: 'other', nodeId: 2 } }],
    ['another node', { peer: { clusterId: 'cluster', nodeId: 3 } }],
    ['no node of this project', { peer: null }],
    ['an error', { errorCode: 104, peer: { clusterId: 'x', nodeId: 2 } }],
    ['too little', { peer: { clusterId: 'cluster', nodeId: 2 } }],
  ])('is left alone when it says: %s', async (_, body) => {
    const { network, transport, recorder, lines } = await startAlone()
    transport.know(2, [{ name: 'x', host: 'b', port: 2 }])
    transport.send(2, groupAt(0), 2, voteRequest(1, 2))
    await turn()
    const [connection] = network.made
    connection!.take(Buffer.concat(encodeResponse(quorumApis.apiVersions, 5, 1, body) as Uint8Array[]))
    await turn()
    expect(connection!.isClosed).toBe(true)
    expect(recorder.failures).toEqual([2])
    expect(recorder.lost).toEqual([])
    expect(lines).toHaveLength(1)
  })

  test('fails what it was asked, whatever it sends, and nothing else happens', async () => {
    let failed = 0
    await fc.assert(
      fc.asyncProperty(
        fc.array(damage, { maxLength: 2 }),
        fc.array(place, { maxLength: 3 }),
        fc.nat(1),
        fc.uint8Array({ maxLength: 20 }),
        async (damages, cuts, which, tail) => {
          const { network, recorder, transport } = await asked()
          const answers = [
            encodeResponse(quorumApis.vote, 2, 2, {
              topics: [
                {
                  topicName: 't',
                  topicId: groupAt(0).topicId,
                  partitions: [{ leaderId: -1, voteGranted: true }],
                },
              ],
            }),
            encodeResponse(quorumApis.fetch, 18, 2, {
              sessionId: 4,
              responses: [
                {
                  topicId: groupAt(0).topicId,
                  partitions: [{ own: { askedIn: 0 }, records: new Uint8Array(70) }],
                },
              ],
            }),
          ].map((parts) => Buffer.concat(parts as Uint8Array[]))
          const good = Buffer.concat([answers[which]!, tail])
          const bytes = damages.reduce<Buffer>((current, apply) => apply(current), good)
          for (const chunk of chunksOf(bytes, cuts)) network.made[which]?.take(chunk)
          await turn()
          for (const { requestId } of recorder.got) expect([1, 2]).toContain(requestId)
          expect(recorder.got.length + recorder.failures.length).toBeLessThanOrEqual(2)
          await transport.close()
          expect([...recorder.got.map(({ requestId }) => requestId), ...recorder.failures].sort()).toEqual([
            1, 2,
          ])
          failed += recorder.failures.length
        },
      ),
      { numRuns: 500 },
    )
    expect(failed).toBeGreaterThan(500)
  })
})

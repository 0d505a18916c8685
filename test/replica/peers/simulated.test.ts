import fc from 'fast-check'
import { expect, test } from 'vitest'
import { silentLogger } from '../../../src/model/logger.ts'
import type { RaftRequest, RaftResponse } from '../../../src/raft.ts'
import { PeerTransport } from '../../../src/replica/peerTransport.ts'
import type { TransportHandler } from '../../../src/replica/transport.ts'
import type { FaultAction } from '../../../src/testing/fault.ts'
import { World } from '../../../src/testing/world.ts'
import type { Place } from '../../../src/testing/worldTypes.ts'
import { fetchAnswer, fetchRequest, granted, groupAt, voteRequest } from './support.ts'

const nodeIds = [1, 2, 3]

/** What one node does: it asks the others all the time, and answers them, late or never. */
class Talker {
  readonly transport: PeerTransport
  /** Requests that have no end yet: to whom, of which kind. */
  readonly open = new Map<number, { readonly to: number; readonly type: string; readonly sentMs: number }>()
  readonly ended = { answered: 0, failed: 0 }
  readonly lost: number[] = []
  readonly #place: Place<Talker>
  #nextId = 1
  #isClosed = false

  constructor(place: Place<Talker>) {
    this.#place = place
    const { runtime, nodeId } = place
    const handler: TransportHandler = {
      request: (from, _group, request, reply) => this.#asked(from, request, reply),
      response: (from, _group, requestId, response) => this.#end(requestId, from, response),
      failed: (_group, requestId) => this.#end(requestId, -1, null),
      connectionLost: (node) => this.lost.push(node),
    }
    this.transport = new PeerTransport(
      runtime,
      { nodeId, clusterId: 'cluster', logger: silentLogger },
      handler,
    )
    for (const id of nodeIds) {
      if (id !== nodeId) this.transport.know(id, [{ name: 'x', ...place.endpointOf(id) }])
    }
  }

  get #random() {
    return this.#place.runtime.random
  }

  async start(): Promise<this> {
    await this.transport.listen(this.#place.endpointOf(this.#place.nodeId))
    this.#talk()
    return this
  }

  async close(): Promise<void> {
    this.#isClosed = true
    await this.transport.close()
    expect(this.open.size).toBe(0)
  }

  #talk(): void {
    if (this.#isClosed) return
    const { runtime, nodeId } = this.#place
    for (let i = this.#random.below(4); i > 0; i--) {
      const to = nodeIds.filter((id) => id !== nodeId)[this.#random.below(2)]!
      const group = groupAt(this.#random.below(5))
      const request = [
        () => fetchRequest(nodeId, this.#nextId),
        () => fetchRequest(nodeId, this.#nextId, true),
        () => voteRequest(nodeId, to, this.#nextId),
      ][this.#random.below(3)]!()
      this.open.set(this.#nextId, { to, type: request.type, sentMs: runtime.clock.monotonicMs() })
      this.transport.send(to, group, this.#nextId++, request)
    }
    if (this.#random.below(10) === 0) this.transport.forget(groupAt(this.#random.below(5)))
    for (const node of nodeIds) {
      const nowMs = runtime.clock.monotonicMs()
      const group = groupAt(this.#random.below(5))
      expect(this.transport.leaderContactMs(node, group)).toBeLessThanOrEqual(nowMs)
      expect(this.transport.followerContactMs(node, group)).toBeLessThanOrEqual(nowMs)
    }
    runtime.clock.setTimer(this.#random.below(60), () => this.#talk())
  }

  #asked(from: number, request: RaftRequest, reply: (response: RaftResponse, records: []) => void): void {
    const { runtime, nodeId } = this.#place
    // An answer says what was asked, so that it can be told from others.
    const answer = (): void => {
      if (request.type === 'vote')
        reply({ ...granted, leaderEpoch: request.replicaEpoch } as RaftResponse, [])
      else if (request.type === 'fetch') reply(fetchAnswer(nodeId, request.fetchOffset), [])
    }
    expect(from).not.toBe(nodeId)
    const isPatient = request.type === 'fetch' && request.maxWaitMs > 0 && !request.claimOnly
    if (isPatient && this.#random.below(3) > 0) return
    runtime.clock.setTimer(this.#random.below(isPatient ? 500 : 20), answer)
  }

  #end(requestId: number, from: number, response: RaftResponse | null): void {
    const asked = this.open.get(requestId)
    // Each request ends once.
    expect(asked).toBeDefined()
    this.open.delete(requestId)
    if (response === null) {
      this.ended.failed++
      return
    }
    this.ended.answered++
    expect([from, response.type]).toEqual([asked!.to, asked!.type])
    if (response.type === 'vote') expect(response.leaderEpoch).toBe(requestId)
    if (response.type === 'fetch') expect(response.highWatermark).toBe(requestId)
  }
}

const pair = fc.constantFrom([1, 2], [2, 1], [1, 3], [3, 1], [2, 3], [3, 2])
const fault: fc.Arbitrary<FaultAction> = fc.oneof(
  fc
    .tuple(pair, fc.nat(5000))
    .map(([[from, to], afterBytes]) => ({ kind: 'reset', from: from!, to: to!, afterBytes }) as const),
  fc
    .tuple(pair, fc.constantFrom('from' as const, 'to' as const))
    .map(([[from, to], deaf]) => ({ kind: 'halfOpen', from: from!, to: to!, deaf }) as const),
  fc
    .tuple(pair, fc.nat(1000))
    .map(([[from, to], lateMs]) => ({ kind: 'lateRequests', from: from!, to: to!, lateMs }) as const),
  fc
    .tuple(pair, fc.nat(2000))
    .map(([[from, to], forMs]) => ({ kind: 'clog', from: from!, to: to!, forMs }) as const),
  fc
    .tuple(pair, fc.double({ min: 0, max: 0.5, noNaN: true }))
    .map(([[from, to], loss]) => ({ kind: 'lossyLink', from: from!, to: to!, loss, forMs: 1000 }) as const),
  fc
    .tuple(fc.constantFrom(...nodeIds), fc.nat(2000))
    .map(([node, downMs]) => ({ kind: 'kill', node, downMs }) as const),
  fc
    .tuple(fc.constantFrom(...nodeIds), fc.nat(1500))
    .map(([node, forMs]) => ({ kind: 'pause', node, forMs }) as const),
  fc
    .constantFrom(...nodeIds)
    .map((node) => ({ kind: 'slowAccept', node, delayMs: 1500, forMs: 2000 }) as const),
)

test('every request ends once, with its own answer or without, whatever happens to the network', async () => {
  const ended = { answered: 0, failed: 0, lost: 0 }
  await fc.assert(
    fc.asyncProperty(fc.nat(), fc.array(fault, { maxLength: 8 }), async (seed, actions) => {
      const faults = actions.map((action, number) => ({ ...action, number, atMs: 200 * (number + 1) }))
      using world = new World<Talker>({
        seed,
        nodes: 3,
        program: (place) => new Talker(place).start(),
        faults: faults as never,
      })
      world.startAll()
      await world.advance(1800)
      world.heal()
      await world.advance(2000)
      const talkers = [...world.nodes.values()].map(({ running }) => running!)
      const before = talkers.map((talker) => talker.ended.answered)
      await world.advance(500)
      for (const [i, talker] of talkers.entries()) {
        expect(talker.ended.answered).toBeGreaterThan(before[i]!)
        ended.answered += talker.ended.answered
        ended.failed += talker.ended.failed
        ended.lost += talker.lost.length
        // What is open is a Fetch that waits, or was sent a moment ago.
        const nowMs = world.node(i + 1).runtime!.clock.monotonicMs()
        for (const { type, sentMs } of talker.open.values()) {
          if (type === 'vote') expect(nowMs - sentMs).toBeLessThan(700)
        }
      }
      for (const talker of talkers) await world.settle(talker.close())
    }),
    { numRuns: 25 },
  )
  expect(ended.answered).toBeGreaterThan(500)
  expect(ended.failed).toBeGreaterThan(50)
  expect(ended.lost).toBeGreaterThan(10)
}, 120_000)

/** One of two nodes: node 1 follows a group on node 2, where nothing happens. */
async function openQuiet({ runtime, nodeId, endpointOf }: Place<PeerTransport>, slackMs: number) {
  const other = 3 - nodeId
  const handler: TransportHandler = {
    request: (_from, _group, request, reply) => {
      if (request.type === 'fetch' && request.maxWaitMs <= 0) reply(fetchAnswer(nodeId, 1), [])
    },
    response: () => transport.send(other, groupAt(0), 2, fetchRequest(nodeId, 1)),
    failed: () => {},
    connectionLost: () => {},
  }
  const options = { nodeId, clusterId: 'cluster', logger: silentLogger }
  const transport: PeerTransport = new PeerTransport(runtime, options, handler)
  transport.know(other, [{ name: 'x', ...endpointOf(other) }])
  transport.expect(slackMs)
  await transport.listen(endpointOf(nodeId))
  if (nodeId === 1) transport.send(other, groupAt(0), 1, fetchRequest(nodeId, 1))
  return transport
}

/** How often node 1 hears of node 2 within ten seconds, by the slack that each of them has. */
async function signsOfLife(slackMs: readonly number[]): Promise<number> {
  using world = new World<PeerTransport>({
    seed: 1,
    nodes: 2,
    program: (place) => openQuiet(place, slackMs[place.nodeId - 1]!),
  })
  world.startAll()
  await world.advance(2000)
  const seen = new Set<number>()
  for (let atMs = 0; atMs < 10_000; atMs += 5) {
    await world.advance(5)
    seen.add(world.node(1).running!.sessionContactMs(2, 'leader'))
  }
  return seen.size
}

test('nodes that may be silent for longer say less often that they live, as often as whichever may be silent for less', async () => {
  const usual = await signsOfLife([0, 0])
  expect(usual).toBeGreaterThan(40)
  expect(await signsOfLife([1250, 1250])).toBeLessThan(usual / 2)
  expect(await signsOfLife([1250, 0])).toBeGreaterThan(usual - 5)
  expect(await signsOfLife([0, 1250])).toBeGreaterThan(usual - 5)
})

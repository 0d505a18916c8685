import { Bench } from 'tinybench'
import type { RaftEvent } from '../src/raft/events.ts'
import { initialQuorumState } from '../src/raft/quorumState.ts'
import { defaultTimeouts, type RaftConfig } from '../src/raft/raftConfig.ts'
import { RaftNode } from '../src/raft/raftNode.ts'
import { VoterSet } from '../src/raft/voterSet.ts'

/**
 * What does a step of the Raft core cost, without disk and network? A group of three voters; one round is one batch on its
 * way: append and flush at the leader, fetch, response, flush and claim of a follower. Prints nanoseconds a step.
 */

const keyOf = (id: number) => ({ id, directoryId: `directory${String(id).padStart(13, '0')}` })
const voters = new VoterSet(
  [1, 2, 3].map((id) => ({ ...keyOf(id), endpoints: [], minVersion: 0, maxVersion: 1 })),
)

function nodeOf(id: number, kind: RaftConfig['kind']): RaftNode {
  const config: RaftConfig = {
    clusterId: 'cluster',
    self: keyOf(id),
    endpoints: [],
    kind,
    relaxed: false,
    kraftVersion: 0,
    ...defaultTimeouts,
    autoJoin: false,
    bootstrapIds: [],
    confirmation: 'none',
  }
  const log = { logStartOffset: 0, logEndOffset: 0, epochStarts: [], snapshotId: null }
  return new RaftNode(
    config,
    { below: (bound) => bound >> 1 },
    {
      quorum: initialQuorumState,
      log,
      voters: [{ offset: -1, version: 0, voters }],
      highWatermark: 0,
      mayHaveForgotten: false,
    },
  )
}

/** Two of three voters; messages arrive as soon as they are sent, and writes are durable when the queue is empty. */
class Pair {
  readonly leader: RaftNode
  readonly follower: RaftNode
  readonly #sequences = new Map<RaftNode, number>()
  #queue: [RaftNode, RaftEvent][] = []
  steps = 0

  constructor(kind: RaftConfig['kind']) {
    this.leader = nodeOf(1, kind)
    this.follower = nodeOf(2, kind)
    this.leader.start(0)
    this.follower.start(0)
    this.step(this.leader, { type: 'uncleanElection', token: null })
    this.settle()
  }

  step(node: RaftNode, event: RaftEvent): void {
    this.steps++
    for (const effect of node.step(event, 0)) {
      if ('sequence' in effect) this.#sequences.set(node, effect.sequence)
      if (effect.type === 'send' && effect.to !== 3) {
        const { requestId, request } = effect
        const replyTo = { node, requestId }
        this.#queue.push([
          this.#other(node),
          { type: `${request.type}Request`, replyTo, request } as RaftEvent,
        ])
      } else if (effect.type === 'respond') {
        const { node: to, requestId } = effect.replyTo as { node: RaftNode; requestId: number }
        const { read } = effect
        const batches =
          read.type === 'records' && read.fromOffset < read.toOffset
            ? [
                {
                  baseOffset: read.fromOffset,
                  lastOffset: read.toOffset - 1,
                  leaderEpoch: 1,
                  control: [],
                  records: null,
                },
              ]
            : []
        const response = effect.response.type === 'fetch' ? { ...effect.response, batches } : effect.response
        const from = node === this.leader ? 1 : 2
        this.#queue.push([to, { type: `${response.type}Response`, from, requestId, response } as RaftEvent])
      }
    }
  }

  settle(): void {
    for (;;) {
      const next = this.#queue.shift()
      if (next !== undefined) this.step(next[0], next[1])
      else if (this.#sequences.size > 0) {
        const [[node, sequence]] = this.#sequences as unknown as [[RaftNode, number]]
        this.#sequences.delete(node)
        this.step(node, { type: 'flushed', sequence })
      } else return
    }
  }

  #other(node: RaftNode): RaftNode {
    return node === this.leader ? this.follower : this.leader
  }
}

const bench = new Bench({ time: 1000, warmupTime: 500, retainSamples: true })
const stepsOf = new Map<string, number>()

for (const kind of ['metadata', 'partition'] as const) {
  const pair = new Pair(kind)
  const round = (): void => {
    pair.step(pair.leader, { type: 'append', token: null, recordCount: 10, records: null })
    pair.settle()
  }
  round()
  const before = pair.steps
  round()
  const name = `a batch from append to committed on both, ${kind}`
  stepsOf.set(name, pair.steps - before)
  bench.add(name, round)
}

const idle = new Pair('partition')
bench.add('a timer that fires too early', () => {
  idle.step(idle.leader, { type: 'timerFired' })
})
bench.add('deadlineMs of a leader', () => {
  if (idle.leader.deadlineMs < 0) throw new Error('time went back')
})

await bench.run()
console.log(`Node ${process.version}, ${process.arch}; nanoseconds a step`)
console.table(
  bench.tasks.map(({ name, result }) => {
    if (result.state !== 'completed') throw new Error(`${name} has no result`)
    const samples = result.latency.samples ?? []
    const steps = stepsOf.get(name) ?? 1
    const ns = (share: number) =>
      Math.round(((samples[Math.floor(samples.length * share)] ?? 0) * 1e6) / steps)
    return { what: name, steps, median: ns(0.5), p10: ns(0.1), p90: ns(0.9) }
  }),
)

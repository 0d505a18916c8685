import { EngineError } from '../../model/errors.ts'
import type { Uuid } from '../../model/uuid.ts'
import type { ApiName } from '../../protocol/apiKeys.ts'
import { MachineClock, NodeClock } from '../nodeClock.ts'
import type { World } from '../world.ts'
import type { BrokerNode } from './brokerProgram.ts'
import { type RequestOf, type ResponseOf, SimKafka } from './simKafka.ts'

/** How long a request may take, in milliseconds. */
export const requestMs = 1000
/** How long a client tries one operation, in milliseconds. */
export const patienceMs = 6000
/** How long it waits before it asks again. */
export const retryMs = 50

/** A topic as a client knows it. */
export interface KnownTopic {
  readonly name: string
  readonly id: Uuid
  readonly partitions: { leader: number; epoch: number; readonly replicas: readonly number[] }[]
}

/** A client's side of the network, on a machine of its own: whom it asks, and what it knows of the cluster. */
export class BrokerLink {
  readonly world: World<BrokerNode>
  readonly kafka: SimKafka
  topics: ReadonlyMap<string, KnownTopic> = new Map()
  #asked = 0

  constructor(world: World<BrokerNode>, id: number, hostId: number) {
    const random = world.random.fork()
    const host = world.network.addHost(hostId, `client-${id}`)
    const machine = new MachineClock(world.queue, world.options.wallMs ?? 1_700_000_000_000)
    const clock = new NodeClock(world.queue, machine, random.fork(), hostId)
    const network = world.network.networkFor(host, host.readRange)
    this.world = world
    this.kafka = new SimKafka(network, clock, `client-${id}`, (node) => world.endpointOf(node))
  }

  /** Asks for the topics anew. Rejects when nobody answers. */
  async refresh(): Promise<void> {
    const { brokers, topics } = await this.anybody('metadata', { topics: null })
    if (brokers.length === 0) return
    this.topics = new Map(
      topics
        .filter(({ errorCode, isInternal }) => errorCode === 0 && !isInternal)
        .map(({ name, topicId, partitions }) => {
          const sorted = [...partitions].sort((a, b) => a.partitionIndex - b.partitionIndex)
          const known = sorted.map(({ leaderId, leaderEpoch, replicaNodes }) => ({
            leader: leaderId,
            epoch: leaderEpoch,
            replicas: replicaNodes,
          }))
          return [name!, { name: name!, id: topicId, partitions: known }]
        }),
    )
  }

  /** Asks one node after the other until one answers. */
  anybody<N extends ApiName>(name: N, body: RequestOf<N>, timeoutMs = requestMs): Promise<ResponseOf<N>> {
    return this.patiently((node) => this.kafka.request(node, name, body, timeoutMs))
  }

  /** Asks one node after the other until `ask` resolves, or patience ends: rejects with its last error then. */
  async patiently<T>(ask: (node: number) => Promise<T>): Promise<T> {
    const untilMs = this.world.nowMs + patienceMs
    for (;;) {
      try {
        return await ask(1 + (this.#asked++ % this.world.nodes.size))
      } catch (error) {
        if (!(error instanceof EngineError) || this.world.nowMs >= untilMs) throw error
      }
      await this.pause(retryMs)
    }
  }

  /** Resolves in so many milliseconds of the world. */
  pause(delayMs: number): Promise<void> {
    return new Promise((resolve) => this.world.after(delayMs, resolve))
  }

  /** Takes over who leads a partition, when that is news. */
  learn(
    topic: KnownTopic,
    index: number,
    hint: { readonly leaderId: number; readonly leaderEpoch: number } | undefined,
  ): void {
    const known = topic.partitions[index]!
    if (hint !== undefined && hint.leaderEpoch > known.epoch) {
      known.leader = hint.leaderId
      known.epoch = hint.leaderEpoch
    } else known.leader = -1
  }
}

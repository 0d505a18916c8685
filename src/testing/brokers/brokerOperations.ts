import { SimRandom } from '../simRandom.ts'

/** What clients of brokers ask for. */
export type BrokerOperationKind =
  | 'produce'
  | 'fetch'
  | 'listEnd'
  | 'commitOffset'
  | 'fetchOffset'
  | 'createTopic'
  | 'deleteTopic'
  | 'createPartitions'
  | 'reassign'
  | 'electLeaders'
  | MemberOperationKind

/** What the members of a group do; their `client` is the number of the member. */
export type MemberOperationKind = 'joinGroup' | 'leaveGroup' | 'stallMember'

/** One of them. `number` names it for good: a run without it has all the others unchanged. */
export interface BrokerOperation {
  readonly number: number
  readonly atMs: number
  readonly client: number
  readonly kind: BrokerOperationKind
  /** Which of the topics, from 0 on; one that is not there stands for nothing. */
  readonly topic: number
  /** Which of the topic's partitions, modulo how many there are. */
  readonly partition: number
  /** The node that is asked first, or moved to. */
  readonly node: number
  readonly records: number
  readonly valueBytes: number
  readonly isIdempotent: boolean
  /** How many batches an idempotent producer is to append at once. */
  readonly batches: number
  /** How many replicas a new topic, or a partition that moves, gets. */
  readonly replicas: number
}

/** The topic that is deleted and made anew, in runs that do such things. */
export const churnTopic = 9

/** What operations are drawn for. */
export interface BrokerOperationOptions {
  readonly seed: number
  readonly nodes: number
  readonly clients: number
  readonly topics: number
  readonly durationMs: number
  /** How many in a second, of all clients. */
  readonly perSecond: number
  /** The share of what administrators do; drawn by default. */
  readonly adminShare?: number
  /** The share of clients that are idempotent producers; drawn by default. */
  readonly idempotentShare?: number
  /** The share of what is left that is about offsets of groups; as it comes by default, which is a sixth. */
  readonly offsetShare?: number
}

/** What clients ask for in one run: every topic is made at first, and most of what follows is writing and reading. */
export function planBrokerOperations(options: BrokerOperationOptions): readonly BrokerOperation[] {
  const { seed, nodes, clients, topics, durationMs, perSecond } = options
  const random = new SimRandom(seed ^ 0x6a09_e667)
  const drawnIdempotent = random.pick([0, 0.5, 1])
  const idempotentShare = options.idempotentShare ?? drawnIdempotent
  const idempotent = Array.from({ length: clients }, () => random.chance(idempotentShare))
  const drawnShare = random.pick([0, 0.03, 0.1])
  const adminShare = options.adminShare ?? drawnShare
  const { offsetShare = 0 } = options
  const drawUsual = (): BrokerOperationKind =>
    random.pick(offsetShare > 0 && random.chance(offsetShare) ? offsets : usual)
  const mostRecords = random.pick([1, 3, 10])
  const mostBytes = random.pick([10, 100, 1000])
  const meanMs = 1000 / perSecond
  // Of its own: what is drawn beside stays the same.
  const bursts = new SimRandom(seed ^ 0x1f83_d9ab)
  const burstShare = bursts.pick([0, 0.2, 0.6])
  const operations: BrokerOperation[] = []
  const draw = (kind: BrokerOperationKind, atMs: number, topic: number): void => {
    const client = random.below(clients)
    operations.push({
      number: operations.length + 1,
      atMs,
      client,
      kind,
      topic,
      partition: random.below(16),
      node: 1 + random.below(nodes),
      records: 1 + random.below(mostRecords),
      valueBytes: random.below(mostBytes),
      isIdempotent: idempotent[client]!,
      batches: bursts.chance(burstShare) ? 2 + bursts.below(9) : 1,
      replicas: random.pick([1, 2, 3, 3, 3, 3, Math.min(5, nodes)]),
    })
  }
  for (let topic = 0; topic < topics; topic++) draw('createTopic', topic * 10, topic)
  for (let atMs = 100; ; ) {
    atMs += random.chance(0.75) ? random.below(Math.ceil(meanMs)) / 2 : random.below(Math.ceil(meanMs * 5))
    if (atMs >= durationMs) return operations
    const isAdmin = random.chance(adminShare)
    const kind = isAdmin ? random.pick(administration) : drawUsual()
    const isChurn = kind === 'createTopic' || kind === 'deleteTopic' || (adminShare > 0 && random.chance(0.1))
    draw(kind, atMs, isChurn ? churnTopic : random.below(topics))
  }
}

const usual: readonly BrokerOperationKind[] = [
  ...Array.from({ length: 6 }, () => 'produce' as const),
  'fetch',
  'fetch',
  'fetch',
  'listEnd',
  'commitOffset',
  'fetchOffset',
]

const offsets: readonly BrokerOperationKind[] = ['commitOffset', 'commitOffset', 'fetchOffset']

const administration: readonly BrokerOperationKind[] = [
  'createTopic',
  'createTopic',
  'deleteTopic',
  'createPartitions',
  'reassign',
  'reassign',
  'reassign',
  'electLeaders',
]

import type { Uuid } from '../model/uuid.ts'
import type { Configs } from './topicConfigs.ts'
import { collisionKey } from './topicNames.ts'

/** One partition as the controller wants it. */
export interface PartitionImage {
  readonly partition: number
  /** Node id of the leader, -1 for none. */
  readonly leader: number
  readonly leaderEpoch: number
  /** Counts the changes of this entry. */
  readonly partitionEpoch: number
  readonly replicas: readonly number[]
  readonly isr: readonly number[]
  /** The log directory of each replica, in the order of `replicas`. */
  readonly directories: readonly Uuid[]
  /** Replicas that are on their way in, and out: those of `replicas` that go once the others have caught up. */
  readonly addingReplicas: readonly number[]
  readonly removingReplicas: readonly number[]
}

/** One topic. A live view: later changes show in it, except that a deleted topic stays as it was. */
export interface TopicImage {
  readonly name: string
  readonly id: Uuid
  /** By partition number, without gaps. */
  readonly partitions: readonly PartitionImage[]
  /** What was set on the topic itself; defaults are not among it. */
  readonly configs: Configs
}

/** Where a broker listens. */
export interface Endpoint {
  /** The listener's name, such as PLAINTEXT. */
  readonly name: string
  readonly host: string
  readonly port: number
  /** Kafka's number: 0 plaintext, 1 SSL, 2 SASL_PLAINTEXT, 3 SASL_SSL. */
  readonly securityProtocol: number
}

/** One registered broker. */
export interface BrokerImage {
  readonly id: number
  /** The offset of the metadata log at which it was registered. */
  readonly epoch: number
  /** Names one registration; a new one each time. */
  readonly incarnationId: Uuid
  readonly endpoints: readonly Endpoint[]
  readonly rack: string | null
  /** It is not heard of, or has not caught up yet: clients are not sent to it, and nothing is placed on it. */
  readonly fenced: boolean
  readonly inControlledShutdown: boolean
  /** The ids of its data directories. */
  readonly directories: readonly Uuid[]
}

/**
 * The cluster's metadata as of `nextOffset`: what replaying `__cluster_metadata-0` from its start gives. Read by
 * everyone, changed by `replay` alone, and only between two turns of the event loop, so that no reader sees half
 * a change.
 */
export interface MetadataImage {
  readonly clusterId: string
  /** Exclusive end of what has been replayed. */
  readonly nextOffset: number
  readonly topics: ReadonlyMap<string, TopicImage>
  readonly topicsById: ReadonlyMap<Uuid, TopicImage>
  readonly brokers: ReadonlyMap<number, BrokerImage>
  /** What was set while the cluster runs: of one broker by its id, of all under the empty name. */
  readonly brokerConfigs: ReadonlyMap<string, Configs>
  /** The first producer id that no block covers. */
  readonly nextProducerId: number
  /** Finalized feature levels by name, such as `metadata.version`. */
  readonly features: ReadonlyMap<string, number>
  /** The topics whose names differ from `name` in nothing but dots and underscores, itself excluded. */
  colliding(name: string): readonly string[]
}

/** What one committed change did, for those who act on it. */
export interface MetadataDelta {
  readonly topicsCreated: readonly TopicImage[]
  /** As they were. */
  readonly topicsDeleted: readonly TopicImage[]
  /** Partitions that existing topics gained, ascending. */
  readonly partitionsAdded: readonly { readonly topic: TopicImage; readonly partitions: readonly number[] }[]
  /** Existing topics whose configs changed. */
  readonly configsChanged: readonly TopicImage[]
  /** Partitions that were there before and have other replicas, leaders or states now. */
  readonly partitionsChanged: readonly {
    readonly topic: TopicImage
    readonly partitions: readonly number[]
  }[]
  /** Ids of brokers whose registration is new, changed or gone. */
  readonly brokersChanged: readonly number[]
  /** Whether `brokerConfigs` changed. */
  readonly brokerConfigsChanged: boolean
}

/** A topic as `replay` sees it. */
export interface MutableTopic extends TopicImage {
  readonly partitions: PartitionImage[]
  readonly configs: Map<string, string>
}

/** The image that `replay` changes. */
export class MutableImage implements MetadataImage {
  readonly clusterId: string
  nextOffset = 0
  readonly topics = new Map<string, MutableTopic>()
  readonly topicsById = new Map<Uuid, MutableTopic>()
  readonly brokers = new Map<number, BrokerImage>()
  readonly brokerConfigs = new Map<string, Map<string, string>>()
  nextProducerId = 0
  readonly features = new Map<string, number>()
  /** The names that share a collision key. */
  readonly #collisions = new Map<string, Set<string>>()

  constructor(clusterId: string) {
    this.clusterId = clusterId
  }

  colliding(name: string): readonly string[] {
    const key = collisionKey(name)
    const names = key === null ? undefined : this.#collisions.get(key)
    return names === undefined ? [] : [...names].filter((other) => other !== name)
  }

  /** Adds a topic without partitions. */
  addTopic(name: string, id: Uuid): MutableTopic {
    const topic: MutableTopic = { name, id, partitions: [], configs: new Map() }
    this.topics.set(name, topic)
    this.topicsById.set(id, topic)
    const key = collisionKey(name)
    if (key !== null) this.#collisions.set(key, (this.#collisions.get(key) ?? new Set()).add(name))
    return topic
  }

  /** Removes a topic that is there. */
  removeTopic(topic: TopicImage): void {
    this.topics.delete(topic.name)
    this.topicsById.delete(topic.id)
    const key = collisionKey(topic.name)
    const names = key === null ? undefined : this.#collisions.get(key)
    if (names === undefined || key === null) return
    names.delete(topic.name)
    if (names.size === 0) this.#collisions.delete(key)
  }
}

import type { ReplicaKey } from '../raft.ts'
import type {
  CommandResults,
  ConfigChange,
  ConfigReplacement,
  NewTopic,
  Outcome,
  ProducerIdBlock,
  Requester,
  TopicGrowth,
  TopicReference,
} from './commands.ts'
import type { ConfigEntry, ConfigQuery } from './describeConfigs.ts'
import type { Election } from './elections.ts'
import type { MetadataDelta, MetadataImage } from './image.ts'
import type { Configs } from './topicConfigs.ts'

/** How to carry out a change that a client asked for. */
export interface ChangeOptions {
  /** Decide and answer, but change nothing. Default false. */
  readonly validateOnly?: boolean
  /** Default `client`. */
  readonly requester?: Requester
}

/**
 * Acts on a committed change. What it returns is awaited before callers on this node are answered whose change it is,
 * and before the next change is told, so a listener must not wait for another change.
 */
export type MetadataListener = (delta: MetadataDelta) => void | Promise<void>

/**
 * The cluster's metadata as every handler sees it, on one node or on many. Changes for several things resolve with one
 * outcome each, in their order: what was done, or the `EngineError` that says why not. They resolve once the change is
 * committed, `image` has it, and the listeners were told.
 */
export interface Metadata {
  /** The metadata as of the last change that this node knows; a live view. */
  readonly image: MetadataImage
  /** Configs of this broker that give topic configs their defaults. */
  readonly defaults: Configs
  /** Who decides: the node itself, or the active controller as far as this node knows, -1 for nobody. */
  readonly controllerId: number
  /**
   * Calls `listener` with every later change, after the listeners added before it. What there is already, it reads
   * from `image`. A listener that throws is reported to the logger; the change stands.
   */
  onChange(listener: MetadataListener): void
  /** Creates topics with Kafka's rules for names, counts and configs. At most 10,000 partitions a call. */
  createTopics(topics: readonly NewTopic[], options?: ChangeOptions): Promise<CommandResults['createTopics']>
  /** Deletes topics, by name or by id. */
  deleteTopics(
    topics: readonly TopicReference[],
    options?: ChangeOptions,
  ): Promise<CommandResults['deleteTopics']>
  /** Adds partitions to topics; they never lose any. */
  createPartitions(
    topics: readonly TopicGrowth[],
    options?: ChangeOptions,
  ): Promise<CommandResults['createPartitions']>
  /** Replaces all configs of resources: what is not named goes back to its default. */
  alterConfigs(
    resources: readonly ConfigReplacement[],
    options?: ChangeOptions,
  ): Promise<CommandResults['alterConfigs']>
  /** Changes single configs of resources. */
  incrementalAlterConfigs(
    resources: readonly ConfigChange[],
    options?: ChangeOptions,
  ): Promise<CommandResults['incrementalAlterConfigs']>
  /** The configs of a topic or of this broker. Throws as `describeConfigs` of `describeConfigs.ts`. */
  describeConfigs(query: ConfigQuery): readonly ConfigEntry[]
  /** A block of producer ids that nobody has had or will have. */
  allocateProducerIds(): Promise<ProducerIdBlock>
}

/** What the leader of a partition's group knows: the truth that the controller writes down. */
export interface PartitionState {
  readonly topicId: string
  readonly partition: number
  readonly leader: number
  /** The epoch of the group. What is of an earlier epoch than the known one is ignored. */
  readonly leaderEpoch: number
  /** Node ids of the voters that have caught up, the leader among them. */
  readonly isr: readonly number[]
  /** The committed voters. */
  readonly voters: readonly ReplicaKey[]
}

/** Which replicas one partition is to have; null takes back what is under way. */
export interface Reassignment {
  readonly topic: string
  readonly partition: number
  readonly replicas: readonly number[] | null
}

/** A partition whose replicas are changing. */
export interface OngoingReassignment {
  readonly topic: string
  readonly partition: number
  /** All that are or were to hold it, those that go included. */
  readonly replicas: readonly number[]
  readonly adding: readonly number[]
  readonly removing: readonly number[]
}

/** A partition by the name of its topic. */
export interface TopicPartition {
  readonly topic: string
  readonly partition: number
}

/** A change of one finalized feature level. */
export interface FeatureUpdate {
  readonly name: string
  /** 0 removes it. */
  readonly level: number
}

/** What a cluster has beyond `Metadata`. */
export interface ClusterMetadata extends Metadata {
  /**
   * Has the controller write down what the groups that this node leads know. Resolves once everything of it that is news
   * is committed. Partitions that are gone and states that are stale are left out in silence. Rejects with a retriable error.
   */
  reportPartitions(states: readonly PartitionState[]): Promise<void>
  /** Errors of an outcome: `unknownTopicOrPartition`, `invalidReplicaAssignment`, `noReassignmentInProgress`. Source: KIP-455. */
  alterPartitionReassignments(changes: readonly Reassignment[]): Promise<readonly Outcome<null>[]>
  /** What is under way, of `partitions` or of all. */
  listPartitionReassignments(partitions: readonly TopicPartition[] | null): readonly OngoingReassignment[]
  /**
   * `preferred` moves leadership to the first replica of each partition (null: of all). `unclean` accepts that acknowledged records
   * may be lost where nobody leads (null: everywhere): of a majority of the replicas, those count that may have forgotten something.
   * Errors of an outcome: `electionNotNeeded`, `preferredLeaderNotAvailable`, `eligibleLeadersNotAvailable`,
   * `unknownTopicOrPartition`, `requestTimedOut`. Source: KIP-460.
   */
  electLeaders(
    election: Election,
    partitions: readonly TopicPartition[] | null,
    timeoutMs: number,
  ): Promise<readonly (TopicPartition & { readonly outcome: Outcome<null> })[]>
  /** Sets feature levels, all or none. Errors of an outcome: `invalidUpdateVersion`. Source: KIP-584. */
  updateFeatures(
    updates: readonly FeatureUpdate[],
    options?: ChangeOptions,
  ): Promise<readonly Outcome<null>[]>
  /** Forgets a broker for good. Rejects with `brokerIdNotRegistered`, `invalidRequest` while it lives or holds replicas. */
  unregisterBroker(brokerId: number): Promise<void>
}

import type { EngineError } from '../model/errors.ts'
import type { Uuid } from '../model/uuid.ts'
import type { MetadataRecordInput } from '../protocol/metadataRecords/metadataRecord.ts'
import type { Endpoint } from './image.ts'
import type { FeatureUpdate, PartitionState, Reassignment } from './metadata.ts'
import type { Configs } from './topicConfigs.ts'

/** What a caller wants of one new topic, as CreateTopics says it. */
export interface NewTopic {
  readonly name: string
  /** -1, the default, for the broker's `num.partitions`. */
  readonly numPartitions?: number
  /** -1, the default, for the broker's `default.replication.factor`. */
  readonly replicationFactor?: number
  /** Replicas per partition, chosen by hand; when not empty, the two counts above must be -1. */
  readonly assignments?: readonly { readonly partitionIndex: number; readonly brokerIds: readonly number[] }[]
  readonly configs?: readonly { readonly name: string; readonly value: string | null }[]
}

/** A topic to delete: by name, or by id with a null name. */
export interface TopicReference {
  readonly name: string | null
  readonly topicId: Uuid
}

/** What a caller wants of one topic that is to grow. `count` is the new total. */
export interface TopicGrowth {
  readonly name: string
  readonly count: number
  /** Replicas of each added partition, chosen by hand; null lets the controller choose. */
  readonly assignments?: readonly { readonly brokerIds: readonly number[] }[] | null
}

/** Configs of one resource, to replace all it has. */
export interface ConfigReplacement {
  readonly resourceType: number
  readonly resourceName: string
  readonly configs: readonly { readonly name: string; readonly value: string | null }[]
}

/** Kafka's numbers for what to do with one config. Source: KIP-339. */
export const ConfigOperation = { set: 0, delete: 1, append: 2, subtract: 3 } as const

/** Changes to configs of one resource. */
export interface ConfigChange {
  readonly resourceType: number
  readonly resourceName: string
  readonly configs: readonly {
    readonly name: string
    readonly configOperation: number
    readonly value: string | null
  }[]
}

/** A broker that announces itself. */
export interface Registration {
  readonly brokerId: number
  readonly incarnationId: Uuid
  readonly endpoints: readonly Endpoint[]
  readonly rack: string | null
  readonly directories: readonly Uuid[]
}

/** What changes in a registration; of another epoch than the known one, nothing does. */
export interface BrokerChange {
  readonly brokerId: number
  readonly brokerEpoch: number
  readonly fenced?: boolean
  readonly inControlledShutdown?: boolean
}

/** Who asks. Clients may not touch internal topics; the broker makes them for itself. */
export type Requester = 'client' | 'broker'

/** What was made of one topic. `configs` are its overrides. */
export interface CreatedTopic {
  readonly name: string
  readonly topicId: Uuid
  readonly numPartitions: number
  readonly replicationFactor: number
  readonly configs: Configs
}

/** What a caller of a change for several things gets for each: the outcome, or why not. */
export type Outcome<T> = T | EngineError

/** A block of producer ids: `first` to `first + count - 1`. */
export interface ProducerIdBlock {
  readonly first: number
  readonly count: number
}

/**
 * What can be asked of the controller, complete: with everything random already drawn, so that deciding is a
 * pure function. `topicIds` has one fresh id per topic.
 */
export type Command =
  | {
      readonly type: 'bootstrap'
      readonly features: ReadonlyMap<string, number>
      readonly registration: Registration
    }
  | { readonly type: 'registerBroker'; readonly registration: Registration }
  | {
      readonly type: 'createTopics'
      readonly topics: readonly NewTopic[]
      readonly topicIds: readonly Uuid[]
      readonly requester: Requester
    }
  | {
      readonly type: 'deleteTopics'
      readonly topics: readonly TopicReference[]
      readonly requester: Requester
    }
  | {
      readonly type: 'createPartitions'
      readonly topics: readonly TopicGrowth[]
      readonly requester: Requester
    }
  | { readonly type: 'alterConfigs'; readonly resources: readonly ConfigReplacement[] }
  | { readonly type: 'incrementalAlterConfigs'; readonly resources: readonly ConfigChange[] }
  | { readonly type: 'allocateProducerIds'; readonly brokerId: number }
  | { readonly type: 'bootstrapCluster'; readonly features: ReadonlyMap<string, number> }
  | { readonly type: 'enrolBroker'; readonly registration: Registration }
  | { readonly type: 'changeBrokers'; readonly changes: readonly BrokerChange[] }
  | { readonly type: 'unregisterBroker'; readonly brokerId: number }
  | { readonly type: 'reportPartitions'; readonly states: readonly PartitionState[] }
  | { readonly type: 'alterPartitionReassignments'; readonly changes: readonly Reassignment[] }
  | { readonly type: 'updateFeatures'; readonly updates: readonly FeatureUpdate[] }

/** What each command answers with; lists are in the order of the request. */
export interface CommandResults {
  readonly bootstrap: null
  readonly registerBroker: null
  readonly createTopics: readonly Outcome<CreatedTopic>[]
  readonly deleteTopics: readonly Outcome<{ readonly name: string; readonly topicId: Uuid }>[]
  readonly createPartitions: readonly Outcome<null>[]
  readonly alterConfigs: readonly Outcome<null>[]
  readonly incrementalAlterConfigs: readonly Outcome<null>[]
  readonly allocateProducerIds: ProducerIdBlock
  readonly bootstrapCluster: null
  /** The broker's epoch. */
  readonly enrolBroker: number
  readonly changeBrokers: null
  readonly unregisterBroker: null
  readonly reportPartitions: null
  readonly alterPartitionReassignments: readonly Outcome<null>[]
  readonly updateFeatures: readonly Outcome<null>[]
}

/** A decision: the records that carry the change out, all or none of them, and the answer once they are durable. */
export interface Decision<T> {
  readonly records: readonly MetadataRecordInput[]
  readonly result: T
}

/** What deciding needs beside image and command: the broker's own settings. */
export interface DecisionContext {
  /** Configs of brokers by broker name. */
  readonly broker: Configs
  /** Whether the groups of partitions elect their leaders: a new partition begins without one. Default false. */
  readonly elects?: boolean
}

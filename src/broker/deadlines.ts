import { KafkaError } from '../model/kafkaErrors.ts'
import { zeroUuid } from '../model/uuid.ts'
import type { apiKeys } from '../protocol/apiKeys.ts'
import type { Deadline } from './dispatch.ts'

/**
 * What clients are told whose request takes too long, for example because the disk hangs. It is carried out all
 * the same; they ask again, or look.
 */

type Apis = typeof apiKeys

/** For requests that do not say how long they may take. */
const defaultMs = 30_000
/** How much later an election is given up than its controller says. */
const electionGraceMs = 1_000
const errorCode = KafkaError.requestTimedOut.kafka
const errorMessage = 'It took too long; it may still be done.'

/** What the request says; 0 and less would be too late in any case and stand for the default. */
function timeoutOf({ timeoutMs }: { readonly timeoutMs: number }): number {
  return timeoutMs > 0 ? timeoutMs : defaultMs
}

/** CreateTopics. */
export const createTopicsDeadline: Deadline<Apis['createTopics']> = {
  afterMs: timeoutOf,
  answer: ({ topics }) => ({
    topics: topics.map(({ name }) => ({ name, errorCode, errorMessage, configs: null })),
  }),
}

/** DeleteTopics. */
export const deleteTopicsDeadline: Deadline<Apis['deleteTopics']> = {
  afterMs: timeoutOf,
  answer: ({ topics, topicNames }, { apiVersion }) => {
    const asked = apiVersion >= 6 ? topics : topicNames.map((name) => ({ name, topicId: zeroUuid }))
    return { responses: asked.map(({ name, topicId }) => ({ name, topicId, errorCode, errorMessage })) }
  },
}

/** CreatePartitions. */
export const createPartitionsDeadline: Deadline<Apis['createPartitions']> = {
  afterMs: timeoutOf,
  answer: ({ topics }) => ({ results: topics.map(({ name }) => ({ name, errorCode, errorMessage })) }),
}

/** DeleteRecords. */
export const deleteRecordsDeadline: Deadline<Apis['deleteRecords']> = {
  afterMs: timeoutOf,
  answer: ({ topics }) => ({
    topics: topics.map(({ name, partitions }) => ({
      name,
      partitions: partitions.map(({ partitionIndex }) => ({ partitionIndex, lowWatermark: -1, errorCode })),
    })),
  }),
}

/** AlterConfigs and IncrementalAlterConfigs. */
export const alterConfigsDeadline: Deadline<Apis['alterConfigs'] | Apis['incrementalAlterConfigs']> = {
  afterMs: () => defaultMs,
  answer: ({ resources }) => ({
    responses: resources.map(({ resourceType, resourceName }) => ({
      errorCode,
      errorMessage,
      resourceType,
      resourceName,
    })),
  }),
}

/** FindCoordinator: clients look again later. */
export const findCoordinatorDeadline: Deadline<Apis['findCoordinator']> = {
  afterMs: () => defaultMs,
  answer: ({ coordinatorKeys }, { apiVersion }) => {
    const nowhere = {
      errorCode: KafkaError.coordinatorNotAvailable.kafka,
      errorMessage,
      nodeId: -1,
      host: '',
      port: -1,
    }
    return apiVersion < 4 ? nowhere : { coordinators: coordinatorKeys.map((key) => ({ key, ...nowhere })) }
  },
}

/** InitProducerId: with this error producers ask again, as of Kafka. */
export const initProducerIdDeadline: Deadline<Apis['initProducerId']> = {
  afterMs: () => defaultMs,
  answer: () => ({
    errorCode: KafkaError.coordinatorLoadInProgress.kafka,
    producerId: -1,
    producerEpoch: -1,
  }),
}

/** ElectLeaders. The controller waits for the elections for as long itself, and knows more. */
export const electLeadersDeadline: Deadline<Apis['electLeaders']> = {
  afterMs: (request) => timeoutOf(request) + electionGraceMs,
  answer: ({ topicPartitions }) => ({
    errorCode,
    replicaElectionResults: (topicPartitions ?? []).map(({ topic, partitions }) => ({
      topic,
      partitionResult: partitions.map((partitionId) => ({ partitionId, errorCode, errorMessage })),
    })),
  }),
}

/** AlterPartitionReassignments. */
export const alterReassignmentsDeadline: Deadline<Apis['alterPartitionReassignments']> = {
  afterMs: timeoutOf,
  answer: () => ({ errorCode, errorMessage }),
}

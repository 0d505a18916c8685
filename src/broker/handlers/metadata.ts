import type { TopicImage } from '../../controller/image.ts'
import { checkTopicName, isInternalTopic } from '../../controller/topicNames.ts'
import { KafkaError } from '../../model/kafkaErrors.ts'
import { type Uuid, zeroUuid } from '../../model/uuid.ts'
import type { apiKeys } from '../../protocol/apiKeys.ts'
import type { Infer } from '../../protocol/schema.ts'
import type { Answer } from '../dispatch.ts'
import { type RequestContext, type Services, wireError } from '../services.ts'

type MetadataApi = (typeof apiKeys)['metadata']
type MetadataRequest = Infer<MetadataApi['request']>
type TopicAnswer = NonNullable<NonNullable<Answer<MetadataApi>>['topics']>[number]

/** From here on a topic may have an id for a name. */
const firstVersionById = 12

/**
 * Metadata: the brokers, and the topics asked for. A topic that is not there is answered with
 * `unknownTopicOrPartition` and, if it may be, created meanwhile: clients ask again. A topic that is asked for
 * twice is described once, since a name of a few bytes may stand for thousands of partitions.
 */
export function handleMetadata(
  services: Services,
  context: RequestContext,
  request: MetadataRequest,
): Answer<MetadataApi> {
  const { controller, nodes } = services
  if (context.apiVersion < firstVersionById && request.topics?.some(({ name }) => name === null)) {
    context.exchange.fail('malformed', `a topic without a name, in version ${context.apiVersion} of Metadata`)
    return null
  }
  return {
    brokers: nodes.all(),
    clusterId: controller.image.clusterId,
    controllerId: controllerFor(services),
    topics: topicsOf(services, context, request),
  }
}

/**
 * The broker that clients send changes to. Any broker will do, since each passes them on; a client may only know of one that is
 * registered as a broker.
 */
export function controllerFor({ controller, nodes, node }: Services): number {
  return nodes.find(controller.controllerId) === null ? node.nodeId : controller.controllerId
}

function topicsOf(services: Services, context: RequestContext, request: MetadataRequest): TopicAnswer[] {
  const { image } = services.controller
  const { topics } = request
  // Version 0 has no null: there, no topics means all of them.
  if (topics === null || (context.apiVersion === 0 && topics.length === 0)) {
    return [...image.topics.values()].map((topic) => describe(services, topic))
  }
  const toCreate: string[] = []
  const mayCreate = request.allowAutoTopicCreation && services.config.flag('auto.create.topics.enable')
  const answerTo = (name: string | null, topicId: Uuid): TopicAnswer => {
    if (name === null) {
      const known = image.topicsById.get(topicId)
      return known ? describe(services, known) : unknown(KafkaError.unknownTopicId.kafka, null, topicId)
    }
    const topic = image.topics.get(name)
    if (topic) return describe(services, topic)
    try {
      checkTopicName(name)
    } catch (error) {
      return unknown(wireError(services, error).errorCode, name, zeroUuid)
    }
    if (mayCreate && !isInternalTopic(name)) toCreate.push(name)
    return unknown(KafkaError.unknownTopicOrPartition.kafka, name, zeroUuid)
  }
  const seen = new Set<string>()
  const answers: TopicAnswer[] = []
  for (const { name, topicId } of topics) {
    const key = name === null ? `id ${topicId}` : `name ${name}`
    if (seen.has(key)) continue
    seen.add(key)
    answers.push(answerTo(name, topicId))
  }
  if (toCreate.length > 0) services.topicCreator.createInBackground(toCreate)
  return answers
}

function unknown(errorCode: number, name: string | null, topicId: Uuid): TopicAnswer {
  return { errorCode, name, topicId, partitions: [] }
}

function describe(services: Services, topic: TopicImage): TopicAnswer {
  return {
    name: topic.name,
    topicId: topic.id,
    isInternal: isInternalTopic(topic.name),
    partitions: topic.partitions.map(({ partition }) => describePartition(services, topic, partition)),
  }
}

/** What clients are told of a partition of the image. */
export function describePartition(
  services: Services,
  topic: TopicImage,
  partition: number,
): NonNullable<TopicAnswer['partitions']>[number] {
  const { leader, leaderEpoch, isr, offlineReplicas } = services.partitions.view(topic, partition)
  // Nobody can be sent to a leader that cannot be found.
  const hasLeader = leader >= 0 && services.nodes.find(leader) !== null
  return {
    errorCode: hasLeader ? 0 : KafkaError.leaderNotAvailable.kafka,
    partitionIndex: partition,
    leaderId: hasLeader ? leader : -1,
    leaderEpoch,
    replicaNodes: topic.partitions[partition]!.replicas,
    isrNodes: isr,
    offlineReplicas,
  }
}

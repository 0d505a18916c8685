import { EngineError } from '../model/errors.ts'
import type { MetadataRecord } from '../protocol/metadataRecords/metadataRecord.ts'
import type { DeltaBuilder } from './delta.ts'
import type { BrokerImage, MutableImage, MutableTopic, PartitionImage } from './image.ts'

/** Kafka's numbers for what a ConfigRecord is about. Source: Kafka `ConfigResource.Type`. */
export const ConfigResourceType = {
  topic: 2,
  broker: 4,
  brokerLogger: 8,
  clientMetrics: 16,
  group: 32,
} as const

/** What a change of a partition says of a leader that stays. */
const unchangedLeader = -2

/**
 * Applies one committed record to `image`, and notes in `delta` what it did. Transaction markers are not for
 * here: `MetadataLog` resolves them. Throws `corruptLog` for a record that does not fit what came before, and
 * `unsupportedFormat` for one whose meaning this release does not know: to skip it would be to lie.
 */
export function replay(image: MutableImage, record: MetadataRecord, delta: DeltaBuilder): void {
  switch (record.type) {
    case 'featureLevelRecord':
      if (record.featureLevel === 0) image.features.delete(record.name)
      else image.features.set(record.name, record.featureLevel)
      return
    case 'registerBrokerRecord':
      image.brokers.set(record.brokerId, {
        id: record.brokerId,
        epoch: record.brokerEpoch,
        incarnationId: record.incarnationId,
        endpoints: record.endPoints.map(({ name, host, port, securityProtocol }) => ({
          name,
          host,
          port,
          securityProtocol,
        })),
        rack: record.rack,
        fenced: record.fenced,
        inControlledShutdown: record.inControlledShutdown,
        directories: record.logDirs,
      })
      delta.brokerChanged(record.brokerId)
      return
    case 'brokerRegistrationChangeRecord': {
      const broker = brokerOf(image, record.brokerId, record.brokerEpoch, record.type)
      image.brokers.set(broker.id, {
        ...broker,
        fenced: changed(record.fenced, broker.fenced),
        inControlledShutdown: changed(record.inControlledShutdown, broker.inControlledShutdown),
        directories: record.logDirs.length === 0 ? broker.directories : record.logDirs,
      })
      delta.brokerChanged(broker.id)
      return
    }
    case 'unregisterBrokerRecord': {
      const { id } = brokerOf(image, record.brokerId, record.brokerEpoch, record.type)
      image.brokers.delete(id)
      delta.brokerChanged(id)
      return
    }
    case 'topicRecord': {
      if (image.topics.has(record.name) || image.topicsById.has(record.topicId)) {
        throw new EngineError('corruptLog', `a second TopicRecord for ${record.name} (${record.topicId})`)
      }
      delta.topicCreated(image.addTopic(record.name, record.topicId))
      return
    }
    case 'partitionRecord': {
      const { partitions } = topicOf(image, record.topicId, record.type)
      if (record.partitionId < 0 || record.partitionId > partitions.length) {
        const where = `${record.topicId}-${record.partitionId}`
        throw new EngineError('corruptLog', `${where} does not follow the ${partitions.length} before it`)
      }
      const isNew = record.partitionId === partitions.length
      partitions[record.partitionId] = {
        partition: record.partitionId,
        leader: record.leader,
        leaderEpoch: record.leaderEpoch,
        partitionEpoch: record.partitionEpoch,
        replicas: record.replicas,
        isr: record.isr,
        directories: record.directories,
        addingReplicas: record.addingReplicas,
        removingReplicas: record.removingReplicas,
      }
      const topic = topicOf(image, record.topicId, record.type)
      if (isNew) delta.partitionAdded(topic, record.partitionId)
      else delta.partitionChanged(topic, record.partitionId)
      return
    }
    case 'partitionChangeRecord': {
      const topic = topicOf(image, record.topicId, record.type)
      const known = topic.partitions[record.partitionId]
      if (known === undefined) {
        const where = `${record.topicId}-${record.partitionId}`
        throw new EngineError('corruptLog', `a ${record.type} for ${where}, which does not exist`)
      }
      topic.partitions[record.partitionId] = {
        ...known,
        leader: record.leader === unchangedLeader ? known.leader : record.leader,
        leaderEpoch: leaderEpochAfter(known, record),
        partitionEpoch: known.partitionEpoch + 1,
        replicas: record.replicas ?? known.replicas,
        isr: record.isr ?? known.isr,
        directories: record.directories ?? known.directories,
        addingReplicas: record.addingReplicas ?? known.addingReplicas,
        removingReplicas: record.removingReplicas ?? known.removingReplicas,
      }
      delta.partitionChanged(topic, record.partitionId)
      return
    }
    case 'configRecord': {
      if (record.resourceType === ConfigResourceType.broker) {
        const configs = image.brokerConfigs.get(record.resourceName) ?? new Map<string, string>()
        if (record.value === null) configs.delete(record.name)
        else configs.set(record.name, record.value)
        if (configs.size > 0) image.brokerConfigs.set(record.resourceName, configs)
        else image.brokerConfigs.delete(record.resourceName)
        delta.brokerConfigChanged()
        return
      }
      if (record.resourceType !== ConfigResourceType.topic) {
        const what = `a ConfigRecord for resource type ${record.resourceType}`
        throw new EngineError('unsupportedFormat', `${what} is not supported yet`)
      }
      const topic = image.topics.get(record.resourceName)
      if (topic === undefined) {
        throw new EngineError('corruptLog', `a ConfigRecord for ${record.resourceName}, which does not exist`)
      }
      if (record.value === null) topic.configs.delete(record.name)
      else topic.configs.set(record.name, record.value)
      delta.configChanged(topic)
      return
    }
    case 'removeTopicRecord': {
      const topic = topicOf(image, record.topicId, record.type)
      image.removeTopic(topic)
      delta.topicDeleted(topic)
      return
    }
    case 'producerIdsRecord':
      if (record.nextProducerId <= image.nextProducerId) {
        const what = `producer ids went back from ${image.nextProducerId} to ${record.nextProducerId}`
        throw new EngineError('corruptLog', what)
      }
      image.nextProducerId = record.nextProducerId
      return
    case 'noOpRecord':
      return
    default:
      throw new EngineError('unsupportedFormat', `a ${record.type} in the metadata log is not supported yet`)
  }
}

function topicOf(image: MutableImage, topicId: string, recordType: string): MutableTopic {
  const topic = image.topicsById.get(topicId)
  if (topic === undefined) {
    throw new EngineError('corruptLog', `a ${recordType} for topic id ${topicId}, which does not exist`)
  }
  return topic
}

function brokerOf(image: MutableImage, id: number, epoch: number, recordType: string): BrokerImage {
  const broker = image.brokers.get(id)
  if (broker?.epoch === epoch) return broker
  throw new EngineError(
    'corruptLog',
    `a ${recordType} for broker ${id} in epoch ${epoch}, which is not registered`,
  )
}

/** What a registration's flag is after a change: 1 sets it, -1 takes it back. */
function changed(change: number, before: boolean): boolean {
  return change === 0 ? before : change > 0
}

/** The epoch of the group where the record has it; without, as in Kafka, one more with every new leader. */
function leaderEpochAfter(
  known: PartitionImage,
  { leader, leaderEpoch }: { readonly leader: number; readonly leaderEpoch: number },
): number {
  if (leaderEpoch >= 0) return leaderEpoch
  return leader === unchangedLeader ? known.leaderEpoch : known.leaderEpoch + 1
}

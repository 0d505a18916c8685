import { EngineError } from '../model/errors.ts'
import type { MetadataRecord } from '../protocol/metadataRecords/metadataRecord.ts'
import type { DeltaBuilder } from './delta.ts'
import type { MutableImage, MutableTopic } from './image.ts'

/** Kafka's numbers for what a ConfigRecord is about. Source: Kafka `ConfigResource.Type`. */
export const ConfigResourceType = {
  topic: 2,
  broker: 4,
  brokerLogger: 8,
  clientMetrics: 16,
  group: 32,
} as const

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
        directories: record.logDirs,
      })
      return
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
      }
      if (isNew) delta.partitionAdded(topicOf(image, record.topicId, record.type), record.partitionId)
      return
    }
    case 'configRecord': {
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

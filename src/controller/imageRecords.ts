import type { MetadataRecordInput } from '../protocol/metadataRecords/metadataRecord.ts'
import { DeltaBuilder } from './delta.ts'
import type { MetadataDelta, MetadataImage, MutableImage, MutableTopic, PartitionImage } from './image.ts'
import { ConfigResourceType } from './replay.ts'

/** The records that make `image` out of an empty one, in an order in which each has what it rests on. Source: KIP-630. */
export function* imageRecords(image: MetadataImage): Generator<MetadataRecordInput> {
  for (const [name, featureLevel] of image.features) {
    yield { type: 'featureLevelRecord', version: 0, name, featureLevel }
  }
  for (const broker of image.brokers.values()) {
    yield {
      type: 'registerBrokerRecord',
      version: 3,
      brokerId: broker.id,
      isMigratingZkBroker: false,
      incarnationId: broker.incarnationId,
      brokerEpoch: broker.epoch,
      endPoints: broker.endpoints.map(({ name, host, port, securityProtocol }) => ({
        name,
        host,
        port,
        securityProtocol,
      })),
      features: [...image.features].map(([name, level]) => ({
        name,
        minSupportedVersion: level,
        maxSupportedVersion: level,
      })),
      rack: broker.rack,
      fenced: broker.fenced,
      inControlledShutdown: broker.inControlledShutdown,
      logDirs: broker.directories,
    }
  }
  for (const [resourceName, configs] of image.brokerConfigs) {
    const resource = { resourceType: ConfigResourceType.broker, resourceName }
    for (const [name, value] of configs) yield { type: 'configRecord', version: 0, ...resource, name, value }
  }
  for (const { name: topicName, id: topicId, configs, partitions } of image.topics.values()) {
    yield { type: 'topicRecord', version: 0, name: topicName, topicId }
    const resource = { resourceType: ConfigResourceType.topic, resourceName: topicName }
    for (const [name, value] of configs) yield { type: 'configRecord', version: 0, ...resource, name, value }
    for (const partition of partitions) yield partitionRecord(topicId, partition)
  }
  if (image.nextProducerId > 0) {
    yield {
      type: 'producerIdsRecord',
      version: 0,
      brokerId: -1,
      brokerEpoch: -1,
      nextProducerId: image.nextProducerId,
    }
  }
}

/** All of a partition. */
export function partitionRecord(topicId: string, partition: PartitionImage): MetadataRecordInput {
  return {
    type: 'partitionRecord',
    version: 1,
    partitionId: partition.partition,
    topicId,
    replicas: partition.replicas,
    isr: partition.isr,
    removingReplicas: partition.removingReplicas,
    addingReplicas: partition.addingReplicas,
    leader: partition.leader,
    leaderRecoveryState: 0,
    leaderEpoch: partition.leaderEpoch,
    partitionEpoch: partition.partitionEpoch,
    directories: partition.directories,
  }
}

/** Makes `image` what `other` is, within one turn; topics that stay keep their identity. What is different now, or null. */
export function replaceImage(image: MutableImage, other: MutableImage): MetadataDelta | null {
  const delta = new DeltaBuilder()
  for (const topic of [...image.topics.values()]) {
    if (other.topicsById.has(topic.id)) continue
    image.removeTopic(topic)
    delta.topicDeleted(topic)
  }
  for (const topic of other.topics.values()) {
    const known = image.topicsById.get(topic.id)
    if (known === undefined) {
      const added = image.addTopic(topic.name, topic.id)
      delta.topicCreated(added)
      replaceTopic(added, topic, delta)
    } else replaceTopic(known, topic, delta)
  }
  for (const id of new Set([...image.brokers.keys(), ...other.brokers.keys()])) {
    const broker = other.brokers.get(id)
    if (isSame(image.brokers.get(id), broker)) continue
    if (broker === undefined) image.brokers.delete(id)
    else image.brokers.set(id, broker)
    delta.brokerChanged(id)
  }
  const plain = (configs: MutableImage['brokerConfigs']): unknown =>
    [...configs].map(([name, of]) => [name, [...of]])
  if (!isSame(plain(image.brokerConfigs), plain(other.brokerConfigs))) delta.brokerConfigChanged()
  refill(image.brokerConfigs, other.brokerConfigs)
  refill(image.features, other.features)
  image.nextProducerId = other.nextProducerId
  image.nextOffset = other.nextOffset
  return delta.build()
}

function replaceTopic(topic: MutableTopic, other: MutableTopic, delta: DeltaBuilder): void {
  for (const partition of other.partitions) {
    const known = topic.partitions[partition.partition]
    if (isSame(known, partition)) continue
    topic.partitions[partition.partition] = partition
    if (known === undefined) delta.partitionAdded(topic, partition.partition)
    else delta.partitionChanged(topic, partition.partition)
  }
  if (isSame([...topic.configs].sort(), [...other.configs].sort())) return
  refill(topic.configs, other.configs)
  delta.configChanged(topic)
}

function refill<K, V>(target: Map<K, V>, source: ReadonlyMap<K, V>): void {
  target.clear()
  for (const [key, value] of source) target.set(key, value)
}

function isSame(one: unknown, other: unknown): boolean {
  return JSON.stringify(one) === JSON.stringify(other)
}

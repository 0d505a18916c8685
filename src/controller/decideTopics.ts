import { EngineError } from '../model/errors.ts'
import { planted } from '../model/planted.ts'
import { type Uuid, zeroUuid } from '../model/uuid.ts'
import type { MetadataRecordInput } from '../protocol/metadataRecords/metadataRecord.ts'
import type {
  Command,
  CommandResults,
  CreatedTopic,
  Decision,
  DecisionContext,
  NewTopic,
} from './commands.ts'
import { clampedNumber } from './configValues.ts'
import type { MetadataImage } from './image.ts'
import { decideEach, duplicates } from './outcomes.ts'
import { checkAssignment, newPartition, Placer } from './placement.ts'
import { ConfigResourceType } from './replay.ts'
import { type Configs, checkTogether, checkTopicConfig } from './topicConfigs.ts'
import { checkNotReserved, checkTopicName, collisionKey } from './topicNames.ts'

type Of<T extends Command['type']> = Extract<Command, { readonly type: T }>

/** The most partitions that one request may create, as in Kafka: it bounds the size of one change. */
export const maxPartitionsPerRequest = 10_000

/**
 * New topics, each decided on its own. Errors: `invalidTopicException`, `topicAuthorizationFailed`,
 * `topicAlreadyExists`, `invalidPartitions`, `policyViolation`, `invalidReplicationFactor`,
 * `invalidReplicaAssignment`, `invalidConfig`, `invalidRequest`. Source: Kafka `ReplicationControlManager`.
 */
export function decideCreateTopics(
  image: MetadataImage,
  command: Of<'createTopics'>,
  context: DecisionContext,
): Decision<CommandResults['createTopics']> {
  const twice = duplicates(command.topics.map((topic) => topic.name))
  const keys = new Map<string, string>()
  const ids = new Set<Uuid>()
  let partitionCount = 0
  let placer: Placer | null = null
  return decideEach(command.topics, (topic, index) => {
    if (twice.has(topic.name)) throw new EngineError('invalidRequest', 'Duplicate topic name.')
    if (command.requester === 'client') checkNotReserved(topic.name)
    checkTopicName(topic.name)
    if (image.topics.has(topic.name)) {
      throw new EngineError('topicAlreadyExists', `Topic '${topic.name}' already exists.`)
    }
    const key = collisionKey(topic.name)
    const other = image.colliding(topic.name)[0] ?? (key === null ? undefined : keys.get(key))
    if (other !== undefined) {
      const text = `Topic '${topic.name}' collides with existing topic: ${other}`
      throw new EngineError('invalidTopicException', text)
    }
    const place: Placer['place'] = (count, factor) => {
      placer ??= new Placer(image)
      return placer.place(count, factor)
    }
    const wanted = topicReplicas(
      image,
      topic,
      context.broker,
      maxPartitionsPerRequest - partitionCount,
      place,
    )
    const configs = newTopicConfigs(topic)
    checkTogether(configs, context.broker)
    const topicId = planted('topicIdReused') ? idOfName(topic.name) : command.topicIds[index]!
    // Drawn by the node that asks: what is there twice, nobody could follow.
    if (ids.has(topicId) || image.topicsById.has(topicId)) {
      throw new EngineError('invalidRequest', `There is a topic with id ${topicId} already.`)
    }
    ids.add(topicId)
    // Only now that nothing can fail do the name and the partitions count against the topics after this one.
    partitionCount += wanted.length
    if (key !== null) keys.set(key, topic.name)
    return newTopic(image, topic.name, topicId, wanted, configs, context.elects)
  })
}

/** What a planted mistake takes for the id of a topic. */
function idOfName(name: string): Uuid {
  return Buffer.alloc(16, name).toString('base64url')
}

/**
 * Topics to be deleted, by name or id, not both: they might be two topics. Errors: `unknownTopicOrPartition`,
 * `unknownTopicId`, `invalidRequest`, and those of a reserved name.
 */
export function decideDeleteTopics(
  image: MetadataImage,
  command: Of<'deleteTopics'>,
): Decision<CommandResults['deleteTopics']> {
  const found = command.topics.map(({ name, topicId }) => {
    if (name === null) return image.topicsById.get(topicId)
    return topicId === zeroUuid ? image.topics.get(name) : undefined
  })
  const twice = duplicates(found.flatMap((topic) => (topic === undefined ? [] : [topic.id])))
  return decideEach(command.topics, ({ name, topicId }, index) => {
    if (name !== null && topicId !== zeroUuid) {
      throw new EngineError('invalidRequest', 'You may not specify both topic name and topic id.')
    }
    if (name === null && topicId === zeroUuid) {
      throw new EngineError('invalidRequest', 'Neither topic name nor id were specified.')
    }
    if (name !== null && command.requester === 'client') checkNotReserved(name)
    const topic = found[index]
    if (topic === undefined) {
      if (name === null) throw new EngineError('unknownTopicId', `There is no topic with id ${topicId}.`)
      throw new EngineError('unknownTopicOrPartition', `There is no topic '${name}'.`)
    }
    if (twice.has(topic.id)) throw new EngineError('invalidRequest', 'Duplicate topic name or id.')
    if (command.requester === 'client') checkNotReserved(topic.name)
    return {
      records: [{ type: 'removeTopicRecord', version: 0, topicId: topic.id }],
      result: { name: topic.name, topicId: topic.id },
    }
  })
}

/** The replicas of each partition that `topic` asks for. */
function topicReplicas(
  image: MetadataImage,
  topic: NewTopic,
  broker: Configs,
  room: number,
  place: Placer['place'],
): readonly (readonly number[])[] {
  const { numPartitions = -1, replicationFactor = -1, assignments = [] } = topic
  if (assignments.length > 0) {
    if (replicationFactor !== -1 || numPartitions !== -1) {
      const what = replicationFactor !== -1 ? 'replication factor' : 'numPartitions'
      throw new EngineError(
        'invalidRequest',
        `A manual partition assignment was specified, but ${what} was not set to -1.`,
      )
    }
    checkRoom(assignments.length, room)
    return manualReplicas(image, assignments)
  }
  const factor =
    replicationFactor === -1
      ? clampedNumber(broker.get('default.replication.factor') ?? '1')
      : replicationFactor
  if (!(factor > 0)) {
    throw new EngineError(
      'invalidReplicationFactor',
      'Replication factor must be larger than 0, or -1 to use the default value.',
    )
  }
  const count = numPartitions === -1 ? clampedNumber(broker.get('num.partitions') ?? '1') : numPartitions
  if (!(count > 0)) {
    throw new EngineError(
      'invalidPartitions',
      'Number of partitions was set to an invalid non-positive value.',
    )
  }
  checkRoom(count, room)
  return place(count, factor)
}

/** Throws `policyViolation` unless `count` more partitions fit the request. */
export function checkRoom(count: number, room: number): void {
  if (count <= room) return
  throw new EngineError(
    'policyViolation',
    `Excessively large number of partitions per request: at most ${maxPartitionsPerRequest} can be created at once.`,
  )
}

function manualReplicas(
  image: MetadataImage,
  assignments: NonNullable<NewTopic['assignments']>,
): readonly (readonly number[])[] {
  const byPartition = new Map<number, readonly number[]>()
  const expectedCount = assignments[0]!.brokerIds.length
  for (const { partitionIndex, brokerIds } of assignments) {
    if (byPartition.has(partitionIndex)) {
      throw new EngineError(
        'invalidReplicaAssignment',
        `Found multiple manual partition assignments for partition ${partitionIndex}`,
      )
    }
    checkAssignment(image, brokerIds, expectedCount)
    byPartition.set(partitionIndex, brokerIds)
  }
  return Array.from({ length: assignments.length }, (_, partition) => {
    const replicas = byPartition.get(partition)
    if (replicas !== undefined) return replicas
    throw new EngineError(
      'invalidReplicaAssignment',
      'partitions should be a consecutive 0-based integer sequence',
    )
  })
}

function newTopicConfigs(topic: NewTopic): Configs {
  const configs = new Map<string, string>()
  for (const { name, value } of topic.configs ?? []) {
    if (configs.has(name)) throw new EngineError('invalidConfig', `config ${name} is given more than once`)
    configs.set(name, checkTopicConfig(name, value))
  }
  return configs
}

function newTopic(
  image: MetadataImage,
  name: string,
  topicId: Uuid,
  replicas: readonly (readonly number[])[],
  configs: Configs,
  elects = false,
): Decision<CreatedTopic> {
  const records: MetadataRecordInput[] = [{ type: 'topicRecord', version: 0, name, topicId }]
  for (const [config, value] of configs) {
    const resource = { resourceType: ConfigResourceType.topic, resourceName: name }
    records.push({ type: 'configRecord', version: 0, ...resource, name: config, value })
  }
  for (let partition = 0; partition < replicas.length; partition++) {
    records.push(newPartition(image, topicId, partition, replicas[partition]!, elects))
  }
  const replicationFactor = replicas[0]!.length
  return { records, result: { name, topicId, numPartitions: replicas.length, replicationFactor, configs } }
}

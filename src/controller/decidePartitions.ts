import { EngineError } from '../model/errors.ts'
import type { Command, CommandResults, Decision, DecisionContext, TopicGrowth } from './commands.ts'
import { checkRoom, maxPartitionsPerRequest } from './decideTopics.ts'
import type { MetadataImage, TopicImage } from './image.ts'
import { decideEach, duplicates } from './outcomes.ts'
import { checkAssignment, newPartition, Placer } from './placement.ts'
import { checkNotReserved } from './topicNames.ts'

/**
 * More partitions for topics that are there; a topic never shrinks. Errors: `unknownTopicOrPartition`,
 * `invalidPartitions`, `invalidReplicaAssignment`, `policyViolation`, `invalidRequest`, and those of a reserved
 * name. Source: KIP-195.
 */
export function decideCreatePartitions(
  image: MetadataImage,
  command: Extract<Command, { readonly type: 'createPartitions' }>,
  { elects = false }: Pick<DecisionContext, 'elects'> = {},
): Decision<CommandResults['createPartitions']> {
  const twice = duplicates(command.topics.map((topic) => topic.name))
  let partitionCount = 0
  let placer: Placer | null = null
  const place: Placer['place'] = (count, factor) => {
    placer ??= new Placer(image)
    return placer.place(count, factor)
  }
  return decideEach(command.topics, (growth) => {
    if (twice.has(growth.name)) throw new EngineError('invalidRequest', 'Duplicate topic name.')
    if (command.requester === 'client') checkNotReserved(growth.name)
    const topic = image.topics.get(growth.name)
    if (topic === undefined) {
      throw new EngineError('unknownTopicOrPartition', `There is no topic '${growth.name}'.`)
    }
    const added = addedReplicas(image, topic, growth, maxPartitionsPerRequest - partitionCount, place)
    partitionCount += added.length
    const first = topic.partitions.length
    return {
      records: added.map((replicas, index) => newPartition(image, topic.id, first + index, replicas, elects)),
      result: null,
    }
  })
}

function addedReplicas(
  image: MetadataImage,
  topic: TopicImage,
  { count, assignments }: TopicGrowth,
  room: number,
  place: Placer['place'],
): readonly (readonly number[])[] {
  const have = topic.partitions.length
  if (count === have) throw new EngineError('invalidPartitions', `Topic already has ${have} partition(s).`)
  if (count < have) {
    throw new EngineError(
      'invalidPartitions',
      `The topic ${topic.name} currently has ${have} partition(s); ${count} would not be an increase.`,
    )
  }
  const added = count - have
  checkRoom(added, room)
  // Those that are on their way out do not count.
  const { replicas, removingReplicas } = topic.partitions[0]!
  const replicationFactor = replicas.length - removingReplicas.length
  if (assignments == null) return place(added, replicationFactor)
  if (assignments.length !== added) {
    throw new EngineError(
      'invalidReplicaAssignment',
      `Attempted to add ${added} additional partition(s), but only ${assignments.length} assignment(s) were specified.`,
    )
  }
  return assignments.map(({ brokerIds }) => {
    checkAssignment(image, brokerIds, replicationFactor)
    return brokerIds
  })
}

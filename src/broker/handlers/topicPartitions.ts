import type { TopicImage } from '../../controller/image.ts'
import { checkTopicName, isInternalTopic } from '../../controller/topicNames.ts'
import { EngineError } from '../../model/errors.ts'
import type { apiKeys } from '../../protocol/apiKeys.ts'
import type { Answer, Handler } from '../dispatch.ts'
import { type Services, wireError } from '../services.ts'
import { describePartition } from './metadata.ts'

type Api = (typeof apiKeys)['describeTopicPartitions']
type TopicAnswer = NonNullable<NonNullable<Answer<Api>>['topics']>[number]

/** The most partitions of one answer: `max.request.partition.size.limit`. */
const maxPartitions = 2_000

/**
 * DescribeTopicPartitions: topics in the order of their names, no more partitions than fit, and the cursor to go on with.
 * Source: KIP-966.
 */
export const handleDescribeTopicPartitions: Handler<Api> = (services, _context, request) => {
  const { topics, cursor, responsePartitionLimit } = request
  if (cursor !== null && cursor.partitionIndex < 0) {
    throw new EngineError('invalidRequest', 'a cursor begins at a partition from 0 on')
  }
  const { image } = services.controller
  const asked = topics.length === 0 ? image.topics.keys() : new Set(topics.map(({ name }) => name))
  const names = [...asked].filter((name) => cursor === null || name >= cursor.topicName).sort()
  let room = Math.min(Math.max(responsePartitionLimit, 1), maxPartitions)
  const answers: TopicAnswer[] = []
  for (const name of names) {
    const from = cursor?.topicName === name ? cursor.partitionIndex : 0
    if (room === 0) return { topics: answers, nextCursor: { topicName: name, partitionIndex: from } }
    const topic = image.topics.get(name)
    if (topic === undefined) {
      answers.push({ ...whyUnknown(services, name), name })
      continue
    }
    const end = Math.min(from + room, topic.partitions.length)
    answers.push(describe(services, topic, from, end))
    room -= Math.max(end - from, 0)
    if (end < topic.partitions.length) {
      return { topics: answers, nextCursor: { topicName: name, partitionIndex: end } }
    }
  }
  return { topics: answers }
}

function whyUnknown(services: Services, name: string): { readonly errorCode: number } {
  try {
    checkTopicName(name)
    throw new EngineError('unknownTopicOrPartition', `there is no topic ${name}`)
  } catch (error) {
    return { errorCode: wireError(services, error).errorCode }
  }
}

function describe(services: Services, topic: TopicImage, from: number, end: number): TopicAnswer {
  return {
    name: topic.name,
    topicId: topic.id,
    isInternal: isInternalTopic(topic.name),
    partitions: topic.partitions.slice(from, end).map(({ partition }) => ({
      ...describePartition(services, topic, partition),
      // There are none: a majority that knows what is committed elects the leader.
      eligibleLeaderReplicas: [],
      lastKnownElr: [],
    })),
  }
}

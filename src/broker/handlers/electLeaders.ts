import type { TopicPartition } from '../../controller/metadata.ts'
import { EngineError } from '../../model/errors.ts'
import type { apiKeys } from '../../protocol/apiKeys.ts'
import type { Handler } from '../dispatch.ts'
import { type Services, wireError } from '../services.ts'
import { distinct, replicaChanges } from './reassignments.ts'

type Apis = typeof apiKeys
type Outcomes = Awaited<ReturnType<ReturnType<typeof replicaChanges>['electLeaders']>>

const ElectionType = { preferred: 0, unclean: 1 } as const

/**
 * ElectLeaders: has the first replica of each partition lead. An unclean election does not happen: groups elect whom a majority
 * knows to have everything that is committed, by themselves, and nobody else (KIP-460 lets an ISR lose that).
 */
export const handleElectLeaders: Handler<Apis['electLeaders']> = async (services, _context, request) => {
  const { electionType, topicPartitions, timeoutMs } = request
  const asked =
    topicPartitions === null
      ? null
      : distinct(topicPartitions.map(({ topic, partitions }) => [topic, partitions]))
  if (electionType !== ElectionType.preferred && electionType !== ElectionType.unclean) {
    const text = `there is no election of type ${electionType}`
    const { errorCode } = wireError(services, new EngineError('invalidRequest', text))
    return { errorCode, replicaElectionResults: [] }
  }
  const outcomes =
    electionType === ElectionType.preferred
      ? await replicaChanges(services).electLeaders(asked, timeoutMs)
      : refuseUnclean(services, asked ?? [])
  const byTopic = new Map<string, PartitionResult[]>()
  for (const { topic, partition: partitionId, outcome } of outcomes) {
    // Whoever asked for all of them wants to hear of those where something happened.
    if (asked === null && outcome?.code === 'electionNotNeeded') continue
    const result =
      outcome === null
        ? { partitionId, errorCode: 0, errorMessage: null }
        : { partitionId, ...wireError(services, outcome) }
    const results = byTopic.get(topic)
    if (results === undefined) byTopic.set(topic, [result])
    else results.push(result)
  }
  return {
    replicaElectionResults: Array.from(byTopic, ([topic, partitionResult]) => ({ topic, partitionResult })),
  }
}

interface PartitionResult {
  readonly partitionId: number
  readonly errorCode: number
  readonly errorMessage: string | null
}

function refuseUnclean({ partitions }: Services, asked: readonly TopicPartition[]): Outcomes {
  return asked.map(({ topic, partition }) => {
    const outcome = !partitions.has(topic, partition)
      ? new EngineError('unknownTopicOrPartition', `there is no partition ${partition} of topic ${topic}`)
      : partitions.leadershipOf(topic, partition).leader >= 0
        ? new EngineError('electionNotNeeded', 'it has a leader')
        : new EngineError(
            'eligibleLeadersNotAvailable',
            'a leader is elected as soon as a majority of the replicas is there',
          )
    return { topic, partition, outcome }
  })
}

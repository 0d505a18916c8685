import type { Election } from '../../controller/elections.ts'
import { EngineError } from '../../model/errors.ts'
import type { apiKeys } from '../../protocol/apiKeys.ts'
import type { Handler } from '../dispatch.ts'
import { wireError } from '../services.ts'
import { distinct, replicaChanges } from './reassignments.ts'

type Apis = typeof apiKeys

const elections: readonly Election[] = ['preferred', 'unclean']

/**
 * ElectLeaders: has the first replica of each partition lead (KIP-460). Groups elect whom a majority knows to have everything that is
 * committed, by themselves; an unclean election is for those whose replicas may all have forgotten something, while one is gone.
 */
export const handleElectLeaders: Handler<Apis['electLeaders']> = async (services, _context, request) => {
  const { electionType, topicPartitions, timeoutMs } = request
  const asked =
    topicPartitions === null
      ? null
      : distinct(topicPartitions.map(({ topic, partitions }) => [topic, partitions]))
  const election = elections[electionType]
  if (election === undefined) {
    const text = `there is no election of type ${electionType}`
    const { errorCode } = wireError(services, new EngineError('invalidRequest', text))
    return { errorCode, replicaElectionResults: [] }
  }
  const outcomes = await replicaChanges(services).electLeaders(election, asked, timeoutMs)
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

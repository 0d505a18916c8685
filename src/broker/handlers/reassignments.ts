import type { Outcome } from '../../controller/commands.ts'
import type { ClusterMetadata, Reassignment, TopicPartition } from '../../controller/metadata.ts'
import { EngineError } from '../../model/errors.ts'
import type { apiKeys } from '../../protocol/apiKeys.ts'
import type { Handler } from '../dispatch.ts'
import { type Services, wireError } from '../services.ts'
import { outcomesOf } from './changes.ts'

type Apis = typeof apiKeys

/** What `ClusterMetadata` knows of replicas. */
export type ReplicaChanges = Pick<
  ClusterMetadata,
  'alterPartitionReassignments' | 'listPartitionReassignments' | 'electLeaders'
>

/** Who changes replicas and leaders: the cluster's metadata, or rules for a broker that stands alone and cannot change any. */
export function replicaChanges({ controller, node }: Services): ReplicaChanges {
  if ('alterPartitionReassignments' in controller) return controller as ClusterMetadata
  const { image } = controller
  const requireKnown = ({ topic, partition }: TopicPartition): void => {
    if (image.topics.get(topic)?.partitions[partition] === undefined) {
      throw new EngineError('unknownTopicOrPartition', `there is no partition ${partition} of topic ${topic}`)
    }
  }
  return {
    alterPartitionReassignments: async (changes) =>
      changes.map((change) =>
        outcomeOf(() => {
          requireKnown(change)
          const { topic, partition, replicas } = change
          if (replicas === null) {
            const text = `the replicas of ${topic}-${partition} are not being changed`
            throw new EngineError('noReassignmentInProgress', text)
          }
          if (replicas.length !== 1 || replicas[0] !== node.nodeId) {
            throw new EngineError('invalidReplicaAssignment', `there is no broker but ${node.nodeId}`)
          }
        }),
      ),
    listPartitionReassignments: () => [],
    electLeaders: async (_election, partitions) =>
      (partitions ?? []).map((each) => ({
        ...each,
        outcome: outcomeOf(() => {
          requireKnown(each)
          throw new EngineError('electionNotNeeded', 'this broker leads already')
        }),
      })),
  }
}

function outcomeOf(check: () => void): Outcome<null> {
  try {
    check()
    return null
  } catch (error) {
    if (error instanceof EngineError) return error
    throw error
  }
}

/** AlterPartitionReassignments. */
export const handleAlterPartitionReassignments: Handler<Apis['alterPartitionReassignments']> = async (
  services,
  _context,
  { topics, allowReplicationFactorChange },
) => {
  const asked: Reassignment[] = topics.flatMap(({ name: topic, partitions }) =>
    partitions.map(({ partitionIndex: partition, replicas }) => ({ topic, partition, replicas })),
  )
  const refused = new Map<Reassignment, EngineError>()
  const seen = new Set<string>()
  for (const change of asked) {
    const key = `${change.partition} ${change.topic}`
    const text = seen.has(key) ? 'each partition may appear once' : null
    seen.add(key)
    if (text !== null) refused.set(change, new EngineError('invalidRequest', text))
    else if (!allowReplicationFactorChange && changesCount(services, change)) {
      const why = 'the reassignment changes the number of replicas, which was not allowed'
      refused.set(change, new EngineError('invalidReplicationFactor', why))
    }
  }
  const changes = asked.filter((change) => !refused.has(change))
  const change = replicaChanges(services).alterPartitionReassignments(changes)
  const outcomes = await outcomesOf(changes.length, change)
  for (const [index, change] of changes.entries()) {
    const outcome = outcomes[index]
    if (outcome instanceof EngineError) refused.set(change, outcome)
  }
  const each = asked.values()
  return {
    allowReplicationFactorChange,
    responses: topics.map(({ name, partitions }) => ({
      name,
      partitions: partitions.map(({ partitionIndex }) => {
        const error = refused.get(each.next().value!)
        return error === undefined
          ? { partitionIndex, errorCode: 0 }
          : { partitionIndex, ...wireError(services, error) }
      }),
    })),
  }
}

function changesCount({ controller }: Services, { topic, partition, replicas }: Reassignment): boolean {
  const known = controller.image.topics.get(topic)?.partitions[partition]
  if (known === undefined || replicas === null) return false
  return replicas.length !== known.replicas.length - known.addingReplicas.length
}

/** ListPartitionReassignments. */
export const handleListPartitionReassignments: Handler<Apis['listPartitionReassignments']> = (
  services,
  _context,
  { topics },
) => {
  const wanted =
    topics === null ? null : distinct(topics.map(({ name, partitionIndexes }) => [name, partitionIndexes]))
  const found = new Map<string, OngoingPartition[]>()
  for (const ongoing of replicaChanges(services).listPartitionReassignments(wanted)) {
    const { topic, partition: partitionIndex, replicas, adding, removing } = ongoing
    const entry = { partitionIndex, replicas, addingReplicas: adding, removingReplicas: removing }
    const entries = found.get(topic)
    if (entries === undefined) found.set(topic, [entry])
    else entries.push(entry)
  }
  return { topics: Array.from(found, ([name, partitions]) => ({ name, partitions })) }
}

interface OngoingPartition {
  readonly partitionIndex: number
  readonly replicas: readonly number[]
  readonly addingReplicas: readonly number[]
  readonly removingReplicas: readonly number[]
}

/** Each partition that is named, once. */
export function distinct(topics: readonly (readonly [string, readonly number[]])[]): TopicPartition[] {
  const byTopic = new Map<string, Set<number>>()
  for (const [topic, partitions] of topics) {
    const known = byTopic.get(topic) ?? new Set()
    byTopic.set(topic, known)
    for (const partition of partitions) known.add(partition)
  }
  return [...byTopic].flatMap(([topic, partitions]) =>
    Array.from(partitions, (partition) => ({ topic, partition })),
  )
}

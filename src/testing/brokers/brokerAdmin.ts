import type { Checks } from '../checks.ts'
import type { BrokerCounts } from './brokerCounts.ts'
import type { BrokerLink } from './brokerLink.ts'
import type { BrokerOperation } from './brokerOperations.ts'

/** Carries out what an administrator asks for. Rejects when nobody knows what became of it. */
export async function administer(
  link: BrokerLink,
  checks: Checks,
  counts: BrokerCounts,
  { kind, topic: number, partition, node, replicas }: BrokerOperation,
): Promise<void> {
  const { nodes } = link.world
  const name = `t${number}`
  const timeoutMs = 5000
  const ids = Array.from(
    { length: Math.min(replicas, nodes.size) },
    (_, at) => 1 + ((node - 1 + at) % nodes.size),
  )
  const known = link.topics.get(name)
  switch (kind) {
    case 'createTopic': {
      const topics = [{ name, numPartitions: 1 + (partition % 3), replicationFactor: ids.length }]
      const answer = await link.anybody('createTopics', { topics, timeoutMs }, timeoutMs)
      const { errorCode, topicId } = answer.topics[0]!
      if (errorCode !== 0) break
      if (counts.topicIds.has(topicId)) {
        checks.fail('I2', `${name} gets the id ${topicId} of a topic of earlier, whose logs may be left`)
      }
      counts.topicIds.add(topicId)
      break
    }
    case 'deleteTopic':
      counts.deletions++
      await link.anybody('deleteTopics', { topics: [{ name }], timeoutMs }, timeoutMs)
      break
    case 'createPartitions': {
      const count = (known?.partitions.length ?? 1) + 1
      if (count > 4) return
      await link.anybody('createPartitions', { topics: [{ name, count }], timeoutMs }, timeoutMs)
      break
    }
    case 'reassign': {
      await link.refresh()
      const now = link.topics.get(name)
      if (now === undefined) return
      const partitionIndex = partition % now.partitions.length
      const topics = [{ name, partitions: [{ partitionIndex, replicas: ids }] }]
      await link.anybody('alterPartitionReassignments', { topics, timeoutMs }, timeoutMs)
      break
    }
    case 'electLeaders':
      await link.anybody('electLeaders', { electionType: 0, topicPartitions: null, timeoutMs }, timeoutMs)
      break
  }
  counts.administered++
}

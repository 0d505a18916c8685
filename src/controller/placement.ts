import { EngineError } from '../model/errors.ts'
import type { Uuid } from '../model/uuid.ts'
import type { MetadataRecordInput } from '../protocol/metadataRecords/metadataRecord.ts'
import type { MetadataImage } from './image.ts'

/** The directory id that says: the broker may choose. Source: KIP-858. */
const unassignedDirectory: Uuid = 'AAAAAAAAAAAAAAAAAAAAAQ'

/**
 * Replicas for `count` partitions, the first of them numbered `firstPartition`: leaders go round the live
 * brokers in the order of their ids, followers are the next brokers. Throws `invalidReplicationFactor` when
 * there are fewer brokers than replicas.
 */
export function placeReplicas(
  image: MetadataImage,
  firstPartition: number,
  count: number,
  replicationFactor: number,
): readonly (readonly number[])[] {
  const brokers = [...image.brokers.values()].filter((broker) => !broker.fenced).map((broker) => broker.id)
  brokers.sort((a, b) => a - b)
  if (replicationFactor > brokers.length) {
    throw new EngineError(
      'invalidReplicationFactor',
      `Unable to replicate the partition ${replicationFactor} time(s): The target replication factor of ` +
        `${replicationFactor} cannot be reached because only ${brokers.length} broker(s) are registered.`,
    )
  }
  return Array.from({ length: count }, (_, index) =>
    Array.from(
      { length: replicationFactor },
      (_, replica) => brokers[(firstPartition + index + replica) % brokers.length]!,
    ),
  )
}

/**
 * Throws `invalidReplicaAssignment` unless `brokerIds` can hold a partition: at least one, none twice, all of
 * them registered, and as many as `expectedCount` (null: any number). Source: Kafka
 * `ReplicationControlManager.validateManualPartitionAssignment`.
 */
export function checkAssignment(
  image: MetadataImage,
  brokerIds: readonly number[],
  expectedCount: number | null,
): void {
  const fail = (text: string): never => {
    throw new EngineError('invalidReplicaAssignment', `The manual partition assignment includes ${text}`)
  }
  if (brokerIds.length === 0) fail('an empty replica list.')
  const seen = new Set<number>()
  for (const id of brokerIds) {
    if (!image.brokers.has(id)) fail(`broker ${id}, but no such broker is registered.`)
    if (seen.has(id)) fail(`the broker ${id} more than once.`)
    seen.add(id)
  }
  if (expectedCount !== null && brokerIds.length !== expectedCount) {
    fail(
      `a partition with ${brokerIds.length} replica(s), but this is not consistent with previous partitions, ` +
        `which have ${expectedCount} replica(s).`,
    )
  }
}

/** The record of a new partition: every replica in sync, the first one leading in epoch 0. */
export function newPartition(
  image: MetadataImage,
  topicId: Uuid,
  partition: number,
  replicas: readonly number[],
): MetadataRecordInput {
  return {
    type: 'partitionRecord',
    version: 1,
    partitionId: partition,
    topicId,
    replicas,
    isr: replicas,
    removingReplicas: [],
    addingReplicas: [],
    leader: replicas[0]!,
    leaderRecoveryState: 0,
    leaderEpoch: 0,
    partitionEpoch: 0,
    directories: replicas.map((id) => {
      const directories = image.brokers.get(id)?.directories ?? []
      return directories.length === 1 ? directories[0]! : unassignedDirectory
    }),
  }
}

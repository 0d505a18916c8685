import { EngineError } from '../model/errors.ts'
import type { Uuid } from '../model/uuid.ts'
import type { MetadataRecordInput } from '../protocol/metadataRecords/metadataRecord.ts'
import type { BrokerImage, MetadataImage } from './image.ts'

/** The directory id that says: the broker may choose. Source: KIP-858. */
const unassignedDirectory: Uuid = 'AAAAAAAAAAAAAAAAAAAAAQ'

interface Candidate {
  readonly broker: BrokerImage
  /** Its place in the order of ids. */
  readonly position: number
  /** Partitions whose first replica it is. */
  leaders: number
  replicas: number
}

/**
 * Chooses replicas for new partitions, those of one request after each other: the first replica, which is to lead, on the broker
 * that leads least so far, the others in racks that have none yet, on brokers that hold least. Brokers that are alike take turns,
 * and from lap to lap other brokers follow, so that the load of one that is lost is shared by all.
 */
export class Placer {
  readonly #candidates: readonly Candidate[]
  #first = 0

  /** Fenced brokers and those that are shutting down get nothing. */
  constructor(image: MetadataImage) {
    const live = [...image.brokers.values()].filter(
      (broker) => !broker.fenced && !broker.inControlledShutdown,
    )
    live.sort((a, b) => a.id - b.id)
    this.#candidates = live.map((broker, position) => ({ broker, position, leaders: 0, replicas: 0 }))
    if (live.length < 2) return
    const byId = new Map(this.#candidates.map((candidate) => [candidate.broker.id, candidate]))
    for (const { partitions } of image.topics.values()) {
      for (const { replicas } of partitions) {
        for (let index = 0; index < replicas.length; index++) {
          const candidate = byId.get(replicas[index]!)
          if (candidate === undefined) continue
          candidate.replicas++
          if (index === 0) candidate.leaders++
        }
      }
    }
  }

  /** Replicas for `count` partitions. Throws `invalidReplicationFactor` when there are fewer brokers than replicas. */
  place(count: number, replicationFactor: number): readonly (readonly number[])[] {
    const { length } = this.#candidates
    if (replicationFactor > length) {
      throw new EngineError(
        'invalidReplicationFactor',
        `Unable to replicate the partition ${replicationFactor} time(s): The target replication factor of ` +
          `${replicationFactor} cannot be reached because only ${length} broker(s) are registered.`,
      )
    }
    return Array.from({ length: count }, () => this.#placeOne(replicationFactor))
  }

  #placeOne(replicationFactor: number): readonly number[] {
    const { length } = this.#candidates
    const turn = ({ position }: Candidate, from: number): number => (position - from + 2 * length) % length
    const leader = least(this.#candidates, (candidate) => [candidate.leaders, turn(candidate, this.#first)])
    this.#first = (leader.position + 1) % length
    const chosen = [leader]
    const racks = new Set([leader.broker.rack])
    const from = leader.position + 1 + (leader.leaders % Math.max(1, length - 1))
    while (chosen.length < replicationFactor) {
      const rest = this.#candidates.filter((candidate) => !chosen.includes(candidate))
      const next = least(rest, (candidate) => {
        const isRackUsed = candidate.broker.rack !== null && racks.has(candidate.broker.rack)
        return [isRackUsed ? 1 : 0, candidate.replicas, turn(candidate, from % length)]
      })
      chosen.push(next)
      racks.add(next.broker.rack)
    }
    leader.leaders++
    for (const candidate of chosen) candidate.replicas++
    return chosen.map(({ broker }) => broker.id)
  }
}

/** The one whose key is the least, number by number. */
function least(
  candidates: readonly Candidate[],
  keyOf: (candidate: Candidate) => readonly number[],
): Candidate {
  let best = candidates[0]!
  let bestKey = keyOf(best)
  for (const candidate of candidates) {
    const key = keyOf(candidate)
    const at = key.findIndex((number, index) => number !== bestKey[index])
    if (at < 0 || key[at]! > bestKey[at]!) continue
    best = candidate
    bestKey = key
  }
  return best
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

/**
 * The record of a new partition, every replica in sync: led by the first one in epoch 0, or, where groups elect (`elects`), by
 * nobody yet.
 */
export function newPartition(
  image: MetadataImage,
  topicId: Uuid,
  partition: number,
  replicas: readonly number[],
  elects = false,
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
    leader: elects ? -1 : replicas[0]!,
    leaderRecoveryState: 0,
    leaderEpoch: 0,
    partitionEpoch: 0,
    directories: replicas.map((id) => directoryOf(image, id)),
  }
}

/** The directory in which broker `id` keeps its replicas. */
export function directoryOf(image: MetadataImage, id: number): Uuid {
  const directories = image.brokers.get(id)?.directories ?? []
  return directories.length === 1 ? directories[0]! : unassignedDirectory
}

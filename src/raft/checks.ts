import type { EngineErrorName } from '../model/errors.ts'
import type { RaftReplica } from './raftReplica.ts'
import { fitsReplica, type ReplicaKey } from './replicaKey.ts'

const largestEpoch = 2 ** 31 - 1

/** Whether a number from outside can be an epoch: Kafka's is an int32. */
export function isEpoch(value: number): boolean {
  return Number.isSafeInteger(value) && value >= 0 && value <= largestEpoch
}

/** Whether a number from outside can be an offset. */
export function isOffset(value: number): boolean {
  return Number.isSafeInteger(value) && value >= 0
}

/** Whether a number from outside can be the id of a node. */
export function isNodeId(value: number): boolean {
  return Number.isSafeInteger(value) && value >= 0 && value <= largestEpoch
}

/** What is wrong with where a request comes from, or whom it is for; null when nothing is. */
export function checkAddress(
  r: RaftReplica,
  clusterId: string | null,
  addressee: ReplicaKey | null,
): EngineErrorName | null {
  if (clusterId !== null && r.config.clusterId !== null && clusterId !== r.config.clusterId) {
    return 'inconsistentClusterId'
  }
  return addressee !== null && !fitsReplica(addressee, r.config.self) ? 'invalidVoterKey' : null
}

/** What is wrong with the epoch of a request to a leader; null when it is the own one and this replica leads. */
export function checkLeaderEpoch(r: RaftReplica, epoch: number): EngineErrorName | null {
  if (!isEpoch(epoch)) return 'invalidRequest'
  if (epoch < r.epoch) return 'fencedLeaderEpoch'
  if (epoch > r.epoch) return 'unknownLeaderEpoch'
  return r.state.name === 'leader' ? null : 'notLeaderOrFollower'
}

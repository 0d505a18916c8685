import { type Uuid, zeroUuid } from '../model/uuid.ts'

/**
 * Who a replica is: its node and the directory that holds its log. A node with a new disk is another replica.
 * `zeroUuid` stands for a directory that nobody knows yet, as in a static voter set. Source: KIP-853.
 */
export interface ReplicaKey {
  readonly id: number
  readonly directoryId: Uuid
}

/** Whether both are one replica. */
export function sameReplica(a: ReplicaKey, b: ReplicaKey): boolean {
  return a.id === b.id && a.directoryId === b.directoryId
}

/** Whether `key` may be the replica that `known` stands for; a directory that is not known fits every one. */
export function fitsReplica(known: ReplicaKey, key: ReplicaKey): boolean {
  return known.id === key.id && (known.directoryId === zeroUuid || known.directoryId === key.directoryId)
}

/** A map key for a replica. */
export function replicaText({ id, directoryId }: ReplicaKey): string {
  return `${id}/${directoryId}`
}

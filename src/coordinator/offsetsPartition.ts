/**
 * The partition of `__consumer_offsets` that a group lives on: Java's String.hashCode modulo the number of
 * partitions. Source: Kafka's `partitionFor`; clients do not depend on it, tools do.
 */
export function offsetsPartition(groupId: string, partitionCount: number): number {
  let hash = 0
  for (let index = 0; index < groupId.length; index++)
    hash = (Math.imul(hash, 31) + groupId.charCodeAt(index)) | 0
  // As Kafka's Utils.abs: the smallest int32 has no positive twin and counts as 0.
  return hash === -0x8000_0000 ? 0 : Math.abs(hash) % partitionCount
}

import { privateTag } from '../apis/quorumFields.ts'
import { array, int8, int32, message, nullableArray, string, uuid } from '../schema.ts'

/** A topic exists under this name and id. Source: KIP-631. */
export const topicRecord = message(
  2,
  { valid: '0', flexible: '0+' },
  {
    name: string('0+'),
    topicId: uuid('0+'),
  },
)

/** A topic and its partitions are gone. */
export const removeTopicRecord = message(
  9,
  { valid: '0', flexible: '0+' },
  {
    topicId: uuid('0+'),
  },
)

/**
 * A partition and who holds it. Source: KIP-631, KIP-858 (directories), KIP-966 (eligible leader replicas).
 */
export const partitionRecord = message(
  3,
  { valid: '0-2', flexible: '0+' },
  {
    partitionId: int32('0+', { default: -1 }),
    topicId: uuid('0+'),
    replicas: array('0+', 'int32'),
    isr: array('0+', 'int32'),
    removingReplicas: array('0+', 'int32'),
    addingReplicas: array('0+', 'int32'),
    leader: int32('0+', { default: -1 }),
    leaderRecoveryState: int8('0+', { tag: 0 }), // 1 after an unclean election. KIP-704.
    leaderEpoch: int32('0+', { default: -1 }),
    partitionEpoch: int32('0+', { default: -1 }),
    directories: array('1+', 'uuid'), // KIP-858.
    eligibleLeaderReplicas: nullableArray('2+', 'int32', { default: null, tag: 1 }), // KIP-966.
    lastKnownElr: nullableArray('2+', 'int32', { default: null, tag: 2 }),
  },
)

/** What changed in a partition; a field left out is unchanged. Source: KIP-631, KIP-858, KIP-966. */
export const partitionChangeRecord = message(
  5,
  { valid: '0-2', flexible: '0+' },
  {
    partitionId: int32('0+', { default: -1 }),
    topicId: uuid('0+'),
    isr: nullableArray('0+', 'int32', { default: null, tag: 0 }),
    leader: int32('0+', { default: -2, tag: 1 }), // -1: none, -2: unchanged.
    replicas: nullableArray('0+', 'int32', { default: null, tag: 2 }),
    removingReplicas: nullableArray('0+', 'int32', { default: null, tag: 3 }),
    addingReplicas: nullableArray('0+', 'int32', { default: null, tag: 4 }),
    leaderRecoveryState: int8('0+', { default: -1, tag: 5 }), // -1: unchanged. KIP-704.
    directories: nullableArray('1+', 'uuid', { default: null, tag: 8 }), // KIP-858.
    eligibleLeaderReplicas: nullableArray('2+', 'int32', { default: null, tag: 6 }), // KIP-966.
    lastKnownElr: nullableArray('2+', 'int32', { default: null, tag: 7 }),
    // Private: the epoch of the group that has elected the leader; -1 where Kafka's rule holds.
    leaderEpoch: int32('0+', { default: -1, tag: privateTag }),
  },
)

/**
 * The eligible leader replicas of a topic, or of all where the name is empty, are forgotten. Source:
 * KIP-966.
 */
export const clearElrRecord = message(
  28,
  { valid: '0', flexible: '0+' },
  {
    topicName: string('0+'),
  },
)

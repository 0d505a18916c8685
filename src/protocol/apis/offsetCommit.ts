import { array, int16, int32, int64, message, nullableString, string, uuid } from '../schema.ts'

/**
 * Stores how far a group has read. Source: KIP-211 (retention), KIP-320 (leader epochs), KIP-848 (member
 * epochs).
 */
export const offsetCommitRequest = message(
  8,
  { valid: '2-10', flexible: '8+' },
  {
    groupId: string('0+'),
    // -1 for a group without members. KIP-848.
    generationIdOrMemberEpoch: int32('1+', { default: -1, ignorable: true }),
    memberId: string('1+', { ignorable: true }),
    groupInstanceId: nullableString('7+', { default: null }), // KIP-345.
    // -1: as long as the broker keeps offsets. KIP-211.
    retentionTimeMs: int64('2-4', { default: -1, ignorable: true }),
    topics: array('0+', {
      name: string('0-9', { ignorable: true }),
      topicId: uuid('10+', { ignorable: true }), // KIP-516.
      partitions: array('0+', {
        partitionIndex: int32('0+'),
        committedOffset: int64('0+'),
        committedLeaderEpoch: int32('6+', { default: -1, ignorable: true }), // KIP-320.
        committedMetadata: nullableString('0+'),
      }),
    }),
  },
)

/** Whether each offset was stored. */
export const offsetCommitResponse = message(
  8,
  { valid: '2-10', flexible: '8+' },
  {
    throttleTimeMs: int32('3+', { ignorable: true }),
    topics: array('0+', {
      name: string('0-9', { ignorable: true }),
      topicId: uuid('10+', { ignorable: true }), // KIP-516.
      partitions: array('0+', {
        partitionIndex: int32('0+'),
        errorCode: int16('0+'),
      }),
    }),
  },
)

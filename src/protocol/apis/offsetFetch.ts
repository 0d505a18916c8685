import {
  array,
  bool,
  int16,
  int32,
  int64,
  message,
  nullableArray,
  nullableString,
  string,
  uuid,
} from '../schema.ts'

/**
 * Asks how far a group has read; null topics ask for all. Several groups at once from version 8 on
 * (KIP-709).
 */
export const offsetFetchRequest = message(
  9,
  { valid: '1-10', flexible: '6+' },
  {
    groupId: string('0-7'),
    topics: nullableArray(
      '0-7',
      {
        name: string('0-7'),
        partitionIndexes: array('0-7', 'int32'),
      },
      { nullable: '2-7' },
    ),
    // KIP-709.
    groups: array('8+', {
      groupId: string('8+'),
      memberId: nullableString('9+', { default: null, ignorable: true }), // KIP-848.
      memberEpoch: int32('9+', { default: -1, ignorable: true }),
      topics: nullableArray('8+', {
        name: string('8-9', { ignorable: true }),
        topicId: uuid('10+', { ignorable: true }), // KIP-516.
        partitionIndexes: array('8+', 'int32'),
      }),
    }),
    requireStable: bool('7+'), // KIP-447.
  },
)

/**
 * The stored offsets; -1 for a partition that has none. Source: KIP-447 (stable offsets), KIP-709 (several
 * groups).
 */
export const offsetFetchResponse = message(
  9,
  { valid: '1-10', flexible: '6+' },
  {
    throttleTimeMs: int32('3+', { ignorable: true }),
    topics: array('0-7', {
      name: string('0-7'),
      partitions: array('0-7', {
        partitionIndex: int32('0-7'),
        committedOffset: int64('0-7'),
        committedLeaderEpoch: int32('5-7', { default: -1, ignorable: true }), // KIP-320.
        metadata: nullableString('0-7'),
        errorCode: int16('0-7'),
      }),
    }),
    errorCode: int16('2-7', { ignorable: true }),
    // KIP-709.
    groups: array('8+', {
      groupId: string('8+'),
      topics: array('8+', {
        name: string('8-9', { ignorable: true }),
        topicId: uuid('10+', { ignorable: true }), // KIP-516.
        partitions: array('8+', {
          partitionIndex: int32('8+'),
          committedOffset: int64('8+'),
          committedLeaderEpoch: int32('8+', { default: -1, ignorable: true }),
          metadata: nullableString('8+'),
          errorCode: int16('8+'),
        }),
      }),
      errorCode: int16('8+'),
    }),
  },
)

import {
  array,
  bool,
  int16,
  int32,
  message,
  nullableArray,
  nullableString,
  nullableStruct,
  string,
  uuid,
} from '../schema.ts'

/** Describes topics, a bounded number of partitions at a time; no topics mean all. Source: KIP-966. */
export const describeTopicPartitionsRequest = message(
  75,
  { valid: '0', flexible: '0+' },
  {
    topics: array('0+', { name: string('0+') }),
    responsePartitionLimit: int32('0+', { default: 2000 }),
    cursor: nullableStruct('0+', { topicName: string('0+'), partitionIndex: int32('0+') }, { default: null }),
  },
)

/** The partitions, and where to go on. */
export const describeTopicPartitionsResponse = message(
  75,
  { valid: '0', flexible: '0+' },
  {
    throttleTimeMs: int32('0+', { ignorable: true }),
    topics: array('0+', {
      errorCode: int16('0+'),
      name: nullableString('0+'),
      topicId: uuid('0+', { ignorable: true }),
      isInternal: bool('0+', { ignorable: true }),
      partitions: array('0+', {
        errorCode: int16('0+'),
        partitionIndex: int32('0+'),
        leaderId: int32('0+'),
        leaderEpoch: int32('0+', { default: -1, ignorable: true }),
        replicaNodes: array('0+', 'int32'),
        isrNodes: array('0+', 'int32'),
        eligibleLeaderReplicas: nullableArray('0+', 'int32', { default: null }),
        lastKnownElr: nullableArray('0+', 'int32', { default: null }),
        offlineReplicas: array('0+', 'int32', { ignorable: true }),
      }),
      topicAuthorizedOperations: int32('0+', { default: -0x8000_0000 }), // -2^31: not asked for.
    }),
    nextCursor: nullableStruct(
      '0+',
      { topicName: string('0+'), partitionIndex: int32('0+') },
      { default: null },
    ),
  },
)

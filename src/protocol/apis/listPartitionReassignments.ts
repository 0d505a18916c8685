import { array, int16, int32, message, nullableArray, nullableString, string } from '../schema.ts'

/** Asks which partitions change their replicas; null topics mean all. Source: KIP-455. */
export const listPartitionReassignmentsRequest = message(
  46,
  { valid: '0', flexible: '0+' },
  {
    timeoutMs: int32('0+', { default: 60000 }),
    topics: nullableArray(
      '0+',
      { name: string('0+'), partitionIndexes: array('0+', 'int32') },
      { default: null },
    ),
  },
)

/** The replicas of each partition that changes them, and which of them come and go. */
export const listPartitionReassignmentsResponse = message(
  46,
  { valid: '0', flexible: '0+' },
  {
    throttleTimeMs: int32('0+'),
    errorCode: int16('0+'),
    errorMessage: nullableString('0+', { default: null }),
    topics: array('0+', {
      name: string('0+'),
      partitions: array('0+', {
        partitionIndex: int32('0+'),
        replicas: array('0+', 'int32'),
        addingReplicas: array('0+', 'int32'),
        removingReplicas: array('0+', 'int32'),
      }),
    }),
  },
)

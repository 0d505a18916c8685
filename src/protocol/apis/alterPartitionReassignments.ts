import { array, bool, int16, int32, message, nullableArray, nullableString, string } from '../schema.ts'

/** Says which replicas partitions are to have; null takes back what is under way. Source: KIP-455, KIP-860. */
export const alterPartitionReassignmentsRequest = message(
  45,
  { valid: '0-1', flexible: '0+' },
  {
    timeoutMs: int32('0+', { default: 60000 }),
    allowReplicationFactorChange: bool('1+', { default: true }), // KIP-860.
    topics: array('0+', {
      name: string('0+'),
      partitions: array('0+', {
        partitionIndex: int32('0+'),
        replicas: nullableArray('0+', 'int32', { default: null }),
      }),
    }),
  },
)

/** Whether each partition is being reassigned. */
export const alterPartitionReassignmentsResponse = message(
  45,
  { valid: '0-1', flexible: '0+' },
  {
    throttleTimeMs: int32('0+'),
    allowReplicationFactorChange: bool('1+', { default: true, ignorable: true }), // KIP-860.
    errorCode: int16('0+'),
    errorMessage: nullableString('0+', { default: null }),
    responses: array('0+', {
      name: string('0+'),
      partitions: array('0+', {
        partitionIndex: int32('0+'),
        errorCode: int16('0+'),
        errorMessage: nullableString('0+', { default: null }),
      }),
    }),
  },
)

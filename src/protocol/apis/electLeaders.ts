import { array, int8, int16, int32, message, nullableArray, nullableString, string } from '../schema.ts'

/** Has the controller elect leaders; null partitions mean all. Source: KIP-183, KIP-460. */
export const electLeadersRequest = message(
  43,
  { valid: '0-2', flexible: '2+' },
  {
    electionType: int8('1+'), // 0: preferred, 1: unclean.
    topicPartitions: nullableArray('0+', {
      topic: string('0+'),
      partitions: array('0+', 'int32'),
    }),
    timeoutMs: int32('0+', { default: 60000 }),
  },
)

/** Whether each partition has elected a leader. */
export const electLeadersResponse = message(
  43,
  { valid: '0-2', flexible: '2+' },
  {
    throttleTimeMs: int32('0+'),
    errorCode: int16('1+'),
    replicaElectionResults: array('0+', {
      topic: string('0+'),
      partitionResult: array('0+', {
        partitionId: int32('0+'),
        errorCode: int16('0+'),
        errorMessage: nullableString('0+'),
      }),
    }),
  },
)

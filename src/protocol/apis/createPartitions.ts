import { array, bool, int16, int32, message, nullableArray, nullableString, string } from '../schema.ts'

/** Raises the number of partitions of topics. Source: KIP-195. */
export const createPartitionsRequest = message(
  37,
  { valid: '0-3', flexible: '2+' },
  {
    topics: array('0+', {
      name: string('0+'),
      count: int32('0+'),
      assignments: nullableArray('0+', {
        brokerIds: array('0+', 'int32'),
      }),
    }),
    timeoutMs: int32('0+'),
    validateOnly: bool('0+'),
  },
)

/** Whether each topic has its new partitions. */
export const createPartitionsResponse = message(
  37,
  { valid: '0-3', flexible: '2+' },
  {
    throttleTimeMs: int32('0+'),
    results: array('0+', {
      name: string('0+'),
      errorCode: int16('0+'),
      errorMessage: nullableString('0+', { default: null }),
    }),
  },
)

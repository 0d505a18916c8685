import { array, int16, int32, message, nullableString, uuid } from '../schema.ts'

/** Deletes topics, by name or, from version 6 on, by id. Source: KIP-4, KIP-516. */
export const deleteTopicsRequest = message(
  20,
  { valid: '1-6', flexible: '4+' },
  {
    // KIP-516.
    topics: array('6+', {
      name: nullableString('6+', { default: null }),
      topicId: uuid('6+'),
    }),
    topicNames: array('0-5', 'string', { ignorable: true }),
    timeoutMs: int32('0+'),
  },
)

/** Whether each topic was deleted. */
export const deleteTopicsResponse = message(
  20,
  { valid: '1-6', flexible: '4+' },
  {
    throttleTimeMs: int32('1+', { ignorable: true }),
    responses: array('0+', {
      name: nullableString('0+', { nullable: '6+' }),
      topicId: uuid('6+', { ignorable: true }),
      errorCode: int16('0+'),
      errorMessage: nullableString('5+', { default: null, ignorable: true }), // KIP-599.
    }),
  },
)

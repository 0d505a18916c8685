import {
  array,
  bool,
  int8,
  int16,
  int32,
  message,
  nullableArray,
  nullableString,
  string,
  uuid,
} from '../schema.ts'

/** Creates topics. Source: KIP-4, KIP-464 (defaults for -1). */
export const createTopicsRequest = message(
  19,
  { valid: '2-7', flexible: '5+' },
  {
    topics: array('0+', {
      name: string('0+'),
      numPartitions: int32('0+'), // -1: the cluster's default, or as `assignments` say. KIP-464.
      replicationFactor: int16('0+'),
      assignments: array('0+', {
        partitionIndex: int32('0+'),
        brokerIds: array('0+', 'int32'),
      }),
      configs: array('0+', {
        name: string('0+'),
        value: nullableString('0+'),
      }),
    }),
    timeoutMs: int32('0+', { default: 60000 }),
    validateOnly: bool('1+'),
  },
)

/** Whether each topic was created, and as what. Source: KIP-525 (configs), KIP-516 (topic ids). */
export const createTopicsResponse = message(
  19,
  { valid: '2-7', flexible: '5+' },
  {
    throttleTimeMs: int32('2+', { ignorable: true }),
    topics: array('0+', {
      name: string('0+'),
      topicId: uuid('7+', { ignorable: true }), // KIP-516.
      errorCode: int16('0+'),
      errorMessage: nullableString('1+', { ignorable: true }),
      topicConfigErrorCode: int16('5+', { tag: 0, ignorable: true }), // KIP-525.
      numPartitions: int32('5+', { default: -1, ignorable: true }),
      replicationFactor: int16('5+', { default: -1, ignorable: true }),
      // KIP-525.
      configs: nullableArray(
        '5+',
        {
          name: string('5+'),
          value: nullableString('5+'),
          readOnly: bool('5+'),
          configSource: int8('5+', { default: -1, ignorable: true }),
          isSensitive: bool('5+'),
        },
        { ignorable: true },
      ),
    }),
  },
)

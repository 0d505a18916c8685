import {
  array,
  int16,
  int32,
  int64,
  message,
  nullableRecords,
  nullableString,
  string,
  struct,
  uuid,
} from '../schema.ts'

/** Appends one batch to each of some partitions. Source: KIP-98 (idempotence), KIP-516 (topic ids). */
export const produceRequest = message(
  0,
  { valid: '3-13', flexible: '9+' },
  {
    transactionalId: nullableString('3+', { default: null }),
    acks: int16('0+'), // 0: no response at all; 1: appended by the leader; -1: by every in-sync replica.
    timeoutMs: int32('0+'),
    topicData: array('0+', {
      name: string('0-12', { ignorable: true }),
      topicId: uuid('13+', { ignorable: true }), // KIP-516.
      partitionData: array('0+', {
        index: int32('0+'),
        records: nullableRecords('0+'),
      }),
    }),
  },
)

/** Where each batch was appended, or why not. Source: KIP-467 (record errors), KIP-951 (current leader). */
export const produceResponse = message(
  0,
  { valid: '3-13', flexible: '9+' },
  {
    responses: array('0+', {
      name: string('0-12', { ignorable: true }),
      topicId: uuid('13+', { ignorable: true }),
      partitionResponses: array('0+', {
        index: int32('0+'),
        errorCode: int16('0+'),
        baseOffset: int64('0+'),
        // -1 unless the topic stamps records with the time of the append.
        logAppendTimeMs: int64('2+', { default: -1, ignorable: true }),
        logStartOffset: int64('5+', { default: -1, ignorable: true }),
        // KIP-467.
        recordErrors: array(
          '8+',
          {
            batchIndex: int32('8+'),
            batchIndexErrorMessage: nullableString('8+', { default: null }),
          },
          { ignorable: true },
        ),
        errorMessage: nullableString('8+', { default: null, ignorable: true }),
        // KIP-951.
        currentLeader: struct(
          '10+',
          {
            leaderId: int32('10+', { default: -1 }),
            leaderEpoch: int32('10+', { default: -1 }),
          },
          { tag: 0 },
        ),
      }),
    }),
    throttleTimeMs: int32('1+', { ignorable: true }),
    // KIP-951.
    nodeEndpoints: array(
      '10+',
      {
        nodeId: int32('10+'),
        host: string('10+'),
        port: int32('10+'),
        rack: nullableString('10+', { default: null }),
      },
      { tag: 0 },
    ),
  },
)

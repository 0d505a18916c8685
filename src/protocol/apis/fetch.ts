import {
  array,
  int8,
  int16,
  int32,
  int64,
  message,
  nullableArray,
  nullableRecords,
  nullableString,
  nullableStruct,
  string,
  struct,
  uuid,
} from '../schema.ts'
import { fetchRequestFields, fetchResponseFields, incarnationFields, privateTag } from './quorumFields.ts'

/**
 * Reads batches from partitions, waiting for `minBytes` up to `maxWaitMs`. Source: KIP-74, KIP-227
 * (sessions), KIP-595 (Raft).
 */
export const fetchRequest = message(
  1,
  { valid: '4-18', flexible: '12+' },
  {
    clusterId: nullableString('12+', { default: null, tag: 0, ignorable: true }), // KIP-595.
    replicaId: int32('0-14', { default: -1 }),
    // KIP-903.
    replicaState: struct(
      '15+',
      {
        replicaId: int32('15+', { default: -1 }),
        replicaEpoch: int64('15+', { default: -1 }),
      },
      { tag: 1 },
    ),
    maxWaitMs: int32('0+'),
    minBytes: int32('0+'),
    maxBytes: int32('3+', { default: 0x7fff_ffff, ignorable: true }),
    isolationLevel: int8('4+', { ignorable: true }), // 0: read_uncommitted, 1: read_committed. KIP-98.
    sessionId: int32('7+', { ignorable: true }), // KIP-227.
    sessionEpoch: int32('7+', { default: -1, ignorable: true }),
    topics: array('0+', {
      topic: string('0-12', { ignorable: true }),
      topicId: uuid('13+', { ignorable: true }), // KIP-516.
      partitions: array('0+', {
        partition: int32('0+'),
        currentLeaderEpoch: int32('9+', { default: -1, ignorable: true }), // KIP-320.
        fetchOffset: int64('0+'),
        lastFetchedEpoch: int32('12+', { default: -1 }), // KIP-595.
        logStartOffset: int64('5+', { default: -1, ignorable: true }),
        partitionMaxBytes: int32('0+'),
        replicaDirectoryId: uuid('17+', { tag: 0, ignorable: true }), // KIP-853.
        // KIP-1166. Kafka's default is 2^63 - 1, which stands for unknown; so does this one.
        highWatermark: int64('18+', { default: Number.MAX_SAFE_INTEGER, tag: 1, ignorable: true }),
        // Private. A session remembers the start of a replica, which need not come with every Fetch.
        own: nullableStruct(
          '17+',
          {
            ...fetchRequestFields,
            incarnation: nullableStruct('0+', incarnationFields, { default: null }),
          },
          { default: null, tag: privateTag, ignorable: true },
        ),
      }),
    }),
    // KIP-227.
    forgottenTopicsData: array('7+', {
      topic: string('7-12', { ignorable: true }),
      topicId: uuid('13+', { ignorable: true }),
      partitions: array('7+', 'int32'),
    }),
    rackId: string('11+', { ignorable: true }), // KIP-392.
  },
)

/**
 * Batches per partition, with the offsets a reader needs. Source: KIP-74, KIP-227, KIP-392 (preferred
 * replica), KIP-595.
 */
export const fetchResponse = message(
  1,
  { valid: '4-18', flexible: '12+' },
  {
    throttleTimeMs: int32('1+', { ignorable: true }),
    errorCode: int16('7+', { ignorable: true }),
    sessionId: int32('7+'), // KIP-227.
    responses: array('0+', {
      topic: string('0-12', { ignorable: true }),
      topicId: uuid('13+', { ignorable: true }), // KIP-516.
      partitions: array('0+', {
        partitionIndex: int32('0+'),
        errorCode: int16('0+'),
        highWatermark: int64('0+'),
        lastStableOffset: int64('4+', { default: -1, ignorable: true }), // KIP-98.
        logStartOffset: int64('5+', { default: -1, ignorable: true }),
        // KIP-595.
        divergingEpoch: struct(
          '12+',
          {
            epoch: int32('12+', { default: -1 }),
            endOffset: int64('12+', { default: -1 }),
          },
          { tag: 0 },
        ),
        currentLeader: struct(
          '12+',
          {
            leaderId: int32('12+', { default: -1 }),
            leaderEpoch: int32('12+', { default: -1 }),
          },
          { tag: 1 },
        ),
        // KIP-630.
        snapshotId: struct(
          '12+',
          {
            endOffset: int64('0+', { default: -1 }),
            epoch: int32('0+', { default: -1 }),
          },
          { tag: 2 },
        ),
        abortedTransactions: nullableArray(
          '4+',
          {
            producerId: int64('4+'),
            firstOffset: int64('4+'),
          },
          { ignorable: true },
        ),
        preferredReadReplica: int32('11+', { default: -1 }), // KIP-392.
        records: nullableRecords('0+'),
        // Private.
        own: nullableStruct(
          '17+',
          {
            ...fetchResponseFields,
            recorded: nullableStruct('0+', incarnationFields, { default: null }),
          },
          { default: null, tag: privateTag, ignorable: true },
        ),
      }),
    }),
    // KIP-951.
    nodeEndpoints: array(
      '16+',
      {
        nodeId: int32('16+'),
        host: string('16+'),
        port: int32('16+'),
        rack: nullableString('16+', { default: null }),
      },
      { tag: 0 },
    ),
  },
)

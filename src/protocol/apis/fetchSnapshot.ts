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
import { nodeEndpointFields, privateTag } from './quorumFields.ts'

/** Asks for bytes of snapshots from a position on. Source: KIP-630, KIP-853 (directories). */
export const fetchSnapshotRequest = message(
  59,
  { valid: '0-1', flexible: '0+' },
  {
    clusterId: nullableString('0+', { default: null, tag: 0 }),
    replicaId: int32('0+', { default: -1 }),
    maxBytes: int32('0+', { default: 0x7fff_ffff }),
    topics: array('0+', {
      name: string('0+'),
      partitions: array('0+', {
        partition: int32('0+'),
        currentLeaderEpoch: int32('0+'),
        snapshotId: struct('0+', {
          endOffset: int64('0+'),
          epoch: int32('0+'),
        }),
        position: int64('0+'),
        replicaDirectoryId: uuid('1+', { tag: 0, ignorable: true }),
      }),
      topicId: uuid('1+', { tag: privateTag, ignorable: true }), // Private.
    }),
  },
)

/** The bytes, and how many the whole snapshot has. They need not end with a batch. */
export const fetchSnapshotResponse = message(
  59,
  { valid: '0-1', flexible: '0+' },
  {
    throttleTimeMs: int32('0+', { ignorable: true }),
    errorCode: int16('0+'),
    topics: array('0+', {
      name: string('0+'),
      partitions: array('0+', {
        index: int32('0+'),
        errorCode: int16('0+'),
        snapshotId: struct('0+', {
          endOffset: int64('0+'),
          epoch: int32('0+'),
        }),
        currentLeader: struct(
          '0+',
          {
            leaderId: int32('0+'),
            leaderEpoch: int32('0+'),
          },
          { tag: 0 },
        ),
        size: int64('0+'),
        position: int64('0+'),
        // Never null on the wire.
        unalignedRecords: nullableRecords('0+', { nullable: 'none' }),
      }),
      topicId: uuid('1+', { tag: privateTag, ignorable: true }), // Private.
    }),
    nodeEndpoints: array('1+', nodeEndpointFields, { tag: 0 }),
  },
)

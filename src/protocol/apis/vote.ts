import {
  array,
  bool,
  int16,
  int32,
  int64,
  message,
  nullableString,
  nullableStruct,
  string,
  struct,
  uuid,
} from '../schema.ts'
import { incarnationFields, nodeEndpointFields, privateTag } from './quorumFields.ts'

/** Asks for votes in several groups. Source: KIP-595, KIP-853 (directories), KIP-996 (pre-vote). */
export const voteRequest = message(
  52,
  { valid: '0-2', flexible: '0+' },
  {
    clusterId: nullableString('0+', { default: null }),
    voterId: int32('1+', { default: -1, ignorable: true }),
    topics: array('0+', {
      topicName: string('0+'),
      partitions: array('0+', {
        partitionIndex: int32('0+'),
        replicaEpoch: int32('0+'),
        replicaId: int32('0+'),
        replicaDirectoryId: uuid('1+', { ignorable: true }),
        voterDirectoryId: uuid('1+', { ignorable: true }),
        lastOffsetEpoch: int32('0+'),
        lastOffset: int64('0+'),
        preVote: bool('2+'),
        own: nullableStruct(
          '2+',
          {
            votersVersion: int32('0+'),
            incarnation: struct('0+', incarnationFields),
          },
          { default: null, tag: privateTag, ignorable: true },
        ),
      }),
      topicId: uuid('2+', { tag: privateTag, ignorable: true }), // Private.
    }),
  },
)

/** The votes, or who leads. */
export const voteResponse = message(
  52,
  { valid: '0-2', flexible: '0+' },
  {
    errorCode: int16('0+'),
    topics: array('0+', {
      topicName: string('0+'),
      partitions: array('0+', {
        partitionIndex: int32('0+'),
        errorCode: int16('0+'),
        leaderId: int32('0+'),
        leaderEpoch: int32('0+'),
        voteGranted: bool('0+'),
        own: nullableStruct(
          '2+',
          {
            quarantined: bool('0+'),
            recorded: nullableStruct('0+', incarnationFields, { default: null }),
          },
          { default: null, tag: privateTag, ignorable: true },
        ),
      }),
      topicId: uuid('2+', { tag: privateTag, ignorable: true }), // Private.
    }),
    nodeEndpoints: array('1+', nodeEndpointFields, { tag: 0 }),
  },
)

import { array, int16, int32, int64, message, nullableString, string, uuid } from '../schema.ts'
import { listenerFields } from './quorumFields.ts'

const replicaStateFields = {
  replicaId: int32('0+'),
  replicaDirectoryId: uuid('2+'),
  logEndOffset: int64('0+'),
  lastFetchTimestamp: int64('1+', { default: -1, ignorable: true }),
  lastCaughtUpTimestamp: int64('1+', { default: -1, ignorable: true }),
}

/** Asks how the replicas of groups are doing. Source: KIP-595. */
export const describeQuorumRequest = message(
  55,
  { valid: '0-2', flexible: '0+' },
  {
    topics: array('0+', {
      topicName: string('0+'),
      partitions: array('0+', {
        partitionIndex: int32('0+'),
      }),
    }),
  },
)

/** Leader, high watermark, and how far each replica is. Source: KIP-595, KIP-836 (times), KIP-853 (directories, nodes). */
export const describeQuorumResponse = message(
  55,
  { valid: '0-2', flexible: '0+' },
  {
    errorCode: int16('0+'),
    errorMessage: nullableString('2+', { ignorable: true }),
    topics: array('0+', {
      topicName: string('0+'),
      partitions: array('0+', {
        partitionIndex: int32('0+'),
        errorCode: int16('0+'),
        errorMessage: nullableString('2+', { ignorable: true }),
        leaderId: int32('0+'),
        leaderEpoch: int32('0+'),
        highWatermark: int64('0+'),
        currentVoters: array('0+', replicaStateFields),
        observers: array('0+', replicaStateFields),
      }),
    }),
    nodes: array('2+', {
      nodeId: int32('2+'),
      listeners: array('2+', listenerFields),
    }),
  },
)

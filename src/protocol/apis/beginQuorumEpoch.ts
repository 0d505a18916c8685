import { array, int32, message, nullableString, string, uuid } from '../schema.ts'
import { listenerFields, privateTag, quorumEpochAnswerFields } from './quorumFields.ts'

/** The sender leads these groups. Source: KIP-595, KIP-853. */
export const beginQuorumEpochRequest = message(
  53,
  { valid: '0-1', flexible: '1+' },
  {
    clusterId: nullableString('0+', { default: null }),
    voterId: int32('1+', { default: -1, ignorable: true }),
    topics: array('0+', {
      topicName: string('0+'),
      partitions: array('0+', {
        partitionIndex: int32('0+'),
        voterDirectoryId: uuid('1+', { ignorable: true }),
        leaderId: int32('0+'),
        leaderEpoch: int32('0+'),
      }),
      topicId: uuid('1+', { tag: privateTag, ignorable: true }), // Private.
    }),
    leaderEndpoints: array('1+', listenerFields, { ignorable: true }),
  },
)

/** Who leads as far as the receiver knows. */
export const beginQuorumEpochResponse = message(53, { valid: '0-1', flexible: '1+' }, quorumEpochAnswerFields)

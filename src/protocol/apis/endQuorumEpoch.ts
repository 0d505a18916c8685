import { array, int32, message, nullableString, string, uuid } from '../schema.ts'
import { listenerFields, privateTag, quorumEpochAnswerFields } from './quorumFields.ts'

/** The sender leads these groups no longer, and whom it would like to follow it. Source: KIP-595, KIP-853. */
export const endQuorumEpochRequest = message(
  54,
  { valid: '0-1', flexible: '1+' },
  {
    clusterId: nullableString('0+', { default: null }),
    topics: array('0+', {
      topicName: string('0+'),
      partitions: array('0+', {
        partitionIndex: int32('0+'),
        leaderId: int32('0+'),
        leaderEpoch: int32('0+'),
        preferredSuccessors: array('0', 'int32', { ignorable: true }),
        preferredCandidates: array(
          '1+',
          {
            candidateId: int32('1+'),
            candidateDirectoryId: uuid('1+'),
          },
          { ignorable: true },
        ),
      }),
      topicId: uuid('1+', { tag: privateTag, ignorable: true }), // Private.
    }),
    leaderEndpoints: array('1+', listenerFields, { ignorable: true }),
  },
)

/** Who leads as far as the receiver knows. */
export const endQuorumEpochResponse = message(54, { valid: '0-1', flexible: '1+' }, quorumEpochAnswerFields)

import { array, int16, int32, int64, message, string } from '../schema.ts'

/** Asks where leader epochs end, to find where logs part. Source: KIP-101, KIP-320. */
export const offsetForLeaderEpochRequest = message(
  23,
  { valid: '2-4', flexible: '4+' },
  {
    replicaId: int32('3+', { default: -2, ignorable: true }), // -2: a client. KIP-320.
    topics: array('0+', {
      topic: string('0+'),
      partitions: array('0+', {
        partition: int32('0+'),
        currentLeaderEpoch: int32('2+', { default: -1, ignorable: true }),
        leaderEpoch: int32('0+'),
      }),
    }),
  },
)

/** The largest epoch not above the one asked for, and its exclusive end offset. */
export const offsetForLeaderEpochResponse = message(
  23,
  { valid: '2-4', flexible: '4+' },
  {
    throttleTimeMs: int32('2+', { ignorable: true }),
    topics: array('0+', {
      topic: string('0+'),
      partitions: array('0+', {
        errorCode: int16('0+'),
        partition: int32('0+'),
        leaderEpoch: int32('1+', { default: -1, ignorable: true }),
        endOffset: int64('0+', { default: -1 }),
      }),
    }),
  },
)

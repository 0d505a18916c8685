import { array, clampedInt64, int8, int16, int32, int64, message, string } from '../schema.ts'

/**
 * Asks for the offset of a time stamp in each partition; -1 is the end, -2 the start, -3 the largest time
 * stamp (KIP-734), -4 the start of what is local (KIP-405), -5 the end of what is tiered (KIP-1005), -6 the start of what is to be
 * (KIP-1023).
 */
export const listOffsetsRequest = message(
  2,
  { valid: '1-11', flexible: '6+' },
  {
    replicaId: int32('0+'),
    isolationLevel: int8('2+'), // 0: read_uncommitted, 1: read_committed. KIP-98.
    topics: array('0+', {
      name: string('0+'),
      partitions: array('0+', {
        partitionIndex: int32('0+'),
        currentLeaderEpoch: int32('4+', { default: -1, ignorable: true }), // KIP-320.
        timestamp: clampedInt64('0+'), // 2^63 - 1 asks for what is after everything.
      }),
    }),
    timeoutMs: int32('10+', { ignorable: true }), // KIP-1075.
  },
)

/**
 * The first offset at or after each time stamp; offset and time stamp are -1 where there is none. Source:
 * KIP-79.
 */
export const listOffsetsResponse = message(
  2,
  { valid: '1-11', flexible: '6+' },
  {
    throttleTimeMs: int32('2+', { ignorable: true }),
    topics: array('0+', {
      name: string('0+'),
      partitions: array('0+', {
        partitionIndex: int32('0+'),
        errorCode: int16('0+'),
        timestamp: int64('1+', { default: -1 }),
        offset: int64('1+', { default: -1 }),
        leaderEpoch: int32('4+', { default: -1 }), // KIP-320.
      }),
    }),
  },
)

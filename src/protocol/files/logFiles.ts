import { array, int16, int32, int64, message, nullableArray, string, uint32, uuid } from '../schema.ts'

/** Files that Kafka keeps beside the segments of a log. */

/**
 * The state of all producers of a partition at an offset, in a `.snapshot` file. The CRC covers what follows
 * it. Source: KIP-98.
 */
export const producerSnapshot = message(
  null,
  { valid: '1', flexible: 'none' },
  {
    crc: uint32('1'), // CRC-32C.
    producerEntries: array('1', {
      producerId: int64('1'),
      epoch: int16('1'),
      lastSequence: int32('1'),
      lastOffset: int64('1'),
      offsetDelta: int32('1'),
      timestamp: int64('1'),
      coordinatorEpoch: int32('1'),
      currentTxnFirstOffset: int64('1'), // -1: no open transaction.
    }),
  },
)

/**
 * One entry of a `.txnindex` file: an aborted transaction and the last stable offset when it ended. Source:
 * KIP-98.
 */
export const abortedTxn = message(
  null,
  { valid: '0', flexible: 'none' },
  {
    producerId: int64('0+'),
    firstOffset: int64('0+'),
    lastOffset: int64('0+'),
    lastStableOffset: int64('0+'),
  },
)

/** What a voter must not forget, kept in the `quorum-state` file as JSON. Source: KIP-595, KIP-853. */
export const quorumStateData = message(
  null,
  { valid: '0-1', flexible: '0+' },
  {
    clusterId: string('0'),
    leaderId: int32('0+', { default: -1 }),
    leaderEpoch: int32('0+', { default: -1 }),
    votedId: int32('0+', { default: -1 }),
    votedDirectoryId: uuid('1+'),
    appliedOffset: int64('0'),
    currentVoters: nullableArray('0', {
      voterId: int32('0'),
    }),
  },
)

import { array, int16, int32, int64, message, uint32 } from '../schema.ts'

/** The state of all producers of a partition at an offset, in a `.snapshot` file. The CRC covers what follows it. Source: KIP-98. */
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

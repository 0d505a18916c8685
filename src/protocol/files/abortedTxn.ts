import { int64, message } from '../schema.ts'

/** One entry of a `.txnindex` file: an aborted transaction and the last stable offset when it ended. Source: KIP-98. */
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

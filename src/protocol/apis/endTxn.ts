import { bool, int16, int32, int64, message, string } from '../schema.ts'

/** Commits or aborts a transaction. Source: KIP-98. */
export const endTxnRequest = message(
  26,
  { valid: '0-5', flexible: '3+' },
  {
    transactionalId: string('0+'),
    producerId: int64('0+'),
    producerEpoch: int16('0+'),
    committed: bool('0+'),
  },
)

/** Whether the transaction ended; with the bumped epoch from version 5 on (KIP-890). */
export const endTxnResponse = message(
  26,
  { valid: '0-5', flexible: '3+' },
  {
    throttleTimeMs: int32('0+'),
    errorCode: int16('0+'),
    producerId: int64('5+', { default: -1, ignorable: true }), // KIP-890.
    producerEpoch: int16('5+', { default: -1, ignorable: true }),
  },
)

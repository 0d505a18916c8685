import { bool, int16, int32, int64, message, nullableString } from '../schema.ts'

/**
 * Asks for a producer id, or fences the earlier one of a transactional id. Source: KIP-98, KIP-360, KIP-939
 * (two-phase commit).
 */
export const initProducerIdRequest = message(
  22,
  { valid: '0-6', flexible: '2+' },
  {
    transactionalId: nullableString('0+'),
    transactionTimeoutMs: int32('0+'),
    producerId: int64('3+', { default: -1 }), // KIP-360.
    producerEpoch: int16('3+', { default: -1 }),
    enable2Pc: bool('6+'), // KIP-939.
    keepPreparedTxn: bool('6+'),
  },
)

/** The producer id and epoch to write with. */
export const initProducerIdResponse = message(
  22,
  { valid: '0-6', flexible: '2+' },
  {
    throttleTimeMs: int32('0+', { ignorable: true }),
    errorCode: int16('0+'),
    producerId: int64('0+', { default: -1 }),
    producerEpoch: int16('0+'),
    ongoingTxnProducerId: int64('6+', { default: -1 }),
    ongoingTxnProducerEpoch: int16('6+', { default: -1 }),
  },
)

import { int16, int32, int64, message, string } from '../schema.ts'

/** Adds a group's offsets to a transaction. Source: KIP-98. */
export const addOffsetsToTxnRequest = message(
  25,
  { valid: '0-4', flexible: '3+' },
  {
    transactionalId: string('0+'),
    producerId: int64('0+'),
    producerEpoch: int16('0+'),
    groupId: string('0+'),
  },
)

/** Whether the group was added. */
export const addOffsetsToTxnResponse = message(
  25,
  { valid: '0-4', flexible: '3+' },
  {
    throttleTimeMs: int32('0+'),
    errorCode: int16('0+'),
  },
)

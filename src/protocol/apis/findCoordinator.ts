import { array, int8, int16, int32, message, nullableString, string } from '../schema.ts'

/**
 * Asks which broker coordinates a group, transaction or share partition. Several keys at once from version 4
 * on (KIP-699).
 */
export const findCoordinatorRequest = message(
  10,
  { valid: '0-6', flexible: '3+' },
  {
    key: string('0-3'),
    keyType: int8('1+'), // 0: group, 1: transaction, 2: share partition (KIP-932).
    coordinatorKeys: array('4+', 'string'), // KIP-699.
  },
)

/** The coordinator of each key. */
export const findCoordinatorResponse = message(
  10,
  { valid: '0-6', flexible: '3+' },
  {
    throttleTimeMs: int32('1+', { ignorable: true }),
    errorCode: int16('0-3'),
    errorMessage: nullableString('1-3', { ignorable: true }),
    nodeId: int32('0-3'),
    host: string('0-3'),
    port: int32('0-3'),
    // KIP-699.
    coordinators: array('4+', {
      key: string('4+'),
      nodeId: int32('4+'),
      host: string('4+'),
      port: int32('4+'),
      errorCode: int16('4+'),
      errorMessage: nullableString('4+', { ignorable: true }),
    }),
  },
)

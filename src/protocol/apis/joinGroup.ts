import { array, bool, bytes, int16, int32, message, nullableString, string } from '../schema.ts'

/**
 * Enters a classic group, or its next generation. Source: KIP-345 (static members), KIP-394 (member id
 * first).
 */
export const joinGroupRequest = message(
  11,
  { valid: '0-9', flexible: '6+' },
  {
    groupId: string('0+'),
    sessionTimeoutMs: int32('0+'),
    // Before version 1 the session timeout counts. KIP-62.
    rebalanceTimeoutMs: int32('1+', { default: -1, ignorable: true }),
    memberId: string('0+'),
    groupInstanceId: nullableString('5+', { default: null }), // KIP-345.
    protocolType: string('0+'),
    protocols: array('0+', {
      name: string('0+'),
      metadata: bytes('0+'),
    }),
    reason: nullableString('8+', { default: null, ignorable: true }), // KIP-800.
  },
)

/** The generation and protocol that were chosen; the leader also learns of the members. */
export const joinGroupResponse = message(
  11,
  { valid: '0-9', flexible: '6+' },
  {
    throttleTimeMs: int32('2+', { ignorable: true }),
    errorCode: int16('0+'),
    generationId: int32('0+', { default: -1 }),
    protocolType: nullableString('7+', { default: null, ignorable: true }), // KIP-559.
    protocolName: nullableString('0+', { nullable: '7+' }),
    leader: string('0+'),
    skipAssignment: bool('9+'), // KIP-814.
    memberId: string('0+'),
    members: array('0+', {
      memberId: string('0+'),
      groupInstanceId: nullableString('5+', { default: null, ignorable: true }), // KIP-345.
      metadata: bytes('0+'),
    }),
  },
)

import { array, bytes, int16, int32, message, nullableString, string } from '../schema.ts'

/** Waits for the assignment of a generation; the leader's request brings everybody's. */
export const syncGroupRequest = message(
  14,
  { valid: '0-5', flexible: '4+' },
  {
    groupId: string('0+'),
    generationId: int32('0+'),
    memberId: string('0+'),
    groupInstanceId: nullableString('3+', { default: null }), // KIP-345.
    protocolType: nullableString('5+', { default: null, ignorable: true }), // KIP-559.
    protocolName: nullableString('5+', { default: null, ignorable: true }),
    assignments: array('0+', {
      memberId: string('0+'),
      assignment: bytes('0+'),
    }),
  },
)

/** The member's assignment. */
export const syncGroupResponse = message(
  14,
  { valid: '0-5', flexible: '4+' },
  {
    throttleTimeMs: int32('1+', { ignorable: true }),
    errorCode: int16('0+'),
    protocolType: nullableString('5+', { default: null, ignorable: true }), // KIP-559.
    protocolName: nullableString('5+', { default: null, ignorable: true }),
    assignment: bytes('0+'),
  },
)

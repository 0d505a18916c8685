import { array, int16, int32, message, nullableString, string } from '../schema.ts'

/** Leaves a classic group; several members at once from version 3 on (KIP-345). */
export const leaveGroupRequest = message(
  13,
  { valid: '0-5', flexible: '4+' },
  {
    groupId: string('0+'),
    memberId: string('0-2'),
    // KIP-345.
    members: array('3+', {
      memberId: string('3+'),
      groupInstanceId: nullableString('3+', { default: null }),
      reason: nullableString('5+', { default: null, ignorable: true }), // KIP-800.
    }),
  },
)

/** Whether each member has left. */
export const leaveGroupResponse = message(
  13,
  { valid: '0-5', flexible: '4+' },
  {
    throttleTimeMs: int32('1+', { ignorable: true }),
    errorCode: int16('0+'),
    // KIP-345.
    members: array('3+', {
      memberId: string('3+'),
      groupInstanceId: nullableString('3+'),
      errorCode: int16('3+'),
    }),
  },
)

import { int16, int32, message, nullableString, string } from '../schema.ts'

/** Says that a member of a classic group is alive. */
export const heartbeatRequest = message(
  12,
  { valid: '0-4', flexible: '4+' },
  {
    groupId: string('0+'),
    generationId: int32('0+'),
    memberId: string('0+'),
    groupInstanceId: nullableString('3+', { default: null }), // KIP-345.
  },
)

/** Whether the member may go on, or has to join again. */
export const heartbeatResponse = message(
  12,
  { valid: '0-4', flexible: '4+' },
  {
    throttleTimeMs: int32('1+', { ignorable: true }),
    errorCode: int16('0+'),
  },
)

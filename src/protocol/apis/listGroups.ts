import { array, int16, int32, message, string } from '../schema.ts'

/** Asks which groups the broker coordinates. Source: KIP-518 (states), KIP-848 (types). */
export const listGroupsRequest = message(
  16,
  { valid: '0-5', flexible: '3+' },
  {
    statesFilter: array('4+', 'string'), // KIP-518.
    typesFilter: array('5+', 'string'), // KIP-848.
  },
)

/** The groups that the broker coordinates. */
export const listGroupsResponse = message(
  16,
  { valid: '0-5', flexible: '3+' },
  {
    throttleTimeMs: int32('1+', { ignorable: true }),
    errorCode: int16('0+'),
    groups: array('0+', {
      groupId: string('0+'),
      protocolType: string('0+'),
      groupState: string('4+', { ignorable: true }), // KIP-518.
      groupType: string('5+', { ignorable: true }), // KIP-848.
    }),
  },
)

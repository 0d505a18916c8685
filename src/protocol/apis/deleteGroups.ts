import { array, int16, int32, message, nullableString, string } from '../schema.ts'

/** Deletes groups that have no members. Source: KIP-229. */
export const deleteGroupsRequest = message(
  42,
  { valid: '0-3', flexible: '2+' },
  {
    groupsNames: array('0+', 'string'),
  },
)

/** Whether each group was deleted. */
export const deleteGroupsResponse = message(
  42,
  { valid: '0-3', flexible: '2+' },
  {
    throttleTimeMs: int32('0+'),
    results: array('0+', {
      groupId: string('0+'),
      errorCode: int16('0+'),
      errorMessage: nullableString('3+', { default: null, ignorable: true }),
    }),
  },
)

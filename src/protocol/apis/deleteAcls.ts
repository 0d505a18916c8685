import { array, int8, int16, int32, message, nullableString, string } from '../schema.ts'

/** Removes the access rules that match filters. Source: KIP-140, KIP-290 (patterns). */
export const deleteAclsRequest = message(
  31,
  { valid: '1-3', flexible: '2+' },
  {
    filters: array('0+', {
      resourceTypeFilter: int8('0+'),
      resourceNameFilter: nullableString('0+'),
      patternTypeFilter: int8('1+', { default: 3 }),
      principalFilter: nullableString('0+'),
      hostFilter: nullableString('0+'),
      operation: int8('0+'),
      permissionType: int8('0+'),
    }),
  },
)

/** The rules that each filter removed. */
export const deleteAclsResponse = message(
  31,
  { valid: '1-3', flexible: '2+' },
  {
    throttleTimeMs: int32('0+'),
    filterResults: array('0+', {
      errorCode: int16('0+'),
      errorMessage: nullableString('0+'),
      matchingAcls: array('0+', {
        errorCode: int16('0+'),
        errorMessage: nullableString('0+'),
        resourceType: int8('0+'),
        resourceName: string('0+'),
        patternType: int8('1+', { default: 3 }),
        principal: string('0+'),
        host: string('0+'),
        operation: int8('0+'),
        permissionType: int8('0+'),
      }),
    }),
  },
)

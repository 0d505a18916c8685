import { array, int8, int16, int32, message, nullableString, string } from '../schema.ts'

/** Asks for access rules that match a filter. Source: KIP-140, KIP-290 (patterns). */
export const describeAclsRequest = message(
  29,
  { valid: '1-3', flexible: '2+' },
  {
    resourceTypeFilter: int8('0+'),
    resourceNameFilter: nullableString('0+'),
    patternTypeFilter: int8('1+', { default: 3 }), // KIP-290.
    principalFilter: nullableString('0+'),
    hostFilter: nullableString('0+'),
    operation: int8('0+'),
    permissionType: int8('0+'),
  },
)

/** The rules that match, by resource. */
export const describeAclsResponse = message(
  29,
  { valid: '1-3', flexible: '2+' },
  {
    throttleTimeMs: int32('0+'),
    errorCode: int16('0+'),
    errorMessage: nullableString('0+'),
    resources: array('0+', {
      resourceType: int8('0+'),
      resourceName: string('0+'),
      patternType: int8('1+', { default: 3 }),
      acls: array('0+', {
        principal: string('0+'),
        host: string('0+'),
        operation: int8('0+'),
        permissionType: int8('0+'),
      }),
    }),
  },
)

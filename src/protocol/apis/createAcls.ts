import { array, int8, int16, int32, message, nullableString, string } from '../schema.ts'

/** Adds access rules. Source: KIP-140, KIP-290 (patterns). */
export const createAclsRequest = message(
  30,
  { valid: '1-3', flexible: '2+' },
  {
    creations: array('0+', {
      resourceType: int8('0+'),
      resourceName: string('0+'),
      resourcePatternType: int8('1+', { default: 3 }), // KIP-290.
      principal: string('0+'),
      host: string('0+'),
      operation: int8('0+'),
      permissionType: int8('0+'),
    }),
  },
)

/** Whether each rule was added. */
export const createAclsResponse = message(
  30,
  { valid: '1-3', flexible: '2+' },
  {
    throttleTimeMs: int32('0+'),
    results: array('0+', {
      errorCode: int16('0+'),
      errorMessage: nullableString('0+'),
    }),
  },
)

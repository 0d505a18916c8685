import { array, bool, int8, int16, int32, message, nullableString, string } from '../schema.ts'

/** Replaces the whole configuration of resources. Source: KIP-133. */
export const alterConfigsRequest = message(
  33,
  { valid: '0-2', flexible: '2+' },
  {
    resources: array('0+', {
      resourceType: int8('0+'),
      resourceName: string('0+'),
      configs: array('0+', {
        name: string('0+'),
        value: nullableString('0+'),
      }),
    }),
    validateOnly: bool('0+'),
  },
)

/** Whether each resource was changed. */
export const alterConfigsResponse = message(
  33,
  { valid: '0-2', flexible: '2+' },
  {
    throttleTimeMs: int32('0+'),
    responses: array('0+', {
      errorCode: int16('0+'),
      errorMessage: nullableString('0+'),
      resourceType: int8('0+'),
      resourceName: string('0+'),
    }),
  },
)

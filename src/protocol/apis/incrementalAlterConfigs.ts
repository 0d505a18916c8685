import { array, bool, int8, int16, int32, message, nullableString, string } from '../schema.ts'

/** Changes single entries of configurations. Source: KIP-339. */
export const incrementalAlterConfigsRequest = message(
  44,
  { valid: '0-1', flexible: '1+' },
  {
    resources: array('0+', {
      resourceType: int8('0+'),
      resourceName: string('0+'),
      configs: array('0+', {
        name: string('0+'),
        configOperation: int8('0+'), // 0: set, 1: delete, 2: append, 3: subtract.
        value: nullableString('0+'),
      }),
    }),
    validateOnly: bool('0+'),
  },
)

/** Whether each resource was changed. */
export const incrementalAlterConfigsResponse = message(
  44,
  { valid: '0-1', flexible: '1+' },
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

import { int16, int32, message, nullableString } from '../schema.ts'

/** Has the cluster forget a broker. Source: KIP-746. */
export const unregisterBrokerRequest = message(
  64,
  { valid: '0', flexible: '0+' },
  {
    brokerId: int32('0+'),
  },
)

/** Whether it has. */
export const unregisterBrokerResponse = message(
  64,
  { valid: '0', flexible: '0+' },
  {
    throttleTimeMs: int32('0+'),
    errorCode: int16('0+'),
    errorMessage: nullableString('0+', { default: null }),
  },
)

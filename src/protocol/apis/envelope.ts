import { bytes, int16, message, nullableBytes } from '../schema.ts'

/** Carries a request from node to node. Source: KIP-590. */
export const envelopeRequest = message(
  58,
  { valid: '0', flexible: '0+' },
  {
    requestData: bytes('0+'),
    requestPrincipal: nullableBytes('0+'),
    clientHostAddress: bytes('0+'),
  },
)

/** Carries the answer. */
export const envelopeResponse = message(
  58,
  { valid: '0', flexible: '0+' },
  {
    responseData: nullableBytes('0+', { default: null }),
    errorCode: int16('0+'),
  },
)

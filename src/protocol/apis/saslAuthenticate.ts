import { bytes, int16, int64, message, nullableString } from '../schema.ts'

/** Carries one token of the SASL exchange. Source: KIP-152. */
export const saslAuthenticateRequest = message(
  36,
  { valid: '0-2', flexible: '2+' },
  {
    authBytes: bytes('0+'),
  },
)

/** The broker's token. Source: KIP-152, KIP-368 (session lifetime). */
export const saslAuthenticateResponse = message(
  36,
  { valid: '0-2', flexible: '2+' },
  {
    errorCode: int16('0+'),
    errorMessage: nullableString('0+'),
    authBytes: bytes('0+'),
    sessionLifetimeMs: int64('1+', { ignorable: true }), // 0: no end. KIP-368.
  },
)

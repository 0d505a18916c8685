import { array, int16, message, string } from '../schema.ts'

/** Chooses a SASL mechanism. Source: KIP-43. */
export const saslHandshakeRequest = message(
  17,
  { valid: '0-1', flexible: 'none' },
  {
    mechanism: string('0+'),
  },
)

/** Whether the mechanism is known, and those that are. */
export const saslHandshakeResponse = message(
  17,
  { valid: '0-1', flexible: 'none' },
  {
    errorCode: int16('0+'),
    mechanisms: array('0+', 'string'),
  },
)

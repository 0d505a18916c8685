import { array, bytes, int32, int64, message, nullableString, string } from '../schema.ts'

/** Key of a classic group; a null value removes it. */
export const groupMetadataKey = message(
  2,
  { valid: '0', flexible: 'none' },
  {
    group: string('0'),
  },
)

/** A member as it joined. */
const memberMetadata = {
  memberId: string('0+'),
  groupInstanceId: nullableString('3+', { default: null, ignorable: true }), // KIP-345.
  clientId: string('0+'),
  clientHost: string('0+'),
  rebalanceTimeout: int32('1+', { default: -1, ignorable: true }),
  sessionTimeout: int32('0+'),
  subscription: bytes('0+'),
  assignment: bytes('0+'),
}

/** The generation and members of a classic group. Source: KIP-345 (static members). */
export const groupMetadataValue = message(
  2,
  { valid: '0-4', flexible: '4+' },
  {
    protocolType: string('0+'),
    generation: int32('0+'),
    protocol: nullableString('0+'),
    leader: nullableString('0+'),
    currentStateTimestamp: int64('2+', { default: -1, ignorable: true }),
    members: array('0+', memberMetadata),
  },
)

import { array, bytes, int8, int32, int64, message, string, uuid } from '../schema.ts'

/** An access rule. Source: KIP-801. */
export const accessControlEntryRecord = message(
  18,
  { valid: '0', flexible: '0+' },
  {
    id: uuid('0+'),
    resourceType: int8('0+'),
    resourceName: string('0+'),
    patternType: int8('0+'),
    principal: string('0+'),
    host: string('0+'),
    operation: int8('0+'),
    permissionType: int8('0+'),
  },
)

/** An access rule is gone. Source: KIP-801. */
export const removeAccessControlEntryRecord = message(
  19,
  { valid: '0', flexible: '0+' },
  {
    id: uuid('0+'),
  },
)

/** A SCRAM credential of a user. Source: KIP-900. */
export const userScramCredentialRecord = message(
  11,
  { valid: '0', flexible: '0+' },
  {
    name: string('0+'),
    mechanism: int8('0+'),
    salt: bytes('0+'),
    storedKey: bytes('0+'),
    serverKey: bytes('0+'),
    iterations: int32('0+'),
  },
)

/** A SCRAM credential is gone. Source: KIP-900. */
export const removeUserScramCredentialRecord = message(
  22,
  { valid: '0', flexible: '0+' },
  {
    name: string('0+'),
    mechanism: int8('0+'),
  },
)

/** A delegation token. Source: KIP-900. */
export const delegationTokenRecord = message(
  10,
  { valid: '0', flexible: '0+' },
  {
    owner: string('0+'),
    requester: string('0+'),
    renewers: array('0+', 'string'),
    issueTimestamp: int64('0+'),
    maxTimestamp: int64('0+'),
    expirationTimestamp: int64('0+'),
    tokenId: string('0+'),
  },
)

/** A delegation token is gone. Source: KIP-900. */
export const removeDelegationTokenRecord = message(
  26,
  { valid: '0', flexible: '0+' },
  {
    tokenId: string('0+'),
  },
)

import { array, int16, int32, int64, message, string, struct, uint16, uuid } from '../schema.ts'

/** What follows the version in a control record's key: which control record it is. */
export const controlRecordTypeSchema = message(
  null,
  { valid: '0', flexible: 'none' },
  {
    type: int16('0+'),
  },
)

/** Value of the control record that ends a transaction in a partition. Source: KIP-98. */
export const endTxnMarker = message(
  null,
  { valid: '0', flexible: 'none' },
  {
    coordinatorEpoch: int32('0+'),
  },
)

/** A voter, by id and, since KIP-853, directory. */
const voter = {
  voterId: int32('0+'),
  voterDirectoryId: uuid('1+'), // KIP-853.
}

/**
 * Value of the control record with which a leader begins its epoch. Source: KIP-595, KIP-853 (directories).
 */
export const leaderChangeMessage = message(
  null,
  { valid: '0-1', flexible: '0+' },
  {
    version: int16('0+'),
    leaderId: int32('0+'),
    voters: array('0+', voter),
    grantingVoters: array('0+', voter),
  },
)

/** Value of the control record that begins a snapshot. Source: KIP-630. */
export const snapshotHeaderRecord = message(
  null,
  { valid: '0', flexible: '0+' },
  {
    version: int16('0+'),
    lastContainedLogTimestamp: int64('0+'),
  },
)

/** Value of the control record that ends a snapshot. Source: KIP-630. */
export const snapshotFooterRecord = message(
  null,
  { valid: '0', flexible: '0+' },
  {
    version: int16('0+'),
  },
)

/** Value of the control record that sets kraft.version. Source: KIP-853. */
export const kraftVersionRecord = message(
  null,
  { valid: '0', flexible: '0+' },
  {
    version: int16('0+'),
    kraftVersion: int16('0+'),
  },
)

/** Value of the control record that holds the voters. Source: KIP-853. */
export const votersRecord = message(
  null,
  { valid: '0', flexible: '0+' },
  {
    version: int16('0+'),
    voters: array('0+', {
      voterId: int32('0+'),
      voterDirectoryId: uuid('0+'), // KIP-853.
      endpoints: array('0+', {
        name: string('0+'),
        host: string('0+'),
        port: uint16('0+'),
      }),
      kraftVersionFeature: struct('0+', {
        minSupportedVersion: int16('0+'),
        maxSupportedVersion: int16('0+'),
      }),
    }),
  },
)

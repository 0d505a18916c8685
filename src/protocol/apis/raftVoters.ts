import {
  array,
  bool,
  int16,
  int32,
  message,
  nullableString,
  nullableStruct,
  string,
  struct,
  uuid,
} from '../schema.ts'
import { groupFields, leaderFields, listenerFields, privateTag } from './quorumFields.ts'

/** Makes a replica a voter. Source: KIP-853, KIP-1186 (acknowledgement). */
export const addRaftVoterRequest = message(
  80,
  { valid: '0-1', flexible: '0+' },
  {
    clusterId: nullableString('0+'),
    timeoutMs: int32('0+'),
    voterId: int32('0+'),
    voterDirectoryId: uuid('0+'),
    listeners: array('0+', listenerFields),
    ackWhenCommitted: bool('1+', { default: true }),
    own: nullableStruct(
      '0+',
      {
        group: struct('0+', groupFields),
        minVersion: int32('0+'),
        maxVersion: int32('0+'),
      },
      { default: null, tag: privateTag },
    ),
  },
)

/** Whether the voter was added. */
export const addRaftVoterResponse = message(
  80,
  { valid: '0-1', flexible: '0+' },
  {
    throttleTimeMs: int32('0+'),
    errorCode: int16('0+'),
    errorMessage: nullableString('0+', { ignorable: true }),
    own: nullableStruct('0+', leaderFields, { default: null, tag: privateTag }),
  },
)

/** Takes the vote from a replica. Source: KIP-853. */
export const removeRaftVoterRequest = message(
  81,
  { valid: '0', flexible: '0+' },
  {
    clusterId: nullableString('0+'),
    voterId: int32('0+'),
    voterDirectoryId: uuid('0+'),
    own: nullableStruct('0+', groupFields, { default: null, tag: privateTag }),
  },
)

/** Whether the voter was removed. */
export const removeRaftVoterResponse = message(
  81,
  { valid: '0', flexible: '0+' },
  {
    throttleTimeMs: int32('0+'),
    errorCode: int16('0+'),
    errorMessage: nullableString('0+', { ignorable: true }),
    own: nullableStruct('0+', leaderFields, { default: null, tag: privateTag }),
  },
)

/** A voter tells where it listens and what it can run. Source: KIP-853. */
export const updateRaftVoterRequest = message(
  82,
  { valid: '0', flexible: '0+' },
  {
    clusterId: nullableString('0+'),
    currentLeaderEpoch: int32('0+'),
    voterId: int32('0+'),
    voterDirectoryId: uuid('0+'),
    listeners: array('0+', listenerFields),
    kRaftVersionFeature: struct('0+', {
      minSupportedVersion: int16('0+'),
      maxSupportedVersion: int16('0+'),
    }),
    own: nullableStruct('0+', groupFields, { default: null, tag: privateTag }),
  },
)

/** Whether the voter's entry was changed, and who leads. */
export const updateRaftVoterResponse = message(
  82,
  { valid: '0', flexible: '0+' },
  {
    throttleTimeMs: int32('0+'),
    errorCode: int16('0+'),
    currentLeader: struct(
      '0+',
      {
        leaderId: int32('0+', { default: -1 }),
        leaderEpoch: int32('0+', { default: -1 }),
        host: string('0+'),
        port: int32('0+'),
      },
      { tag: 0 },
    ),
  },
)

import { int32, int64, message, nullableArray, string, uuid } from '../schema.ts'

/** What a voter must not forget, kept in the `quorum-state` file as JSON. Source: KIP-595, KIP-853. */
export const quorumStateData = message(
  null,
  { valid: '0-1', flexible: '0+' },
  {
    clusterId: string('0'),
    leaderId: int32('0+', { default: -1 }),
    leaderEpoch: int32('0+', { default: -1 }),
    votedId: int32('0+', { default: -1 }),
    votedDirectoryId: uuid('1+'),
    appliedOffset: int64('0'),
    currentVoters: nullableArray('0', {
      voterId: int32('0'),
    }),
  },
)

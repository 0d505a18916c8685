import { int32, int64, message, string, uuid } from '../schema.ts'

/** Key of a committed offset; a null value removes it. */
export const offsetCommitKey = message(
  1,
  { valid: '0', flexible: 'none' },
  {
    group: string('0'),
    topic: string('0'),
    partition: int32('0'),
  },
)

/**
 * A committed offset. Source: KIP-211 (no expiry by time stamp from version 2 on), KIP-320 (leader epoch),
 * KIP-516.
 */
export const offsetCommitValue = message(
  1,
  { valid: '0-4', flexible: '4+' },
  {
    offset: int64('0+'),
    leaderEpoch: int32('3+', { default: -1, ignorable: true }), // KIP-320.
    metadata: string('0+'),
    commitTimestamp: int64('0+'),
    expireTimestamp: int64('1', { default: -1, ignorable: true }), // Before KIP-211.
    topicId: uuid('4+', { tag: 0, ignorable: true }), // KIP-848.
  },
)

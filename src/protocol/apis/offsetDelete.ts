import { array, int16, int32, message, string } from '../schema.ts'

/** Deletes committed offsets of a group. Source: KIP-496. */
export const offsetDeleteRequest = message(
  47,
  { valid: '0', flexible: 'none' },
  {
    groupId: string('0+'),
    topics: array('0+', {
      name: string('0+'),
      partitions: array('0+', {
        partitionIndex: int32('0+'),
      }),
    }),
  },
)

/** Whether each offset was deleted. */
export const offsetDeleteResponse = message(
  47,
  { valid: '0', flexible: 'none' },
  {
    errorCode: int16('0+'),
    throttleTimeMs: int32('0+', { ignorable: true }),
    topics: array('0+', {
      name: string('0+'),
      partitions: array('0+', {
        partitionIndex: int32('0+'),
        errorCode: int16('0+'),
      }),
    }),
  },
)

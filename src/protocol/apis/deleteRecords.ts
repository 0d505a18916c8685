import { array, int16, int32, int64, message, string } from '../schema.ts'

/** Deletes the records before an offset of each partition. Source: KIP-107. */
export const deleteRecordsRequest = message(
  21,
  { valid: '0-2', flexible: '2+' },
  {
    topics: array('0+', {
      name: string('0+'),
      partitions: array('0+', {
        partitionIndex: int32('0+'),
        offset: int64('0+'), // Exclusive; -1 means the high watermark.
      }),
    }),
    timeoutMs: int32('0+'),
  },
)

/** The first offset that is left in each partition. */
export const deleteRecordsResponse = message(
  21,
  { valid: '0-2', flexible: '2+' },
  {
    throttleTimeMs: int32('0+'),
    topics: array('0+', {
      name: string('0+'),
      partitions: array('0+', {
        partitionIndex: int32('0+'),
        lowWatermark: int64('0+'),
        errorCode: int16('0+'),
      }),
    }),
  },
)

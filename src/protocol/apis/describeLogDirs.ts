import {
  array,
  bool,
  int16,
  int32,
  int64,
  message,
  nullableArray,
  nullableStruct,
  string,
} from '../schema.ts'
import { privateTag } from './quorumFields.ts'

/** Asks what lies in the log directories; null topics ask for all. Source: KIP-113. */
export const describeLogDirsRequest = message(
  35,
  { valid: '1-5', flexible: '2+' },
  {
    topics: nullableArray('0+', {
      topic: string('0+'),
      partitions: array('0+', 'int32'),
    }),
  },
)

/** The size of each log by directory. Source: KIP-113, KIP-827 (total and usable bytes). */
export const describeLogDirsResponse = message(
  35,
  { valid: '1-5', flexible: '2+' },
  {
    throttleTimeMs: int32('0+'),
    errorCode: int16('3+', { ignorable: true }),
    results: array('0+', {
      errorCode: int16('0+'),
      logDir: string('0+'),
      topics: array('0+', {
        name: string('0+'),
        partitions: array('0+', {
          partitionIndex: int32('0+'),
          partitionSize: int64('0+'),
          offsetLag: int64('0+'),
          isFutureKey: bool('0+'),
        }),
      }),
      totalBytes: int64('4+', { default: -1, ignorable: true }), // KIP-827.
      usableBytes: int64('4+', { default: -1, ignorable: true }),
      isCordoned: bool('5+', { ignorable: true }), // KIP-1066.
      // Private: stretches of files that are damaged and not served, and those mended since the start; replicas that are.
      own: nullableStruct(
        '2+',
        {
          damagedRanges: int32('2+'),
          damagedBytes: int64('2+'),
          repairedRanges: int64('2+'),
          // Replicas that may have forgotten something, that are made from others, and that were since the start.
          quarantined: int32('2+', { tag: 0, ignorable: true }),
          rebuilding: int32('2+', { tag: 1, ignorable: true }),
          rebuilt: int32('2+', { tag: 2, ignorable: true }),
          // When the directory began anew, and why; -1 if it never had to.
          beganAnewMs: int64('2+', { default: -1, tag: 3, ignorable: true }),
          beganAnewReason: string('2+', { tag: 4, ignorable: true }),
        },
        { default: null, tag: privateTag, ignorable: true },
      ),
    }),
  },
)

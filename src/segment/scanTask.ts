import type { Task } from '../runtime/compute.ts'
import { type ScanEnd, verifyBatches } from './batchScan.ts'
import { type EpochStart, LeaderEpochs } from './leaderEpochs.ts'
import { type ProducerEntry, ProducerState } from './producerState.ts'
import { Segment, type SegmentMark } from './segment.ts'

/** A stretch of a segment to be checked, from the beginning of a batch on. */
export interface ScanInput {
  readonly path: string
  readonly baseOffset: number
  /** A batch begins here: bytes from the start of the file. */
  readonly position: number
  /** Exclusive end: bytes from the start of the file. */
  readonly end: number
  /** The base offset that the first batch must have. */
  readonly offset: number
  readonly indexIntervalBytes: number
  /** Batches of idempotent producers count from this offset on: a snapshot knows the earlier ones. */
  readonly producersFrom: number
  /** What producers that are found have written at, ms since 1970. */
  readonly wallMs: number
}

/** What was found: all that recovery needs of the stretch without reading it again. */
export interface ScanOutput {
  readonly end: ScanEnd
  /** Size, times and the distance from the last index entry, as `Segment.restore` and `mark` have them. */
  readonly mark: SegmentMark
  /** The bytes of both index files, without the time index's last entry of a sealed segment. */
  readonly offsetIndex: Uint8Array
  readonly timeIndex: Uint8Array
  /** The epochs of the batches, ascending. */
  readonly epochs: readonly EpochStart[]
  /** What `ProducerState.merge` takes. */
  readonly producers: readonly ProducerEntry[]
}

/** Checks every batch of a stretch of a segment, in the thread of `Compute`. */
export const scanSegmentTask: Task<ScanInput, ScanOutput> = {
  name: 'scanSegment',
  async body(input, { disk, checksum, check }) {
    const file = disk.file(input.path)
    const segment = new Segment(input.baseOffset, file, input.wallMs, 0, false)
    const epochs = new LeaderEpochs()
    const producers = new ProducerState()
    try {
      const range = { file, position: input.position, end: input.end, offset: input.offset }
      const end = await verifyBatches(range, checksum, (header) => {
        check()
        segment.add(header.lastOffset, header.maxTimestampMs, header.sizeBytes, input.indexIntervalBytes)
        epochs.assign(header.partitionLeaderEpoch, header.baseOffset)
        if (header.producerId >= 0 && header.baseOffset >= input.producersFrom) {
          producers.append(header, header.baseOffset, header.maxTimestampMs, input.wallMs)
        }
      })
      return {
        end,
        mark: segment.mark(),
        offsetIndex: segment.offsetIndex!.encode(),
        timeIndex: segment.timeIndex!.encode(),
        epochs: epochs.entries,
        producers: producers.entries(),
      }
    } finally {
      await file.close()
    }
  },
}

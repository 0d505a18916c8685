import type { Task } from '../runtime/compute.ts'
import { type ScanEnd, verifyBatches } from './batchScan.ts'
import { type EpochStart, LeaderEpochs } from './leaderEpochs.ts'
import { type ProducerEntry, ProducerState } from './producerState.ts'
import { type ClosedSegment, Segment, type SegmentMark } from './segment.ts'

/** A stretch of a segment to be checked. */
export interface ScanInput {
  readonly path: string
  readonly baseOffset: number
  /** What is known of the segment up to where the stretch begins, with a batch, at its `sizeBytes`. */
  readonly known: ClosedSegment
  /** Exclusive end: bytes from the start of the file. */
  readonly end: number
  /** The base offset that the first batch must have. */
  readonly offset: number
  /** The least leader epoch that it may have. */
  readonly leaderEpoch: number
  readonly indexIntervalBytes: number
  /** Batches of idempotent producers count from this offset on: a snapshot knows the earlier ones. */
  readonly producersFrom: number
  /** What producers that are found have written at, ms since 1970. */
  readonly wallMs: number
}

/** What was found: all that recovery needs of the stretch without reading it again. */
export interface ScanOutput {
  readonly end: ScanEnd
  /** The segment as it is behind the stretch; the entries of its indexes that come from the stretch. */
  readonly mark: SegmentMark
  readonly offsets: Int32Array
  readonly times: { readonly timestamps: Float64Array; readonly offsets: Int32Array }
  /** The epochs of the batches, ascending. */
  readonly epochs: readonly EpochStart[]
  /** What `ProducerState.merge` takes. */
  readonly producers: readonly ProducerEntry[]
}

/** Checks every batch of a stretch of a segment, in the thread of `Compute`. */
export const scanSegmentTask: Task<ScanInput, ScanOutput> = {
  name: 'scanSegment',
  async body(input, { disk, checksum, check }) {
    const { known, end: endBytes, offset, leaderEpoch } = input
    const file = disk.file(input.path)
    const segment = new Segment(input.baseOffset, file, input.wallMs, known.sizeBytes, false)
    segment.resume(known)
    const epochs = new LeaderEpochs()
    const producers = new ProducerState()
    try {
      const range = { file, position: known.sizeBytes, end: endBytes, offset, leaderEpoch }
      const end = await verifyBatches(range, checksum, (header) => {
        check()
        segment.digestNext(header.baseOffset, header.sizeBytes, header.partitionLeaderEpoch, header.crc)
        segment.add(header.lastOffset, header.maxTimestampMs, header.sizeBytes, input.indexIntervalBytes)
        epochs.assign(header.partitionLeaderEpoch, header.baseOffset)
        if (header.producerId >= 0 && header.baseOffset >= input.producersFrom) {
          producers.append(header, header.baseOffset, header.maxTimestampMs, input.wallMs)
        }
      })
      return {
        end,
        mark: segment.mark(),
        offsets: segment.offsetIndex!.inMemory,
        times: segment.timeIndex!.inMemory,
        epochs: epochs.entries,
        producers: producers.entries(),
      }
    } finally {
      await file.close()
    }
  },
}

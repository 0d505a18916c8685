import type { FileRange } from '../model/fileRange.ts'
import { defaultLogConfig, type LogConfig } from '../segment/logConfig.ts'
import type { BatchHeader } from '../segment/recordBatch.ts'
import type { WriteGroup } from '../segment/writeGroup.ts'

/**
 * How a partition of `__consumer_offsets` is kept: nothing expires by age or size; the coordinator rewrites it
 * when it has grown, and small segments let the old ones go. A group's record can be large: one subscription a member.
 */
export const offsetsLogConfig: LogConfig = {
  ...defaultLogConfig,
  segmentBytes: 16 * 1024 * 1024,
  retentionMs: -1,
  retentionBytes: -1,
  maxMessageBytes: 8 * 1024 * 1024,
  timestampAfterMaxMs: Number.MAX_SAFE_INTEGER,
}

/** What `LogReign` needs of a log; the segment layer's `Log` is one. */
export interface OffsetsLog {
  readonly config: Pick<LogConfig, 'maxMessageBytes'>
  readonly logStartOffset: number
  readonly logEndOffset: number
  append(
    batch: BatchHeader,
    bytes: Uint8Array,
    leaderEpoch: number,
    group: WriteGroup,
  ): { readonly lastOffset: number }
  read(
    offset: number,
    maxBytes: number,
    endOffset: number,
    minOneBatch: boolean,
  ): ReadRanges | null | Promise<ReadRanges | null>
  /** Resolves once everything below `endOffset` is flushed as the log's policy says; rejects when it was lost. */
  whenFlushed(endOffset: number): Promise<void>
  deleteRecordsBefore(offset: number): Promise<void>
}

/** Whole batches, as stretches of files. */
export interface ReadRanges {
  readonly ranges: readonly FileRange[]
  readonly lengthBytes: number
}

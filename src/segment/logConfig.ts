import type { FlushPolicy } from '../model/flushPolicy.ts'

/** How one log is kept. Bytes and milliseconds; names are Kafka's topic configs. */
export interface LogConfig {
  /** A segment grows no larger than this; a batch larger than this is refused. */
  readonly segmentBytes: number
  /** A segment takes batches for no longer than this; see `mostSegmentMs`. */
  readonly segmentMs: number
  /** Bytes of batches between two index entries. */
  readonly indexIntervalBytes: number
  /** A segment rolls before one of its index files would grow beyond this. */
  readonly segmentIndexBytes: number
  /** -1: kept whatever their age. */
  readonly retentionMs: number
  /** -1: kept whatever their size. */
  readonly retentionBytes: number
  /** The largest batch taken. */
  readonly maxMessageBytes: number
  readonly timestampType: 'createTime' | 'logAppendTime'
  /** How much older than the broker's clock a timestamp may be. */
  readonly timestampBeforeMaxMs: number
  /** How much newer than the broker's clock a timestamp may be. */
  readonly timestampAfterMaxMs: number
  /** How long files outlive their deletion, so that running sends can end. */
  readonly fileDeleteDelayMs: number
  readonly flush: FlushPolicy
  /** What happens to old segments: removed by age and size, compacted by key, or both. */
  readonly cleanupPolicy: CleanupPolicy
  /** How long a tombstone or marker stays after the compaction that first met it. */
  readonly deleteRetentionMs: number
  /** How old a record has to be before compaction may touch it. */
  readonly minCompactionLagMs: number
  /** How long a record may wait for compaction; 2^53 - 1: without bound. */
  readonly maxCompactionLagMs: number
  /** The part of a log, by bytes, that has to be uncompacted before it is compacted, 0 to 1. */
  readonly minCleanableDirtyRatio: number
}

/** Kafka's `cleanup.policy`. */
export interface CleanupPolicy {
  readonly delete: boolean
  readonly compact: boolean
}

/**
 * How long a segment takes batches: an active one is not compacted, so it may not grow older than records may wait for that.
 * Source: KIP-354.
 */
export function mostSegmentMs({ cleanupPolicy, segmentMs, maxCompactionLagMs }: LogConfig): number {
  return cleanupPolicy.compact ? Math.min(segmentMs, maxCompactionLagMs) : segmentMs
}

/** Kafka's defaults, and `journal` as the flush policy. Source: Kafka documentation, "Topic Configs". */
export const defaultLogConfig: LogConfig = {
  segmentBytes: 1_073_741_824,
  segmentMs: 604_800_000,
  indexIntervalBytes: 4096,
  segmentIndexBytes: 10_485_760,
  retentionMs: 604_800_000,
  retentionBytes: -1,
  maxMessageBytes: 1_048_588,
  timestampType: 'createTime',
  timestampBeforeMaxMs: Number.MAX_SAFE_INTEGER,
  timestampAfterMaxMs: 3_600_000,
  fileDeleteDelayMs: 60_000,
  flush: 'journal',
  cleanupPolicy: { delete: true, compact: false },
  deleteRetentionMs: 86_400_000,
  minCompactionLagMs: 0,
  maxCompactionLagMs: Number.MAX_SAFE_INTEGER,
  minCleanableDirtyRatio: 0.5,
}

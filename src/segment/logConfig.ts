import type { FlushPolicy } from '../model/flushPolicy.ts'

/** How one log is kept. Bytes and milliseconds; names are Kafka's topic configs. */
export interface LogConfig {
  /** A segment grows no larger than this; a batch larger than this is refused. */
  readonly segmentBytes: number
  /** A segment takes batches for no longer than this. */
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
}

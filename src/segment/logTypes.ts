import type { CorruptionError } from '../model/errors.ts'
import type { FileRange } from '../model/fileRange.ts'
import type { Survives } from '../model/flushPolicy.ts'
import type { Logger } from '../model/logger.ts'
import type { Uuid } from '../model/uuid.ts'
import type { DiskFile } from '../runtime/disk.ts'
import type { BackgroundSync } from './backgroundSync.ts'
import type { BadRanges } from './badRanges.ts'
import type { ClosedLog, ClosedPlace } from './closedLog.ts'
import type { LeaderEpochs } from './leaderEpochs.ts'
import type { LogConfig } from './logConfig.ts'
import type { LogJournal } from './logJournal.ts'
import type { ReplayedTail } from './replayedTail.ts'
import type { ResumedLog } from './resumePoint.ts'
import type { IndexCache } from './segmentIndexes.ts'
import type { SegmentScanner } from './segmentScanner.ts'
import type { TroubleLog } from './troubleLog.ts'

/** What `Log.open` needs to know. */
export interface LogOptions {
  /** The partition's directory; it exists. */
  readonly directory: string
  readonly topicId: Uuid
  readonly config: LogConfig
  readonly logger: Logger
  /** Exclusive end of what is known to be durable: below it nothing is ever cut. */
  readonly recoveryPoint: number
  readonly logStartOffset: number
  /** The log was closed cleanly, at `recoveryPoint`. */
  readonly cleanShutdown: boolean
  /** What `closedState` gave after that; null or absent when it is not known. */
  readonly closedState?: ClosedLog | null
  /** What the log was at an offset up to `recoveryPoint`: recovery reads nothing before it. */
  readonly resume?: ResumedLog | null
  /** What a resume point has noted of segments that cannot be gone on from: which batches are theirs holds all the same. */
  readonly noted?: readonly ClosedPlace[]
  /** What replay has written behind `resume`. */
  readonly tail?: ReplayedTail | null
  /** The leader epochs below `recoveryPoint`, where no resume point has them. */
  readonly epochs?: LeaderEpochs | null
  /** Exclusive end of what the log must have, being in the journal; null or absent when nobody can tell. */
  readonly provenEnd?: number | null
  /** What is known to be wrong with the log's files: it opens offline, and nothing is changed. */
  readonly damage?: CorruptionError | null
  /** The journal has lost something: a torn end of the log may have been acknowledged. */
  readonly journalIsDamaged?: boolean
  /** Told before records are cut off at the start that may have been acknowledged; durable when it resolves. */
  readonly mayLackEnd?: () => Promise<void>
  /** `logStartOffset` was stored before any segment below it went: the first one begins there or before. */
  readonly startIsKnown?: boolean
  readonly producerIdExpirationMs: number
  /** Shared by the logs of a directory; one of its own by default. */
  readonly indexCache?: IndexCache
  /** Damage that is known, shared by the logs of a directory; one's own by default. */
  readonly badRanges?: BadRanges
  /** The node's journal; without one the policy "journal" is "batch". */
  readonly journal?: LogJournal | null
  /** Syncs behind acknowledgements; shared by the logs of a directory, one of its own by default. */
  readonly backgroundSync?: BackgroundSync
  /** Checks what recovery has to read; shared by the logs of a directory, one of its own by default. */
  readonly scanner?: SegmentScanner
  /** Told of what lasts, such as a full disk; shared by the logs of a directory, one of its own by default. */
  readonly troubles?: TroubleLog
  /** For timestamps inside compressed batches; without it the batch's first record stands for them. */
  readonly decompress?: (codec: number, body: Uint8Array) => Uint8Array
  /** Everything below it was compacted; 0 by default. */
  readonly cleanedOffset?: number
  /** Makes `Log.gapsBelow` durable. */
  readonly persistCleanedOffset?: () => Promise<void>
  /** Makes `logStartOffset` durable. */
  readonly persistStartOffset?: (offset: number) => Promise<void>
  /** Makes `recoveryPoint` durable. */
  readonly persistRecoveryPoint?: () => Promise<void>
  /** Makes the name of the log's directory durable, without which no sync of its files is worth anything. */
  readonly syncName?: () => Promise<void>
}

/** What an append was given. */
export interface AppendResult {
  readonly baseOffset: number
  /** Inclusive. */
  readonly lastOffset: number
  /** The time that the broker set, -1 when the producer's times stand. */
  readonly logAppendTimeMs: number
  /** The batch was there already, at these offsets; it may not be flushed yet. */
  readonly duplicate: boolean
  /** What the acknowledgement, which `flushedOffset` gives, will promise: by the policy at the time of the append. */
  readonly survives: Survives
}

/** What is known of a log before it is opened. */
export type OpenInput = Pick<LogOptions, 'topicId' | 'recoveryPoint' | 'logStartOffset' | 'cleanShutdown'> &
  Partial<LogOptions> & { readonly id: Uuid }

/** A segment that gets no more batches and is synced. */
export interface SealedSegment {
  readonly file: DiskFile
  readonly baseOffset: number
  /** Exclusive. */
  readonly endOffset: number
  readonly sizeBytes: number
  /** `extendDigest` of its batches; -1 when nobody knows. */
  readonly digest: number
}

/** Whole batches of one segment. */
export interface ReadResult {
  readonly ranges: readonly FileRange[]
  readonly lengthBytes: number
  /** Base offset of the first batch; at most the offset asked for. */
  readonly firstOffset: number
}

import type { Logger } from '../../model/logger.ts'
import type { ReplayVisitor } from './openJournal.ts'

/** What `Journal.open` is told. */
export interface JournalOptions {
  readonly directory: string
  /** 16 bytes: whose journal it is. One of another directory is refused. */
  readonly directoryId: Uint8Array
  readonly logger: Logger
  /** How large all files together may be; 1 GiB by default, at least three files. */
  readonly journalBytes?: number
  /** Size of one file, a multiple of 4 KiB; 16 MiB by default. The largest entry has a little less than half of it. */
  readonly fileBytes?: number
  /** Bound of `queuedBytes`; 64 MiB by default. */
  readonly maxQueuedBytes?: number
  /** How many frames are written and synced while the next one fills up; more of those that are full. */
  readonly depth?: number
  /** How long nothing must have been committed before an empty frame tells how far the journal is durable. */
  readonly idleMs?: number
  /** How long nothing must have been committed before a checkpoint lets go of what is in use. */
  readonly quietMs?: number
  /** Told what there is to replay while the journal is being opened. */
  readonly visitor?: ReplayVisitor
}

/** The defaults of `JournalOptions`. */
export const journalDefaults = {
  journalBytes: 1 << 30,
  fileBytes: 16 << 20,
  maxQueuedBytes: 64 << 20,
  depth: 2,
  idleMs: 50,
  quietMs: 5_000,
} as const

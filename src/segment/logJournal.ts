import type { Uuid } from '../model/uuid.ts'
import type { SyncTarget } from './backgroundSync.ts'
import type { JournalEntry } from './journal/entries.ts'

/** The part of the node's journal that writes. */
export interface JournalWriter {
  /** The most bytes that an entry may have. */
  readonly maxEntryBytes: number
  /** Copies the entries before it returns. Resolves when an fdatasync covers them. */
  commit(entries: readonly JournalEntry[]): Promise<void>
  /** Hands over what has been committed as far as possible, without waiting for what else comes in this turn. */
  start(): void
}

/** The journal as one log sees it. */
export interface LogJournal {
  /** The log's id in the journal. */
  readonly logId: Uuid
  readonly logIdBytes: Uint8Array
  readonly writer: JournalWriter
  /** From now on the files of `log` lag behind the journal, until they have been synced. */
  lags(log: SyncTarget): void
}

import type { NodeCheckpoint } from './nodeCheckpoint.ts'

/** Who has what the journal holds stored elsewhere, so that its files can be used again. */
export interface JournalHost {
  /**
   * Makes durable, outside the journal, all that frames below `sequence` hold, and returns what a start needs beside the
   * frames from there on. Everything in those frames was durable in the journal before the call.
   */
  syncBehind(sequence: number): Promise<NodeCheckpoint>
  /** What `syncBehind` gave last is durable. */
  stored?(): void
}

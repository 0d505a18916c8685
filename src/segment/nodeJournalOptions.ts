import type { Logger } from '../model/logger.ts'
import type { Uuid } from '../model/uuid.ts'
import { withoutSlash } from './durableNames.ts'
import { defaultJournalName } from './journalPlace.ts'
import type { LogDirectoryOptions } from './logDirectoryOptions.ts'

/** What `NodeJournal.open` is told. */
export interface NodeJournalOptions {
  readonly dataDirectory: string
  readonly directoryId: Uuid
  readonly logger: Logger
  /** Where the journal is. */
  readonly directory: string
  /** How large it may become. */
  readonly journalBytes?: number
  /** How large each of its files is. */
  readonly fileBytes?: number
}

/** What the journal of a data directory needs to know of that. */
export function journalOptionsOf(options: LogDirectoryOptions, directoryId: Uuid): NodeJournalOptions {
  const { directory: dataDirectory, logger, journalDirectory, journalBytes, journalFileBytes } = options
  return {
    dataDirectory,
    directoryId,
    logger,
    directory:
      journalDirectory === undefined
        ? `${dataDirectory}/${defaultJournalName}`
        : withoutSlash(journalDirectory),
    ...(journalBytes === undefined ? {} : { journalBytes }),
    ...(journalFileBytes === undefined ? {} : { fileBytes: journalFileBytes }),
  }
}

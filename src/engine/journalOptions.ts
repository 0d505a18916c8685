import type { LogDirectoryOptions } from '../segment/logDirectoryOptions.ts'

/** A small journal has small files, so that there are enough to go on in while others are stored elsewhere. */
const mostFileBytes = 16 << 20
const files = 8

/** Where the journal of a data directory is to be and how large, as `LogDirectory.open` takes it; what is undefined is left to that. */
export function journalOptions({
  journalDirectory,
  journalBytes,
}: {
  readonly journalDirectory?: string | undefined
  readonly journalBytes?: number | undefined
}): Pick<LogDirectoryOptions, 'journalDirectory' | 'journalBytes' | 'journalFileBytes'> {
  return {
    ...(journalDirectory === undefined ? {} : { journalDirectory }),
    ...(journalBytes === undefined ? {} : { journalBytes, journalFileBytes: journalFileBytes(journalBytes) }),
  }
}

/** How large each file of a journal of `journalBytes` is: whole blocks, whatever their size may be. */
function journalFileBytes(journalBytes: number): number {
  const bytes = Math.min(mostFileBytes, Math.floor(journalBytes / files))
  return bytes - (bytes % 65_536)
}

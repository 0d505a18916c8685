/** A small journal has small files, so that there are enough to go on in while others are stored elsewhere. */
const mostFileBytes = 16 << 20
const files = 8

/** How large each file of a journal of `journalBytes` is: whole blocks, whatever their size may be. */
export function journalFileBytes(journalBytes: number): number {
  const bytes = Math.min(mostFileBytes, Math.floor(journalBytes / files))
  return bytes - (bytes % 65_536)
}

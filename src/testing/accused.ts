import type { Disk } from '../runtime/disk.ts'
import type { BadRange } from '../segment/badRanges.ts'
import { parseSegmentFileName } from '../segment/fileNames.ts'
import type { Log } from '../segment/log.ts'

/**
 * Has a log check every segment, as far as it is flushed, against all that it knows of it: the first that it takes for damaged, null for
 * none. On a disk that nothing was done to there is none.
 */
export async function firstAccused(disk: Disk, log: Log): Promise<BadRange | null> {
  for (const { name } of await disk.list(log.directory)) {
    const parsed = parseSegmentFileName(name)
    if (parsed?.kind !== 'log' || parsed.leftover !== null || parsed.baseOffset >= log.flushedOffset) continue
    await log.findDamage(Math.max(parsed.baseOffset, log.logStartOffset))
  }
  return log.damage[0] ?? null
}

/** What is said of it. */
export function accusation({ file, position, expected, found }: BadRange): string {
  return `${file} is taken for damaged at ${position}: expected ${expected}, found ${found}`
}

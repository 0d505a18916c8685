import { CorruptionError } from '../model/errors.ts'
import type { FileRange } from '../model/fileRange.ts'
import type { Disk } from '../runtime/disk.ts'
import type { Log } from '../segment/log.ts'

/**
 * Where whole batches of a log lie, from the one that holds `fromOffset` on, below `endOffset`: in memory, and checked. What is
 * damaged is noted on the way, and what lies before it is given. Throws `CorruptionError` where that is nothing.
 */
export async function readChecked(
  disk: Disk,
  log: Log,
  fromOffset: number,
  maxBytes: number,
  endOffset: number,
): Promise<readonly FileRange[]> {
  const found = await log.read(fromOffset, maxBytes, endOffset, true)
  if (found === null) return []
  try {
    await disk.prepare(found.ranges)
    return found.ranges
  } catch (error) {
    if (!(error instanceof CorruptionError)) {
      log.noteUnreadable(error, found.ranges[0]!.file.path)
      throw error
    }
    if ((await log.noteDamage(found.ranges[0]!, found.firstOffset)) === null) throw error
    return readChecked(disk, log, fromOffset, maxBytes, endOffset)
  }
}

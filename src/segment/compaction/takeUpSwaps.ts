import { CorruptionError } from '../../model/errors.ts'
import type { Logger } from '../../model/logger.ts'
import type { Disk } from '../../runtime/disk.ts'
import { walkHeaders } from '../batchScan.ts'
import { parseSegmentFileName, segmentFileName } from '../fileNames.ts'

/**
 * Finishes swaps that a crash interrupted: a `.log.swap` is complete and durable, so it takes the place of every segment
 * that begins inside it. May be interrupted itself. Throws `CorruptionError` when such a file is damaged, and what it was made
 * from is not there any more. True when there was one.
 */
export async function takeUpSwaps(
  disk: Disk,
  directory: string,
  names: readonly string[],
  logger: Logger,
): Promise<boolean> {
  let found = false
  for (const name of names) {
    const swap = parseSegmentFileName(name)
    if (swap === null || swap.leftover !== 'swap' || swap.kind !== 'log') continue
    found = true
    const path = `${directory}/${name}`
    let endOffset: number
    try {
      endOffset = await endOf(disk, path, swap.baseOffset)
    } catch (error) {
      const isThere = names.includes(segmentFileName(swap.baseOffset, 'log'))
      if (!(error instanceof CorruptionError) || !isThere) throw error
      // The first one goes first: all that it was made from is there still, or again.
      logger.error('a compacted segment is damaged and is left out: what it was made from is there', {
        file: path,
        error: error.message,
      })
      await disk.remove(path)
      continue
    }
    for (const other of names) {
      const parsed = parseSegmentFileName(other)
      if (parsed === null || parsed.leftover !== null) continue
      if (parsed.baseOffset < swap.baseOffset || parsed.baseOffset >= endOffset) continue
      // Indexes that have their names already may be those of the new segment. They are made again, for the others
      // would be wrong beside it. Producers and transactions at its begin are as they were.
      const isBase = parsed.baseOffset === swap.baseOffset
      if (isBase && (parsed.kind === 'snapshot' || parsed.kind === 'txnindex')) continue
      await disk.remove(`${directory}/${other}`)
    }
    for (const kind of ['index', 'timeindex', 'txnindex'] as const) {
      const final = segmentFileName(swap.baseOffset, kind)
      if (names.includes(`${final}.swap`))
        await disk.rename(`${directory}/${final}.swap`, `${directory}/${final}`)
    }
    await disk.syncDirectory(directory)
    await disk.rename(path, `${directory}/${segmentFileName(swap.baseOffset, 'log')}`)
    await disk.syncDirectory(directory)
    logger.warn('took up a segment that an interrupted compaction had finished', { file: path, endOffset })
  }
  return found
}

/** Offset after the last batch. */
async function endOf(disk: Disk, path: string, baseOffset: number): Promise<number> {
  const file = disk.file(path)
  let endOffset = baseOffset
  await walkHeaders(file, 0, await file.size(), (header) => {
    endOffset = header.lastOffset + 1
    return true
  })
  await file.close()
  return endOffset
}

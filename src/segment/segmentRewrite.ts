import { CorruptionError } from '../model/errors.ts'
import type { Logger } from '../model/logger.ts'
import { planted } from '../model/planted.ts'
import type { Disk, DiskFile } from '../runtime/disk.ts'
import type { Runtime } from '../runtime/runtime.ts'
import { extendDigest } from './batchDigest.ts'
import { verifyBatches } from './batchScan.ts'
import type { LogState } from './logState.ts'
import { type Patience, whenReadable } from './patiently.ts'
import { digests } from './sameSegment.ts'
import type { Segment } from './segment.ts'

const stepBytes = 1 << 20

const once: Patience = (read) => read()

/** Rewrites every segment of a log that is not finished; afterwards all that was acknowledged is synced. */
export async function rewriteUnfinished(state: LogState): Promise<void> {
  const { segments, sealer, flush } = state
  const unfinished = [...sealer.segments(), segments.active].filter(({ isNew }) => !isNew)
  for (const segment of unfinished) {
    const index = segments.all.indexOf(segment)
    // All of it was deleted meanwhile.
    if (index === -1) continue
    await rewriteSegment(state.runtime, segment, state.endOffsetOf(index), (read) =>
      whenReadable(state, read),
    )
    segment.isNameSynced = true
  }
  flush.synced(state.logEndOffset)
}

/**
 * Puts a new file, synced, in the place of a segment's file whose sync has failed: what that file says it holds may
 * never reach the disk. Every batch is checked on the way, since the page cache is no evidence. Nothing may be on its way to the
 * file meanwhile. Rejects when bytes have been lost, cannot be read with `patience`, or the new file cannot be synced either.
 */
export async function rewriteSegment(
  { disk, checksum }: Runtime,
  segment: Segment,
  endOffset: number,
  patience: Patience = once,
): Promise<void> {
  const check = async (copy: DiskFile): Promise<void> => {
    const range = { file: copy, position: 0, end: segment.sizeBytes, offset: segment.baseOffset }
    let digest = 0
    const { damage, nextOffset, validBytes } = await verifyBatches(range, checksum, (header) => {
      const { baseOffset, sizeBytes, partitionLeaderEpoch, crc } = header
      digest = extendDigest(digest, baseOffset, sizeBytes, partitionLeaderEpoch, crc)
    })
    const file = segment.file.path
    if (damage !== null) throw new CorruptionError({ file, ...damage })
    if (segment.digest >= 0 && digest !== segment.digest) {
      const [expected, found] = digests(segment.digest, digest)
      throw new CorruptionError({ file, position: 0, expected, found })
    }
    if (nextOffset === endOffset) return
    const lost = { expected: `records up to offset ${endOffset}`, found: `none from offset ${nextOffset} on` }
    throw new CorruptionError({ file, position: validBytes, ...lost })
  }
  await replaceByCopy(disk, segment.file, segment.sizeBytes, check, patience)
}

/** Syncs what a scan has read, from segment `first` on, each file as `syncOrRewrite` does. */
export async function syncFound(
  runtime: Runtime,
  segments: readonly Segment[],
  first: number,
  endOffset: number,
  logger: Logger,
): Promise<void> {
  for (let index = first; index < segments.length; index++) {
    await syncOrRewrite(runtime, segments[index]!, segments[index + 1]?.baseOffset ?? endOffset, logger)
  }
}

/** Syncs a segment's file, or writes it into a new one, read with `patience`, when that fails. Rejects when that fails, too. */
export async function syncOrRewrite(
  runtime: Runtime,
  segment: Segment,
  endOffset: number,
  logger: Logger,
  patience: Patience = once,
): Promise<void> {
  try {
    await segment.file.sync()
  } catch (error) {
    logger.warn('a sync failed: the segment is written into a new file', {
      file: segment.file.path,
      error: String(error),
    })
    await rewriteSegment(runtime, segment, endOffset, patience)
  }
}

/**
 * Puts a copy of the first `sizeBytes` of a file in its place, durably, if `check` lets it; the copy is another file for the
 * system, without what it remembers of failed syncs. Rejects as `check` does, and with the disk's errors: then the file is as it was.
 */
export async function replaceByCopy(
  disk: Disk,
  file: DiskFile,
  sizeBytes: number,
  check: (copy: DiskFile) => Promise<void>,
  patience: Patience = once,
): Promise<void> {
  const { path } = file
  // A crash leaves it to be removed.
  const copyPath = `${path}.cleaned`
  await disk.remove(copyPath)
  const copy = disk.file(copyPath)
  try {
    await copyBytes(disk, file, copy, sizeBytes, patience)
    await patience(() => check(copy))
    if (!planted('renameBeforeSync')) await copy.sync()
  } catch (error) {
    // What is there of it takes room that others may need.
    await disk.remove(copyPath).catch(() => {})
    throw error
  }
  await copy.close()
  await disk.rename(copyPath, path)
  await disk.syncDirectory(path.slice(0, path.lastIndexOf('/')))
}

async function copyBytes(
  disk: Disk,
  file: DiskFile,
  copy: DiskFile,
  sizeBytes: number,
  patience: Patience,
): Promise<void> {
  // There also when there is nothing to copy.
  await disk.submit([{ file: copy, position: 0, parts: [], sync: 'none' }])
  for (let position = 0; position < sizeBytes; ) {
    const step = new Uint8Array(Math.min(stepBytes, sizeBytes - position))
    const count = await patience(() => file.read(step, position))
    if (count === 0) break
    await disk.submit([{ file: copy, position, parts: [step.subarray(0, count)], sync: 'none' }])
    position += count
  }
}

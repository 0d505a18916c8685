import { CorruptionError } from '../model/errors.ts'
import { planted } from '../model/planted.ts'
import { verifyBatches } from './batchScan.ts'
import type { LogState } from './logState.ts'
import type { Segment } from './segment.ts'

const stepBytes = 1 << 20

/** Rewrites every segment of a log that is not finished; afterwards all that was acknowledged is synced. */
export async function rewriteUnfinished(state: LogState): Promise<void> {
  const { segments, sealer, flush } = state
  const unfinished = [...sealer.segments(), segments.active].filter(({ isNew }) => !isNew)
  for (const segment of unfinished) {
    await rewriteSegment(state, segment, state.endOffsetOf(segments.all.indexOf(segment)))
  }
  flush.synced(state.logEndOffset)
}

/**
 * Puts a new file, synced, in the place of a segment's file whose sync has failed: what that file says it holds may
 * never reach the disk. Every batch is checked on the way, since the page cache is no evidence. Nothing may be on its way to the
 * file meanwhile. Rejects when bytes have been lost or the new file cannot be synced either.
 */
async function rewriteSegment(state: LogState, segment: Segment, endOffset: number): Promise<void> {
  const { disk, checksum } = state.runtime
  const { path } = segment.file
  // A crash leaves it to be removed.
  const copyPath = `${path}.cleaned`
  await disk.remove(copyPath)
  const copy = disk.file(copyPath)
  for (let position = 0; position < segment.sizeBytes; ) {
    const step = new Uint8Array(Math.min(stepBytes, segment.sizeBytes - position))
    const count = await segment.file.read(step, position)
    if (count === 0) break
    await disk.submit([{ file: copy, position, parts: [step.subarray(0, count)], sync: 'none' }])
    position += count
  }
  const range = { file: copy, position: 0, end: segment.sizeBytes, offset: segment.baseOffset }
  const { damage, nextOffset, validBytes } = await verifyBatches(range, checksum, () => {})
  if (damage !== null) throw new CorruptionError({ file: path, ...damage })
  if (nextOffset !== endOffset) {
    const lost = { expected: `records up to offset ${endOffset}`, found: `none from offset ${nextOffset} on` }
    throw new CorruptionError({ file: path, position: validBytes, ...lost })
  }
  if (!planted('renameBeforeSync')) await copy.sync()
  await copy.close()
  await disk.rename(copyPath, path)
  await disk.syncDirectory(state.directory)
  segment.isNameSynced = true
}

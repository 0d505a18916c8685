import { toEngineError } from '../../model/errors.ts'
import type { Disk } from '../../runtime/disk.ts'
import { type SegmentFileKind, segmentFileName } from '../fileNames.ts'
import type { LogState } from '../logState.ts'
import { Segment } from '../segment.ts'
import type { CleanOutput } from './tasks.ts'

const indexKinds = ['index', 'timeindex', 'txnindex'] as const

/**
 * Puts the cleaned segment in the place of `sources`, durably and then in memory. At every moment either the sources or
 * the new segment can be made out on the disk:
 *
 *     .cleaned   being written; the sources count
 *     .swap      the new segment counts from the moment its `.log.swap` is durable; the sources may go
 *     .deleted   a source, for readers that are still at it
 *
 * `takeUpSwaps` finishes what a crash interrupted. Rejects with nothing changed before the `.log.swap`; after it the log
 * can only go offline, which `fail` does.
 */
export async function swapSegments(
  state: LogState,
  sources: readonly Segment[],
  cleaned: Pick<CleanOutput, 'sizeBytes' | 'digest' | 'firstDigest'>,
  fail: (cause: unknown) => void,
): Promise<void> {
  const { disk } = state.runtime
  const { baseOffset } = sources[0]!
  const path = (kind: SegmentFileKind): string => `${state.directory}/${segmentFileName(baseOffset, kind)}`
  if (!sources.every(({ mayBeReplaced }) => mayBeReplaced)) await state.replacing(sources)
  // Readers that have a source keep on using its indexes, whose files are about to change.
  for (const source of sources) await state.segments.keepIndexes(source)
  const kinds = await cleanedIndexes(disk, path)
  for (const kind of kinds) await disk.rename(`${path(kind)}.cleaned`, `${path(kind)}.swap`)
  await disk.syncDirectory(state.directory)
  try {
    await disk.rename(`${path('log')}.cleaned`, `${path('log')}.swap`)
    await disk.syncDirectory(state.directory)
    await moveAside(state, sources)
    for (const kind of kinds) await disk.rename(`${path(kind)}.swap`, path(kind))
    // Before the segment has its name its indexes have theirs: an old one must not stand beside it.
    await disk.syncDirectory(state.directory)
    await disk.rename(`${path('log')}.swap`, path('log'))
    await disk.syncDirectory(state.directory)
  } catch (cause) {
    fail(toEngineError(cause, 'diskFailed', 'a compacted segment could not be put in place'))
    throw cause
  }
  const createdMs = sources.at(-1)!.createdMs
  const segment = new Segment(baseOffset, disk.file(path('log')), createdMs, cleaned.sizeBytes, false)
  segment.digest = cleaned.digest
  segment.firstDigest = cleaned.firstDigest
  segment.offsetIndex = null
  segment.timeIndex = null
  state.segments.replace(sources, segment, state.config.fileDeleteDelayMs)
}

async function cleanedIndexes(
  disk: Disk,
  path: (kind: SegmentFileKind) => string,
): Promise<readonly SegmentFileKind[]> {
  const found: SegmentFileKind[] = []
  for (const kind of indexKinds) if ((await disk.stat(`${path(kind)}.cleaned`)) !== null) found.push(kind)
  return found
}

/** Takes the sources' names away; whoever has one of them open goes on reading it. */
async function moveAside(state: LogState, sources: readonly Segment[]): Promise<void> {
  const { disk } = state.runtime
  for (const [index, source] of sources.entries()) {
    await disk.moveFile(source.file, `${source.file.path}.deleted`)
    for (const kind of indexKinds) {
      await disk.remove(`${state.directory}/${segmentFileName(source.baseOffset, kind)}`)
    }
    // Producers as they were where the new segment begins are of use still.
    if (index === 0) continue
    await disk.remove(`${state.directory}/${segmentFileName(source.baseOffset, 'snapshot')}`)
  }
}

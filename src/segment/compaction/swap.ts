import { toEngineError } from '../../model/errors.ts'
import type { Disk } from '../../runtime/disk.ts'
import { type SegmentFileKind, segmentFileName } from '../fileNames.ts'
import type { LogState } from '../logState.ts'
import { whenRoom } from '../patiently.ts'
import { Segment } from '../segment.ts'
import type { CleanOutput } from './tasks.ts'

/** What a file holds. */
type Written = Pick<CleanOutput, 'sizeBytes' | 'digest' | 'firstDigest'>

const indexKinds = ['index', 'timeindex', 'txnindex'] as const

/**
 * Puts the cleaned segment, or one that was mended, in the place of `sources`, durably and then in memory. At every moment either
 * the sources or the new segment can be made out on the disk:
 *
 *     .cleaned   being written; the sources count. So is .mended
 *     .swap      the new segment counts from the moment its `.log.swap` is durable; the sources may go
 *     .deleted   a source, for readers that are still at it
 *
 * `takeUpSwaps` finishes what a crash interrupted. Rejects with nothing changed before the `.log.swap`; after it the log
 * can only go offline, which `fail` does.
 */
export async function swapSegments(
  state: LogState,
  sources: readonly Segment[],
  cleaned: Written,
  writtenAs: 'cleaned' | 'mended',
  fail: (cause: unknown) => void,
): Promise<void> {
  const { sizeBytes, digest, firstDigest } = cleaned
  const paths = sources.map(({ file }) => file.path)
  try {
    await state.replacing(sources, { sizeBytes, digest, firstDigest })
    await putInPlace(state, sources, cleaned, writtenAs, fail)
    // All of it was read; what was mended may be bad in other places still.
    if (writtenAs === 'cleaned') for (const path of paths) state.badRanges.forget(path)
  } finally {
    state.stay(sources)
  }
}

async function putInPlace(
  state: LogState,
  sources: readonly Segment[],
  cleaned: Written,
  writtenAs: 'cleaned' | 'mended',
  fail: (cause: unknown) => void,
): Promise<void> {
  const { disk } = state.runtime
  const { baseOffset } = sources[0]!
  const path = (kind: SegmentFileKind): string => `${state.directory}/${segmentFileName(baseOffset, kind)}`
  // Readers that have a source keep on using its indexes, whose files are about to change.
  for (const source of sources) await state.segments.keepIndexes(source)
  const kinds = await indexesOf(disk, path, writtenAs)
  // Once begun it has to end: what wants nothing but room, or a descriptor, waits for it.
  const rename = (from: string, to: string): Promise<void> => whenRoom(state, () => disk.rename(from, to))
  const syncNames = (): Promise<void> => whenRoom(state, () => disk.syncDirectory(state.directory))
  for (const kind of kinds) await rename(`${path(kind)}.${writtenAs}`, `${path(kind)}.swap`)
  await syncNames()
  try {
    await rename(`${path('log')}.${writtenAs}`, `${path('log')}.swap`)
    await syncNames()
    await moveAside(state, sources)
    for (const kind of kinds) await rename(`${path(kind)}.swap`, path(kind))
    // Before the segment has its name its indexes have theirs: an old one must not stand beside it.
    await syncNames()
    await rename(`${path('log')}.swap`, path('log'))
    await syncNames()
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
  state.flush.replaced(sources, segment)
  state.sealer.replaced(sources, segment)
}

/** Removes what was written for a segment from `baseOffset` on that is not to take anybody's place; the next start would, too. */
export async function discardCleaned({ runtime, directory }: LogState, baseOffset: number): Promise<void> {
  for (const kind of ['log', ...indexKinds] as const) {
    const path = `${directory}/${segmentFileName(baseOffset, kind)}.cleaned`
    await runtime.disk.remove(path).catch(() => {})
  }
}

async function indexesOf(
  disk: Disk,
  path: (kind: SegmentFileKind) => string,
  writtenAs: 'cleaned' | 'mended',
): Promise<readonly SegmentFileKind[]> {
  const found: SegmentFileKind[] = []
  for (const kind of indexKinds)
    if ((await disk.stat(`${path(kind)}.${writtenAs}`)) !== null) found.push(kind)
  return found
}

/** Takes the sources' names away; whoever has one of them open goes on reading it. */
async function moveAside(state: LogState, sources: readonly Segment[]): Promise<void> {
  const { disk } = state.runtime
  for (const [index, source] of sources.entries()) {
    const { path } = source.file
    await whenRoom(state, async () => {
      // Who still reads what an earlier swap has moved needs that under its own name.
      const aside = `${path}.${state.replacements}.deleted`
      // It has moved when only its old name could not be removed.
      if (source.file.path === path) await disk.moveFile(source.file, aside)
      else await disk.remove(path)
    })
    for (const kind of indexKinds) {
      await disk.remove(`${state.directory}/${segmentFileName(source.baseOffset, kind)}`)
    }
    // Producers as they were where the new segment begins are of use still.
    if (index === 0) continue
    await disk.remove(`${state.directory}/${segmentFileName(source.baseOffset, 'snapshot')}`)
  }
}

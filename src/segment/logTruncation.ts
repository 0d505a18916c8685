import { planted } from '../model/planted.ts'
import type { Disk } from '../runtime/disk.ts'
import type { Runtime } from '../runtime/runtime.ts'
import { walkHeaders } from './batchScan.ts'
import { parseSegmentFileName, segmentFileName } from './fileNames.ts'
import type { LogState } from './logState.ts'
import { type Patience, whenReadable, whenRoom } from './patiently.ts'
import { decodeProducerSnapshot } from './producerSnapshot.ts'
import { ProducerState } from './producerState.ts'
import { Segment } from './segment.ts'
import { syncOrRewrite } from './segmentRewrite.ts'

/** Cuts a log in which nothing is in flight so that it ends before the batch that holds `offset`, durably. */
export async function cutLog(state: LogState, offset: number): Promise<void> {
  const index = state.segments.indexFor(offset)
  // Nothing has changed yet: what cannot be read now may be in a moment.
  const { cut, producers } = await whenReadable(state, async () => {
    const cut = await cutSegment(state.segments.all[index]!, offset, state.config.indexIntervalBytes)
    const kept = [...state.segments.all.slice(0, index), cut.segment]
    return { cut, producers: await rebuildProducers(state.runtime, state.directory, kept, cut.endOffset) }
  })
  // First what recovery may count on, then the bytes: a crash in between finds them above the recovery point.
  const dropped = state.segments.makeActive(cut.segment)
  state.flush.reset(cut.endOffset, cut.segment)
  state.cuts++
  state.logEndOffset = cut.endOffset
  // At once: a checkpoint may be made at any time.
  producers.addEarlier(state.producers)
  state.producers.replace(producers)
  if (state.gapsBelow > cut.endOffset) {
    // What is appended in the place of what is cut was never compacted.
    state.cleanedOffset = Math.min(state.cleanedOffset, cut.endOffset)
    state.gapsBelow = cut.endOffset
    await whenRoom(state, async () => state.options.persistCleanedOffset?.())
  }
  state.sealer.drop(cut.segment)
  state.recent.clear()
  state.indexFilesCurrent = false
  if (state.epochs.truncateFromEnd(cut.endOffset)) state.epochsChanged = true
  const { journal } = state.options
  if (!planted('truncateNotJournaled')) {
    const { endOffset, segment } = cut
    state.unfinishedCut = { endOffset, segmentBaseOffset: segment.baseOffset, position: segment.sizeBytes }
    await journal?.writer.commit([{ type: 'truncate', logId: journal.logId, ...state.unfinishedCut }])
  }
  await whenRoom(state, () => removeSnapshotsAbove(state.runtime.disk, state.directory, cut.endOffset))
  // A checkpoint of the journal alone would hide that nothing else says where the log ends.
  if (!planted('truncateNotJournaled')) {
    await whenRoom(state, async () => state.options.persistRecoveryPoint?.())
  }
  for (const { file } of dropped.toReversed()) {
    await state.runtime.disk.remove(file.path)
    state.badRanges.forget(file.path)
  }
  state.badRanges.forget(cut.segment.file.path, cut.segment.sizeBytes)
  if (!cut.segment.isNew) {
    await whenRoom(state, () => cut.segment.file.truncate(cut.segment.sizeBytes))
    const { logger } = state.options
    const patience: Patience = (read) => whenReadable(state, read)
    await whenRoom(state, () => syncOrRewrite(state.runtime, cut.segment, cut.endOffset, logger, patience))
  }
  await whenRoom(state, () => state.runtime.disk.syncDirectory(state.directory))
  // First here: no checkpoint may have it that the journal lets go of what ends it.
  state.unfinishedCut = null
  if (journal) await journal.writer.commit([{ type: 'truncated', logId: journal.logId }])
}

/** The part of a segment below an offset, as a segment that takes appends again. */
interface CutSegment {
  readonly segment: Segment
  /** Offset after the last batch that stays. */
  readonly endOffset: number
}

/** What is left of `segment` when every batch that ends at or after `offset` goes. Changes no file. */
async function cutSegment(segment: Segment, offset: number, indexIntervalBytes: number): Promise<CutSegment> {
  const { baseOffset, file, createdMs, isNew } = segment
  const kept = new Segment(baseOffset, file, createdMs, 0, isNew)
  kept.isNameSynced = segment.isNameSynced
  kept.isNameDurable = segment.isNameDurable
  let endOffset = baseOffset
  await walkHeaders(file, 0, segment.sizeBytes, (header) => {
    if (header.lastOffset >= offset) return false
    kept.digestNext(header.baseOffset, header.sizeBytes, header.partitionLeaderEpoch, header.crc)
    kept.add(header.lastOffset, header.maxTimestampMs, header.sizeBytes, indexIntervalBytes)
    endOffset = header.lastOffset + 1
    return true
  })
  // A file that was exchanged must not become this log's.
  if (kept.sizeBytes > 0 && segment.firstDigest >= 0) kept.firstDigest = segment.firstDigest
  return { segment: kept, endOffset }
}

/** Removes the producer snapshots that were taken after `offset`, durably. */
async function removeSnapshotsAbove(disk: Disk, directory: string, offset: number): Promise<void> {
  for (const snapshot of await snapshotOffsets(disk, directory)) {
    if (snapshot > offset) await disk.remove(`${directory}/${segmentFileName(snapshot, 'snapshot')}`)
  }
  await disk.syncDirectory(directory)
}

/** The idempotent producers at `endOffset`, the end of `segments`: the newest valid snapshot, and the batches after it. */
async function rebuildProducers(
  runtime: Runtime,
  directory: string,
  segments: readonly Segment[],
  endOffset: number,
): Promise<ProducerState> {
  const wallMs = runtime.clock.wallMs()
  let from = 0
  let producers = new ProducerState()
  for (const offset of (await snapshotOffsets(runtime.disk, directory)).toReversed()) {
    if (offset > endOffset) continue
    const bytes = await runtime.disk.readFile(`${directory}/${segmentFileName(offset, 'snapshot')}`)
    const entries = decodeProducerSnapshot(bytes, runtime.checksum)
    if (entries === null) continue
    from = offset
    producers = new ProducerState(entries)
    break
  }
  const first = Math.max(
    0,
    segments.findLastIndex(({ baseOffset }) => baseOffset <= from),
  )
  for (const { file, sizeBytes } of segments.slice(first)) {
    await walkHeaders(file, 0, sizeBytes, (header) => {
      if (header.producerId >= 0 && header.baseOffset >= from) {
        producers.append(header, header.baseOffset, header.maxTimestampMs, wallMs)
      }
      return true
    })
  }
  return producers
}

/** Offsets of the `.snapshot` files, ascending. */
async function snapshotOffsets(disk: Disk, directory: string): Promise<number[]> {
  const offsets: number[] = []
  for (const { name } of await disk.list(directory)) {
    const parsed = parseSegmentFileName(name)
    if (parsed?.kind === 'snapshot' && parsed.leftover === null) offsets.push(parsed.baseOffset)
  }
  return offsets.sort((left, right) => left - right)
}

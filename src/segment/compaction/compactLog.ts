import { walkHeaders } from '../batchScan.ts'
import type { LogState } from '../logState.ts'
import { checkFirstBatch } from '../sameSegment.ts'
import type { Segment } from '../segment.ts'
import type { LastBatch } from './batchCleaner.ts'
import { discardCleaned, swapSegments } from './swap.ts'
import {
  type CleanInput,
  cleanSegmentsTask,
  type MapOutput,
  mapKeysTask,
  type SourceSegment,
} from './tasks.ts'
import type { TransactionProgress } from './transactions.ts'

const largestRelativeOffset = 0x7fff_ffff

/** Bounds of a compaction. */
export interface CompactOptions {
  /** Nothing from here on is touched: the high watermark, or the last stable offset where that is lower. */
  readonly endOffset: number
  /** Memory for keys; more keys take more rounds. */
  readonly maxMapBytes: number
  /** Batches whose records take more are kept as they are. */
  readonly maxBodyBytes: number
  readonly signal?: AbortSignal
}

/** What a log has for compaction. */
export interface Dirtiness {
  /** Bytes of segments that were compacted before. */
  readonly cleanBytes: number
  /** Bytes of sealed segments with records that were not, and that may be. */
  readonly dirtyBytes: number
  /** Where those begin, and end (exclusive). */
  readonly firstDirtyOffset: number
  readonly endOffset: number
  /** When the oldest of them was written, ms since 1970; null when nobody asked or there are none. */
  readonly dirtySinceMs: number | null
}

/** What a compaction did. */
export interface Compacted {
  /** Everything below was compacted. */
  readonly cleanedOffset: number
  readonly bytesBefore: number
  readonly bytesAfter: number
  readonly recordsRead: number
  readonly recordsKept: number
  /** Batches that could not be decompressed and were kept as they are. */
  readonly unreadable: number
}

/** What compaction may work on: sealed segments that a crash cannot take, below `endOffset`, older than the lag. */
export async function dirtinessOf(state: LogState, endOffset: number): Promise<Dirtiness> {
  const { config, segments } = state
  const wallMs = state.runtime.clock.wallMs()
  const sealed = compactable(state, endOffset)
  const first = segments.all[0]!.baseOffset
  const firstDirtyOffset = Math.min(Math.max(state.cleanedOffset, first), segments.active.baseOffset)
  let cleanBytes = 0
  let dirtyBytes = 0
  let end = firstDirtyOffset
  let dirtySinceMs: number | null = null
  for (const { segment, endOffset: segmentEnd } of sealed) {
    if (segmentEnd <= firstDirtyOffset) {
      cleanBytes += segment.sizeBytes
      continue
    }
    if (config.minCompactionLagMs > 0) {
      const newestMs = await segments.largestTimestamp(segment)
      if ((newestMs >= 0 ? newestMs : segment.createdMs) > wallMs - config.minCompactionLagMs) break
    }
    if (config.maxCompactionLagMs < Number.MAX_SAFE_INTEGER) {
      const sinceMs = await firstTimestamp(segment)
      dirtySinceMs = dirtySinceMs === null ? sinceMs : Math.min(sinceMs, dirtySinceMs)
    }
    dirtyBytes += segment.sizeBytes
    end = segmentEnd
  }
  return { cleanBytes, dirtyBytes, firstDirtyOffset, endOffset: end, dirtySinceMs }
}

/** Sealed segments that end at or below `endOffset` and are durable, ascending without a gap. */
function compactable(
  state: LogState,
  endOffset: number,
): readonly { readonly segment: Segment; readonly endOffset: number }[] {
  const sealed = state.sealedSegments()
  const bound = Math.min(endOffset, state.flush.flushedOffset)
  return sealed.flatMap((each, index) => {
    const segment = state.segments.all[index]!
    return each.endOffset <= bound && each.file === segment.file
      ? [{ segment, endOffset: each.endOffset }]
      : []
  })
}

async function firstTimestamp(segment: Segment): Promise<number> {
  let firstMs = segment.createdMs
  await walkHeaders(segment.file, 0, segment.sizeBytes, (header) => {
    if (header.maxTimestampMs >= 0) firstMs = header.maxTimestampMs
    return header.recordsCount === 0
  })
  return firstMs
}

/**
 * Compacts what `dirtinessOf` finds: reads the keys of what is dirty, then rewrites every segment up to there, group by
 * group. Resolves with null when there was nothing to do, or the log was cut meanwhile. `fail` takes the log offline.
 */
export async function compactLog(
  state: LogState,
  options: CompactOptions,
  fail: (cause: unknown) => void,
): Promise<Compacted | null> {
  let total: Compacted | null = null
  for (;;) {
    const { cuts } = state
    const { firstDirtyOffset, endOffset, dirtyBytes } = await dirtinessOf(state, options.endOffset)
    if (dirtyBytes === 0) return total
    const round = await compactRound(state, options, fail, firstDirtyOffset, endOffset)
    if (round === null || state.cuts !== cuts) return total
    state.cleanedOffset = round.cleanedOffset
    state.gapsBelow = Math.max(state.gapsBelow, round.cleanedOffset)
    total = total === null ? round : sum(total, round)
    if (round.cleanedOffset <= firstDirtyOffset || round.cleanedOffset >= endOffset) return total
  }
}

/** One map of keys, and every segment rewritten by it. */
async function compactRound(
  state: LogState,
  options: CompactOptions,
  fail: (cause: unknown) => void,
  firstDirtyOffset: number,
  endOffset: number,
): Promise<Compacted | null> {
  const { cuts } = state
  const all = compactable(state, endOffset)
  for (const { segment } of all) await checkFirstBatch(segment, state.runtime.checksum)
  const { compute, clock, random } = state.runtime
  const { maxMapBytes, maxBodyBytes, signal } = options
  const nowMs = clock.wallMs()
  const run = signal === undefined ? {} : { signal }
  const dirty = all.filter((each) => each.endOffset > firstDirtyOffset)
  const seed = random.below(2 ** 32)
  const input = { segments: dirty.map(sourceOf), firstDirtyOffset, maxMapBytes, seed, maxBodyBytes }
  const map = await guarded(state, cuts, () => compute.run(mapKeysTask, input, run))
  if (map === null || map.mapEnd <= firstDirtyOffset) return null
  const result = { bytesBefore: 0, bytesAfter: 0, recordsRead: 0, recordsKept: 0, unreadable: 0 }
  let transactions: TransactionProgress = { ahead: map.aborted, aborting: [], committing: [] }
  let keepTombstones = false
  for (const group of groupsOf(
    state,
    all.filter(({ segment }) => segment.baseOffset < map.mapEnd),
  )) {
    const clean = cleanInput(
      state,
      group.map(sourceOf),
      map,
      nowMs,
      transactions,
      keepTombstones,
      maxBodyBytes,
    )
    const sources = group.map(({ segment }) => segment)
    const output = await guarded(state, cuts, () => compute.run(cleanSegmentsTask, clean, run))
    if (output === null) {
      await discardCleaned(state, sources[0]!.baseOffset)
      return null
    }
    if (output.changed && !state.config.cleanupPolicy.compact && state.gapsBelow < map.mapEnd) {
      // Who reads the new segment after a crash has to know that its gaps are none of a damaged disk's, also without the policy.
      const before = state.gapsBelow
      state.gapsBelow = map.mapEnd
      try {
        await state.options.persistCleanedOffset?.()
      } catch (error) {
        // The next attempt has to store it.
        state.gapsBelow = Math.min(before, state.gapsBelow)
        throw error
      }
    }
    if (
      output.changed &&
      !(await swapped(state, cuts, () => swapSegments(state, sources, output, 'cleaned', fail), sources))
    ) {
      await discardCleaned(state, sources[0]!.baseOffset)
      return null
    }
    transactions = output.transactions
    keepTombstones = output.keepTombstones
    for (const { sizeBytes } of sources) result.bytesBefore += sizeBytes
    result.bytesAfter += output.sizeBytes
    result.recordsRead += output.recordsRead
    result.recordsKept += output.recordsKept
    result.unreadable += output.unreadable
  }
  return { ...result, cleanedOffset: map.mapEnd }
}

/** Runs a task; null, whatever came of it, when its segments are not the log's any more. */
async function guarded<T>(state: LogState, cuts: number, run: () => Promise<T>): Promise<T | null> {
  const isGone = (): boolean => state.cuts !== cuts || state.offline !== null || state.isClosing
  try {
    const output = await run()
    return isGone() ? null : output
  } catch (error) {
    if (isGone()) return null
    throw error
  }
}

/** Swaps while nobody cuts or closes the log; false when somebody did before. */
async function swapped(
  state: LogState,
  cuts: number,
  swap: () => Promise<void>,
  sources: readonly Segment[],
): Promise<boolean> {
  // One that is being mended is left for the next time.
  const isThere = sources.every((source) => state.segments.all.includes(source) && !source.isBeingReplaced)
  if (
    !isThere ||
    state.cuts !== cuts ||
    state.refusal !== null ||
    state.offline !== null ||
    state.isClosing
  ) {
    return false
  }
  for (const source of sources) source.isBeingReplaced = true
  const swapping = swap()
  state.busyWith(swapping)
  try {
    await swapping
  } finally {
    for (const source of sources) source.isBeingReplaced = false
  }
  return true
}

function cleanInput(
  state: LogState,
  segments: readonly SourceSegment[],
  map: MapOutput,
  nowMs: number,
  transactions: TransactionProgress,
  keepTombstones: boolean,
  maxBodyBytes: number,
): CleanInput {
  const { deleteRetentionMs, indexIntervalBytes } = state.config
  return {
    directory: state.directory,
    segments,
    keys: map.keys,
    mapEnd: map.mapEnd,
    nowMs,
    deleteRetentionMs,
    keepTombstones,
    transactions,
    producers: lastBatches(state),
    indexIntervalBytes,
    maxBodyBytes,
  }
}

function lastBatches(state: LogState): LastBatch[] {
  return state.producers.entries().map(({ producerId, epoch, batches }) => {
    return { producerId, producerEpoch: epoch, lastDataOffset: batches.at(-1)?.lastOffset ?? -1 }
  })
}

function sourceOf({ segment, endOffset }: { segment: Segment; endOffset: number }): SourceSegment {
  const { baseOffset, sizeBytes, file } = segment
  return { path: file.path, baseOffset, endOffset, sizeBytes }
}

/** Neighbours that fit into one segment together, as far as their sizes before say. */
function groupsOf<T extends { readonly segment: Segment; readonly endOffset: number }>(
  state: LogState,
  segments: readonly T[],
): T[][] {
  const groups: T[][] = []
  let groupBytes = 0
  for (const each of segments) {
    const group = groups.at(-1)
    const fits =
      group !== undefined &&
      groupBytes + each.segment.sizeBytes <= state.config.segmentBytes &&
      each.endOffset - group[0]!.segment.baseOffset <= largestRelativeOffset
    if (fits) {
      group.push(each)
      groupBytes += each.segment.sizeBytes
    } else {
      groups.push([each])
      groupBytes = each.segment.sizeBytes
    }
  }
  return groups
}

function sum(left: Compacted, right: Compacted): Compacted {
  return {
    cleanedOffset: right.cleanedOffset,
    bytesBefore: left.bytesBefore,
    bytesAfter: right.bytesAfter,
    recordsRead: left.recordsRead + right.recordsRead,
    recordsKept: right.recordsKept,
    unreadable: right.unreadable,
  }
}

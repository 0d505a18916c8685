import { CorruptionError } from '../../model/errors.ts'
import type { Codecs, Task, TaskWorld } from '../../runtime/compute.ts'
import { verifyBatches } from '../batchScan.ts'
import { BatchHeader, batchHeaderBytes } from '../recordBatch.ts'
import { BatchCleaner, type LastBatch } from './batchCleaner.ts'
import { CleanedSegment } from './cleanedSegment.ts'
import { KeyMap, type KeyMapState } from './keyMap.ts'
import { RecordCursor } from './recordCursor.ts'
import { cleanedTransactionIndex } from './transactionIndex.ts'
import {
  type AbortedTransaction,
  TransactionFilter,
  TransactionFinder,
  type TransactionProgress,
} from './transactions.ts'

/** A sealed segment to be read. */
export interface SourceSegment {
  readonly path: string
  readonly baseOffset: number
  /** Exclusive. */
  readonly endOffset: number
  readonly sizeBytes: number
}

/** What the map of keys is made from. */
export interface MapInput {
  /** The segments that hold what was not compacted yet, ascending. */
  readonly segments: readonly SourceSegment[]
  /** Records below it are known not to repeat keys among themselves. */
  readonly firstDirtyOffset: number
  readonly maxMapBytes: number
  readonly seed: number
  readonly maxBodyBytes: number
}

/** The keys of a stretch of a log. */
export interface MapOutput {
  readonly keys: KeyMapState
  /** Exclusive end of the stretch: where the map was full, or a transaction is still open, or the last segment's end. */
  readonly mapEnd: number
  readonly aborted: readonly AbortedTransaction[]
}

/** Reads what was not compacted yet and notes the latest offset of each key. */
export const mapKeysTask: Task<MapInput, MapOutput> = {
  name: 'mapKeys',
  async body(input, world) {
    const found = await mapKeys(input, world, null)
    if (found !== null) return found
    // There are transactions that were given up, or are still open: who they are has to be known beforehand.
    const finder = new TransactionFinder()
    for (const segment of input.segments) {
      await eachBatch(segment, world, (header, batch) => {
        if (header.lastOffset >= input.firstDirtyOffset) finder.add(header, batch)
      })
    }
    const openFrom = Math.min(...finder.open.values())
    const segments = input.segments.filter(({ endOffset }) => endOffset <= openFrom)
    const aborted = finder.aborted.toSorted((left, right) => left.firstOffset - right.firstOffset)
    return (await mapKeys({ ...input, segments }, world, aborted))!
  },
}

/** `aborted` null: nobody has looked for transactions. Then the result is null where there are any that count. */
async function mapKeys(
  input: MapInput,
  world: TaskWorld,
  aborted: readonly AbortedTransaction[] | null,
): Promise<MapOutput | null> {
  const { firstDirtyOffset } = input
  const keys = new KeyMap(input.maxMapBytes, input.seed)
  const finder = new TransactionFinder()
  const filter = new TransactionFilter({ ahead: aborted ?? [], aborting: [], committing: [] })
  let mapEnd = firstDirtyOffset
  let isFull = false
  for (const segment of input.segments) {
    if (isFull) break
    await eachBatch(segment, world, (header, batch) => {
      if (isFull || header.lastOffset < firstDirtyOffset) return
      finder.add(header, batch)
      const counts = !filter.mayGo(header, batch) && !header.isControl && header.recordsCount > 0
      if (counts && !putKeys(keys, header, batch, input, world.codecs, mapEnd === firstDirtyOffset)) {
        isFull = true
        return
      }
      mapEnd = header.lastOffset + 1
    })
  }
  if (aborted === null && (finder.aborted.length > 0 || finder.open.size > 0)) return null
  return { keys: keys.state(), mapEnd, aborted: aborted ?? [] }
}

/** Notes the keys of a batch; false when the map is full before its end. `force` takes them all. */
function putKeys(
  keys: KeyMap,
  header: BatchHeader,
  batch: Uint8Array,
  input: MapInput,
  codecs: Codecs,
  force: boolean,
): boolean {
  try {
    const body = batch.subarray(batchHeaderBytes, header.sizeBytes)
    const records = header.codec === 0 ? body : codecs.decompress(header.codec, body, input.maxBodyBytes)
    const cursor = new RecordCursor(records)
    for (let index = 0; index < header.recordsCount; index++) {
      cursor.next()
      const offset = header.baseOffset + cursor.offsetDelta
      if (!cursor.hasKey || offset < input.firstDirtyOffset) continue
      if (!keys.put(cursor.bytes, cursor.keyStart, cursor.keyEnd, offset, force)) return false
    }
  } catch {
    // It cannot be read, so it stays whole, and takes the place of nothing.
  }
  return true
}

/** What one group of segments is cleaned with. */
export interface CleanInput {
  /** Where the segments are, and where the new one is put. */
  readonly directory: string
  /** Neighbours, ascending; one segment takes their place. */
  readonly segments: readonly SourceSegment[]
  readonly keys: KeyMapState
  /** Exclusive end of what `keys` knows. */
  readonly mapEnd: number
  readonly nowMs: number
  readonly deleteRetentionMs: number
  readonly keepTombstones: boolean
  readonly transactions: TransactionProgress
  /** The last batches of producers that still write. */
  readonly producers: readonly LastBatch[]
  readonly indexIntervalBytes: number
  readonly maxBodyBytes: number
}

/** What became of a group. */
export interface CleanOutput {
  /** False: all of the only segment stays, and no new one was left behind. */
  readonly changed: boolean
  readonly sizeBytes: number
  /** Of its batches; see `Segment`. */
  readonly digest: number
  readonly firstDigest: number
  readonly maxTimestampMs: number
  readonly recordsRead: number
  readonly recordsKept: number
  /** Batches that could not be decompressed and were kept whole. */
  readonly unreadable: number
  /** For the next group. */
  readonly keepTombstones: boolean
  readonly transactions: TransactionProgress
}

/** Writes what is kept of a group of segments into a new one: `.cleaned` files, synced, not yet in anybody's place. */
export const cleanSegmentsTask: Task<CleanInput, CleanOutput> = {
  name: 'cleanSegments',
  async body(input, world) {
    const { disk, checksum, codecs } = world
    const { segments, directory, indexIntervalBytes } = input
    const transactions = new TransactionFilter(input.transactions)
    const rules = {
      ...input,
      keys: KeyMap.from(input.keys),
      transactions,
      producers: new Map(input.producers.map((last) => [last.producerId, last])),
      codecs,
      checksum,
    }
    const cleaner = new BatchCleaner(rules)
    const target = new CleanedSegment(disk, checksum, directory, segments[0]!.baseOffset, indexIntervalBytes)
    const markers = new Set<number>()
    let changed = segments.length > 1
    try {
      await target.begin()
      for (const segment of segments) {
        await eachBatch(segment, world, (header, batch) => {
          const cleaned = cleaner.clean(header, batch)
          if (cleaned !== 'stays') changed = true
          if (cleaned === 'goes') {
            target.skip(header)
            return
          }
          if (header.isControl) markers.add(header.lastOffset)
          if (cleaned === 'stays') return target.add(header, batch, header.maxTimestampMs, true)
          return target.add(header, cleaned, readMaxTimestamp(cleaned), false)
        })
      }
      if (changed) await target.finish(await cleanedTransactionIndex(disk, segments, markers))
      else await target.discard()
    } catch (error) {
      // What cannot be removed now is removed by the next attempt, or the next start.
      await target.discard().catch(() => {})
      throw error
    }
    return {
      changed,
      sizeBytes: target.sizeBytes,
      ...target.digests,
      maxTimestampMs: target.maxTimestampMs,
      recordsRead: cleaner.recordsRead,
      recordsKept: cleaner.recordsKept,
      unreadable: cleaner.unreadable,
      keepTombstones: rules.keepTombstones,
      transactions: transactions.progress(),
    }
  },
}

/** Reads a segment batch by batch. Throws `CorruptionError`: what is damaged is not written anew with a right checksum. */
async function eachBatch(
  segment: SourceSegment,
  { disk, checksum, check }: TaskWorld,
  visit: (header: BatchHeader, batch: Uint8Array) => void | Promise<void>,
): Promise<void> {
  const file = disk.file(segment.path)
  try {
    const range = { file, position: 0, end: segment.sizeBytes, offset: segment.baseOffset }
    const end = await verifyBatches(range, checksum, (header, _, batch) => {
      check()
      return visit(header, batch)
    })
    const { damage, nextOffset, validBytes } = end
    if (damage !== null) throw new CorruptionError({ file: segment.path, ...damage })
    if (nextOffset === segment.endOffset) return
    const [expected, found] = [
      `records up to offset ${segment.endOffset}`,
      `none from offset ${nextOffset} on`,
    ]
    throw new CorruptionError({ file: segment.path, position: validBytes, expected, found })
  } finally {
    await file.close()
  }
}

function readMaxTimestamp(batch: Uint8Array): number {
  return new BatchHeader(batch, 0).maxTimestampMs
}

import { CorruptionError } from '../model/errors.ts'
import type { DiskFile } from '../runtime/disk.ts'
import { walkHeaders } from './batchScan.ts'
import { type IndexLookups, UnmappedError } from './mappedIndex.ts'
import type { Segment } from './segment.ts'
import type { SegmentIndexes } from './segmentIndexes.ts'
import type { SegmentList } from './segmentList.ts'

/** What is wanted of one segment. */
export interface RangeQuery {
  /** The segment's, as far as it can be read. */
  readonly file: DiskFile
  /** The first batch returned holds it, or the next one in the segment. */
  readonly offset: number
  readonly maxBytes: number
  /** The first batch comes even if it is larger than `maxBytes`. */
  readonly minOneBatch: boolean
  /** Nothing from this position on. */
  readonly readableBytes: number
  /** The epoch that wrote an offset, negative when nobody knows. */
  epochFor(offset: number): number
  /** No batch whose base offset is this or more; null when no batch below `readableBytes` has one. */
  readonly endOffset: number | null
}

/** Whole batches: positions in bytes from the start of the file, `end` exclusive. */
export interface BatchRange {
  readonly position: number
  readonly end: number
  readonly firstOffset: number
  /** Compaction left no record in it, up to the end of the segment. */
  readonly isEmpty: boolean
}

/**
 * Finds whole batches in a segment by its index and a short walk over batch headers. Batches without records are passed
 * over: some clients take an answer without any record for the end of the log. An index that leads to
 * where no batch begins is made again, once. Null when there is nothing to return. Throws
 * `CorruptionError` when the segment itself is damaged there.
 */
export async function findRange(
  segment: Segment,
  segments: Pick<SegmentList, 'lookups' | 'indexes' | 'rebuild'>,
  query: RangeQuery,
): Promise<BatchRange | null> {
  try {
    return await search(segment, await segments.lookups(segment), query)
  } catch (error) {
    if (error instanceof UnmappedError) return findRange(segment, decoded(segments), query)
    // The indexes of the active segment live in memory and are right: then the damage is real.
    if (!(error instanceof CorruptionError) || segment.offsetIndex !== null) throw error
    return search(segment, await segments.rebuild(segment), query)
  }
}

/** The same with indexes in memory of our own. */
function decoded(
  segments: Pick<SegmentList, 'indexes' | 'rebuild'>,
): Pick<SegmentList, 'lookups' | 'indexes' | 'rebuild'> {
  const indexes = (segment: Segment): Promise<SegmentIndexes> => segments.indexes(segment)
  return { lookups: indexes, indexes, rebuild: (segment) => segments.rebuild(segment) }
}

async function search(
  segment: Segment,
  { offsetIndex }: IndexLookups,
  query: RangeQuery,
): Promise<BatchRange | null> {
  const { offset, maxBytes, readableBytes, endOffset } = query
  const from = offsetIndex.positionFor(offset - segment.baseOffset)
  let position = -1
  let firstOffset = -1
  let limit = 0
  let end = 0
  let tooLarge = false
  let empty: BatchRange | null = null
  // Base offsets lie outside the checksum: each must continue the batch before it.
  let expectedOffset = from === 0 ? segment.baseOffset : -1
  await walkHeaders(query.file, from, readableBytes, (header, at) => {
    const isNext = expectedOffset < 0 ? header.baseOffset <= offset : header.baseOffset === expectedOffset
    if (!isNext || header.lastOffset < header.baseOffset) {
      const expected = expectedOffset < 0 ? `an offset up to ${offset}` : `offset ${expectedOffset}`
      damaged(segment, at, expected, `offset ${header.baseOffset}`)
    }
    expectedOffset = header.lastOffset + 1
    // So does the leader epoch.
    const epoch = query.epochFor(header.lastOffset)
    if (epoch >= 0 && epoch !== header.partitionLeaderEpoch) {
      damaged(segment, at, `leader epoch ${epoch}`, `leader epoch ${header.partitionLeaderEpoch}`)
    }
    if (endOffset !== null && header.baseOffset >= endOffset) return false
    if (position < 0) {
      if (header.lastOffset < offset) return true
      if (header.recordsCount === 0) {
        const { position, firstOffset } = empty ?? { position: at, firstOffset: header.baseOffset }
        empty = { position, firstOffset, end: at + header.sizeBytes, isEmpty: true }
        return true
      }
      if (header.sizeBytes > maxBytes && !query.minOneBatch) {
        tooLarge = true
        return false
      }
      position = at
      firstOffset = header.baseOffset
      end = at + header.sizeBytes
      limit = at + Math.max(maxBytes, header.sizeBytes)
      if (endOffset !== null) return true
      if (limit >= readableBytes) end = readableBytes
      else end = Math.max(end, offsetIndex.boundaryFor(limit))
      return end === at + header.sizeBytes && end < limit
    }
    if (at + header.sizeBytes > limit) return false
    end = at + header.sizeBytes
    return true
  })
  if (tooLarge) return null
  if (position < 0 && empty !== null) return empty
  if (position < 0) damaged(segment, readableBytes, `a batch with offset ${offset}`, 'the end of the segment')
  return { position, end, firstOffset, isEmpty: false }
}

function damaged(segment: Segment, position: number, expected: string, found: string): never {
  throw new CorruptionError({ file: segment.file.path, position, expected, found })
}

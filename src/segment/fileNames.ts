/** The files of a segment, by suffix. */
export type SegmentFileKind = 'log' | 'index' | 'timeindex' | 'txnindex' | 'snapshot'

/** Name of the checkpoint of leader epochs inside a log's directory. */
export const leaderEpochFile = 'leader-epoch-checkpoint'
/** Name of the file that holds a log's topic id. */
export const partitionMetadataFile = 'partition.metadata'

const pattern =
  /^(\d{20})\.(log|index|timeindex|txnindex|snapshot)((?:\.\d+)?\.deleted|\.cleaned|\.mended|\.swap)?$/

/** `00000000000000000042.log`: the base offset in 20 digits. */
export function segmentFileName(baseOffset: number, kind: SegmentFileKind): string {
  return `${String(baseOffset).padStart(20, '0')}.${kind}`
}

/** What a file name inside a log's directory says. */
export interface SegmentFileName {
  readonly baseOffset: number
  readonly kind: SegmentFileKind
  /** Left over by a deletion, a compaction or a repair that did not end. */
  readonly leftover: 'deleted' | 'cleaned' | 'mended' | 'swap' | null
}

/** Takes a file name apart; null when it is not one of a segment's. */
export function parseSegmentFileName(name: string): SegmentFileName | null {
  const match = pattern.exec(name)
  if (match === null) return null
  const baseOffset = Number(match[1])
  if (!Number.isSafeInteger(baseOffset)) return null
  return {
    baseOffset,
    kind: match[2] as SegmentFileKind,
    leftover: (match[3]?.split('.').at(-1) ?? null) as SegmentFileName['leftover'],
  }
}

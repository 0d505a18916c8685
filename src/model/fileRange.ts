/** Names a file that a `Disk` holds; only that disk, and a `Network` made with it, can look inside. */
export interface FileHandle {
  readonly path: string
}

/**
 * What has to hold of whole batches that follow each other, beside what their checksums cover, which is neither an offset nor
 * a leader epoch.
 */
export interface BatchBounds {
  /** Where the first batch begins; the earliest that it may begin at where there may be gaps. */
  readonly minOffset: number
  /** Each batch begins where the one before has ended. */
  readonly isGapless: boolean
  /** Leader epochs lie from here ... */
  readonly minEpoch: number
  /** ... to here, inclusive, and never go back. */
  readonly maxEpoch: number
}

/** Nothing is known but that offsets and epochs never go back. */
export const anyBatches: BatchBounds = {
  minOffset: 0,
  isGapless: false,
  minEpoch: -(2 ** 31),
  maxEpoch: 2 ** 31 - 1,
}

/** A stretch of a file, to be sent or read without passing through the caller's memory. */
export interface FileRange {
  readonly file: FileHandle
  /** Bytes from the start of the file. */
  readonly position: number
  readonly lengthBytes: number
  /** What whoever checks it holds its batches to; `anyBatches` when absent. */
  readonly bounds?: BatchBounds
}

/** One piece of an outgoing message: bytes, or a stretch of a file. */
export type SendPart = Uint8Array | FileRange

/** The number of bytes that `part` puts on the wire. */
export function partBytes(part: SendPart): number {
  return part instanceof Uint8Array ? part.length : part.lengthBytes
}

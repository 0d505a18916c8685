/** Names a file that a `Disk` holds; only that disk, and a `Network` made with it, can look inside. */
export interface FileHandle {
  readonly path: string
}

/** A stretch of a file, to be sent or read without passing through the caller's memory. */
export interface FileRange {
  readonly file: FileHandle
  /** Bytes from the start of the file. */
  readonly position: number
  readonly lengthBytes: number
}

/** One piece of an outgoing message: bytes, or a stretch of a file. */
export type SendPart = Uint8Array | FileRange

/** The number of bytes that `part` puts on the wire. */
export function partBytes(part: SendPart): number {
  return part instanceof Uint8Array ? part.length : part.lengthBytes
}

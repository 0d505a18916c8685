import { EngineError } from '../model/errors.ts'
import { type FileRange, partBytes, type SendPart } from '../model/fileRange.ts'
import type { DiskFile } from '../runtime/disk.ts'

/** What a group gives of its committed records: whole batches, in memory or in files. */
export interface ReadableGroup {
  readonly highWatermark: number
  /** Batches from the one that holds `fromOffset` on, below the high watermark; null when there is none. */
  read(fromOffset: number, maxBytes: number): readonly SendPart[] | null | Promise<readonly SendPart[] | null>
}

/** The committed batches of `group` from the one that holds `fromOffset` on, in memory of their own; null for none. */
export async function readBytes(
  group: ReadableGroup,
  fromOffset: number,
  maxBytes: number,
): Promise<Uint8Array | null> {
  const parts = await group.read(fromOffset, maxBytes)
  if (parts === null || parts.length === 0) return null
  const bytes = new Uint8Array(parts.reduce((sum, part) => sum + partBytes(part), 0))
  let at = 0
  for (const part of parts) {
    if (part instanceof Uint8Array) bytes.set(part, at)
    else await readRange(part, bytes.subarray(at, at + part.lengthBytes))
    at += partBytes(part)
  }
  return bytes
}

async function readRange({ file, position, lengthBytes }: FileRange, target: Uint8Array): Promise<void> {
  const count = await (file as DiskFile).read(target, position)
  if (count === lengthBytes) return
  throw new EngineError('corruptLog', `${file.path} ends ${lengthBytes - count} bytes too early`)
}

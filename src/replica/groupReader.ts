import { CorruptionError } from '../model/errors.ts'
import { type FileRange, partBytes, type SendPart } from '../model/fileRange.ts'
import type { DiskFile } from '../runtime/disk.ts'

/** What a group gives of its committed records: whole batches, in memory or in files. */
export interface ReadableGroup {
  readonly highWatermark: number
  /** Batches from the one that holds `fromOffset` on, below the high watermark; null when there is none. */
  read(fromOffset: number, maxBytes: number): readonly SendPart[] | null | Promise<readonly SendPart[] | null>
  /** How many of `bytes`, read from `range` for `fromOffset`, are good. Throws `CorruptionError` for none. */
  check?(bytes: Uint8Array, range: FileRange, fromOffset: number): number
  /** Whether to read again what was damaged at `offset`, once this resolves. */
  awaitRepair?(offset: number): Promise<boolean>
}

/** How often what is damaged is read again after a repair. */
const attempts = 5

/**
 * The committed batches of `group` from the one that holds `fromOffset` on, in memory of their own; null for none. Where they are
 * damaged they are mended first, if another replica can help.
 */
export async function readBytes(
  group: ReadableGroup,
  fromOffset: number,
  maxBytes: number,
): Promise<Uint8Array | null> {
  for (let attempt = 1; ; attempt++) {
    try {
      return await readOnce(group, fromOffset, maxBytes)
    } catch (error) {
      const isDamage = error instanceof CorruptionError && attempt < attempts
      if (!isDamage || !(await group.awaitRepair?.(fromOffset))) throw error
    }
  }
}

async function readOnce(
  group: ReadableGroup,
  fromOffset: number,
  maxBytes: number,
): Promise<Uint8Array | null> {
  const parts = await group.read(fromOffset, maxBytes)
  if (parts === null || parts.length === 0) return null
  const bytes = new Uint8Array(parts.reduce((sum, part) => sum + partBytes(part), 0))
  let at = 0
  for (const part of parts) {
    const target = bytes.subarray(at, at + partBytes(part))
    if (part instanceof Uint8Array) target.set(part)
    else {
      await readRange(part, target)
      const goodBytes = at > 0 ? target.length : (group.check?.(target, part, fromOffset) ?? target.length)
      if (goodBytes < target.length) return target.subarray(0, goodBytes)
    }
    at += target.length
  }
  return bytes
}

async function readRange({ file, position, lengthBytes }: FileRange, target: Uint8Array): Promise<void> {
  const count = await (file as DiskFile).read(target, position)
  if (count === lengthBytes) return
  const missing = { expected: `${lengthBytes - count} bytes more`, found: 'the end of the file' }
  throw new CorruptionError({ file: file.path, position: position + count, ...missing })
}

import { EngineError } from '../model/errors.ts'
import type { DiskFile } from '../runtime/disk.ts'
import type { BadRanges } from './badRanges.ts'

/** What a system reads at once, whatever is asked for. */
export const blockBytes = 4096
/** Stands for what cannot be read: no batch has it in its header. */
const filling = 0xdb

/** Whether an error says that the disk has not read what it was asked for, and not that it could not be asked. */
export function isUnreadable(error: unknown): boolean {
  if (!(error instanceof EngineError) || error.code !== 'diskFailed') return false
  const { code } = (error.cause ?? {}) as { readonly code?: unknown }
  return code === 'EIO' || code === 'ENODATA'
}

/** `file`, with other bytes in the place of blocks that cannot be read and are known for it. */
export function readingAround(file: DiskFile, isKnown: (block: number) => boolean): DiskFile {
  const read = async (target: Uint8Array, position: number): Promise<number> => {
    try {
      return await file.read(target, position)
    } catch (error) {
      if (!isUnreadable(error)) throw error
    }
    for (let at = 0; at < target.length; ) {
      const block = blockOf(position + at)
      const part = target.subarray(at, Math.min(target.length, block + blockBytes - position))
      const count = await file.read(part, position + at).catch((error: unknown) => {
        if (!isUnreadable(error) || !isKnown(block)) throw error
        part.fill(filling)
        return part.length
      })
      at += count
      if (count < part.length) return at
    }
    return target.length
  }
  return {
    path: file.path,
    read,
    size: () => file.size(),
    truncate: (sizeBytes) => file.truncate(sizeBytes),
    sync: () => file.sync(),
    close: () => file.close(),
  }
}

/** `file`, of which nothing need be readable that is known not to be. */
export function asDamaged(file: DiskFile, badRanges: BadRanges): DiskFile {
  if (badRanges.isEmpty) return file
  const isKnown = (block: number): boolean =>
    badRanges.unreadableIn(file.path, block, block + blockBytes) !== null
  return readingAround(file, isKnown)
}

function blockOf(position: number): number {
  return position - (position % blockBytes)
}

import { EngineError } from '../../model/errors.ts'
import type { Disk } from '../../runtime/disk.ts'
import { readInt64 } from '../integers.ts'

/**
 * Bytes of an entry of a `.txnindex` file: int16 version, producer id, first offset, last offset (of the marker) and last
 * stable offset, int64 each. Source: Kafka's AbortedTxn.
 */
const entryBytes = 34
const lastOffsetAt = 18

/** The entries of the segments' `.txnindex` files whose markers are in `markers`; null when no segment has such a file. */
export async function cleanedTransactionIndex(
  disk: Disk,
  segments: readonly { readonly path: string }[],
  markers: ReadonlySet<number>,
): Promise<Uint8Array | null> {
  const kept: Uint8Array[] = []
  let isThere = false
  for (const { path } of segments) {
    const bytes = await readIfThere(disk, path.replace(/\.log$/, '.txnindex'))
    if (bytes === null) continue
    isThere = true
    for (let at = 0; at + entryBytes <= bytes.length; at += entryBytes) {
      if (markers.has(readInt64(bytes, at + lastOffsetAt))) kept.push(bytes.subarray(at, at + entryBytes))
    }
  }
  return isThere ? Buffer.concat(kept) : null
}

async function readIfThere(disk: Disk, path: string): Promise<Uint8Array | null> {
  try {
    return await disk.readFile(path)
  } catch (error) {
    if (error instanceof EngineError && error.code === 'notFound') return null
    throw error
  }
}

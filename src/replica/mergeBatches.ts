import type { Batch, RaftResponse } from '../raft.ts'

/**
 * An answer to Fetch with batches of data that follow each other, in offsets and in memory, as one for the core: it looks at no
 * more than where they begin and end. Left as they are beside epochs and voter sets, which may belong between them.
 */
export function mergeBatches(
  response: Extract<RaftResponse, { type: 'fetch' }>,
): Extract<RaftResponse, { type: 'fetch' }> {
  const { batches, epochStarts, voterSets } = response
  if (batches.length < 2 || epochStarts.length > 0 || voterSets.length > 0) return response
  const merged: Batch[] = []
  for (const batch of batches) {
    const last = merged.at(-1)
    const joined = last === undefined ? null : join(last, batch)
    if (joined === null) merged.push(batch)
    else merged[merged.length - 1] = joined
  }
  return merged.length === batches.length ? response : { ...response, batches: merged }
}

function join(a: Batch, b: Batch): Batch | null {
  const first = a.records
  const second = b.records
  const isOne =
    a.leaderEpoch === b.leaderEpoch &&
    a.lastOffset + 1 === b.baseOffset &&
    a.control.length === 0 &&
    b.control.length === 0 &&
    first instanceof Uint8Array &&
    second instanceof Uint8Array &&
    first.buffer === second.buffer &&
    first.byteOffset + first.length === second.byteOffset
  if (!isOne) return null
  const { baseOffset, leaderEpoch, control } = a
  const records = new Uint8Array(first.buffer, first.byteOffset, first.length + second.length)
  return { baseOffset, lastOffset: b.lastOffset, leaderEpoch, control, records }
}

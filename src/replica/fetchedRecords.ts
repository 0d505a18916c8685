import type { RaftEvent } from '../raft.ts'
import { replicaMemory } from './leasedMemory.ts'

/** An answer to a Fetch, with the records that it brings. */
type Fetched = Extract<RaftEvent, { type: 'fetchResponse' }>

/** Bytes of its records. */
export function recordBytesOf({ response }: Fetched): number {
  let bytes = 0
  for (const { records } of response.batches) if (records instanceof Uint8Array) bytes += records.length
  return bytes
}

/** Leases of the memory of its records, which then stays as it is. */
export function leasesOf({ response }: Fetched): readonly Uint8Array[] {
  return response.batches.flatMap(({ records }) =>
    records instanceof Uint8Array ? [replicaMemory.share(records)] : [],
  )
}

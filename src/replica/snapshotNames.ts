import type { SnapshotId } from '../raft.ts'

const pattern = /^(\d{20})-(\d{10})(-taken|-fetched)?\.checkpoint(\.part)?$/
const largestEpoch = 2 ** 31 - 1

/** `00000000000000000042-0000000003.checkpoint`: the end offset in 20 digits, the epoch in 10. Source: KIP-630. */
export function snapshotFileName(id: SnapshotId): string {
  return `${stem(id)}.checkpoint`
}

/** The name of a snapshot that is not whole yet: one that is being taken here, or fetched from the leader. */
export function partFileName(id: SnapshotId, origin: 'taken' | 'fetched'): string {
  return `${stem(id)}-${origin}.checkpoint.part`
}

/** What the name of a file says of a snapshot; null when it is not one's. */
export function parseSnapshotFileName(
  name: string,
): { readonly id: SnapshotId; readonly isPart: boolean } | null {
  const match = pattern.exec(name)
  if (match === null || (match[3] !== undefined) !== (match[4] !== undefined)) return null
  const id = { endOffset: Number(match[1]), epoch: Number(match[2]) }
  if (!Number.isSafeInteger(id.endOffset) || id.epoch > largestEpoch) return null
  return { id, isPart: match[4] !== undefined }
}

function stem({ endOffset, epoch }: SnapshotId): string {
  return `${String(endOffset).padStart(20, '0')}-${String(epoch).padStart(10, '0')}`
}

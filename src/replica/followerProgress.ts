import type { RaftNode } from '../raft.ts'
import type { FollowerProgress } from './groupTypes.ts'
import type { GroupRef, Transport } from './transport.ts'

/** What is known of those that follow a replica; empty unless it leads. */
export function followersOf(
  node: RaftNode,
  transport: Transport,
  ref: GroupRef,
): readonly FollowerProgress[] {
  return node.progress.map(({ key, claimOffset, isQuarantined, lastFetchMs }) => ({
    id: key.id,
    directoryId: key.directoryId,
    claimOffset,
    counts: !isQuarantined,
    contactMs:
      claimOffset < 0 ? lastFetchMs : Math.max(lastFetchMs, transport.followerContactMs(key.id, ref)),
  }))
}

import type { QuorumState, ReplicaKey } from '../raft.ts'
import type { GroupStart } from './openGroupLog.ts'

/**
 * What a replica starts with whose journal has lost what was durable: a vote or an epoch may be among it, so it is as one whose
 * disk went back, and takes no part in elections until it is rebuilt. The only voter of a group has nobody to disagree with: it
 * goes on in an epoch that it cannot have used, and may have forgotten records.
 */
export function afterRot(start: GroupStart, self: ReplicaKey): GroupStart {
  const { quorum, highWatermark } = start.stored
  const isOnly = start.voters.at(-1)!.voters.isOnly(self)
  const known = Math.max(quorum.leaderEpoch, start.epochs.at(-1)?.epoch ?? 0)
  const leaderEpoch = isOnly ? known + 1 : known
  const isSame = leaderEpoch === quorum.leaderEpoch
  const changed: QuorumState = {
    ...quorum,
    leaderEpoch,
    leaderId: isSame ? quorum.leaderId : -1,
    voted: isSame ? quorum.voted : null,
    quarantine: isOnly ? 'forgotten' : 'rolledBack',
  }
  return { ...start, stored: { quorum: changed, highWatermark } }
}

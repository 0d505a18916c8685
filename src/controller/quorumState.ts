import { type Uuid, zeroUuid } from '../model/uuid.ts'
import type { Endpoint } from '../raft.ts'
import type { Group } from '../replica/group.ts'
import { NotLeaderError } from '../replica/notLeader.ts'
import type { Clock } from '../runtime/clock.ts'

/** How one replica of the metadata log is doing. Times are of the leader's wall clock, -1 for unknown. */
export interface ReplicaState {
  readonly id: number
  readonly directoryId: Uuid
  /** Exclusive end of what it is known to hold, -1 for nothing yet. */
  readonly logEndOffset: number
  readonly lastFetchMs: number
  readonly lastCaughtUpMs: number
}

/** The quorum of the metadata log as its leader sees it. Source: KIP-595, KIP-836. */
export interface QuorumState {
  readonly leaderId: number
  readonly leaderEpoch: number
  readonly highWatermark: number
  readonly voters: readonly ReplicaState[]
  readonly observers: readonly ReplicaState[]
  readonly nodes: readonly { readonly id: number; readonly endpoints: readonly Endpoint[] }[]
}

/** What the leader `nodeId` of `group` knows. Throws `NotLeaderError` where it does not lead. */
export function describeQuorum(group: Group, nodeId: number, clock: Clock): QuorumState {
  if (group.state !== 'leader') throw new NotLeaderError(group.leaderId)
  const { highWatermark, leaderEpoch } = group
  const wallMs = clock.wallMs()
  const nowMs = clock.monotonicMs()
  const followers = group.followers.map(({ id, directoryId, claimOffset, contactMs }): ReplicaState => {
    const lastFetchMs = Number.isFinite(contactMs) ? Math.round(wallMs - (nowMs - contactMs)) : -1
    return {
      id,
      directoryId,
      logEndOffset: claimOffset,
      lastFetchMs,
      lastCaughtUpMs: claimOffset >= highWatermark ? lastFetchMs : -1,
    }
  })
  const { voters } = group.voters.voters
  const stateOf = (id: number, directoryId: Uuid): ReplicaState => {
    if (id === nodeId) {
      const { logEndOffset } = group.log
      return { id, directoryId, logEndOffset, lastFetchMs: wallMs, lastCaughtUpMs: wallMs }
    }
    const known = followers.find((each) => each.id === id && each.directoryId === directoryId)
    return known ?? { id, directoryId, logEndOffset: -1, lastFetchMs: -1, lastCaughtUpMs: -1 }
  }
  return {
    leaderId: nodeId,
    leaderEpoch,
    highWatermark,
    voters: voters.map(({ id, directoryId }) => stateOf(id, directoryId)),
    observers: followers.filter(
      // What a static voter was before its directory was known is nobody.
      ({ id, directoryId }) =>
        directoryId !== zeroUuid &&
        !voters.some((voter) => voter.id === id && voter.directoryId === directoryId),
    ),
    nodes: voters.map(({ id, endpoints }) => ({ id, endpoints })),
  }
}

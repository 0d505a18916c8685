import { owesHighWatermark } from './leaderFetches.ts'
import type { RaftReplica } from './raftReplica.ts'
import type { FollowerData, LeaderData, ObserverData } from './states.ts'

/**
 * The nodes on whose life a replica rests that has nothing else to do: as long as they live and nothing happens, what is due
 * could be put off for ever by telling of `contact`. Null while there is something else to do.
 */
export function restsOn(r: RaftReplica): readonly number[] | null {
  const { state } = r
  switch (state.name) {
    case 'leader':
      return followersOf(r, state)
    case 'follower':
    case 'observer':
      return isCalm(r, state) ? [state.leaderId] : null
    default:
      return null
  }
}

/** The voters beside the leader, if a Fetch of each waits and nobody waits for anything else. */
function followersOf(r: RaftReplica, leader: LeaderData): readonly number[] | null {
  if (leader.reads.length > 0 || leader.change !== null || leader.transfer !== null) return null
  const waiting = new Set<number>()
  for (const { key, parked } of leader.progress.values()) {
    if (parked === null) continue
    if (owesHighWatermark(r, leader, parked.request)) return null
    if (r.voters.current.has(key)) waiting.add(key.id)
  }
  const others = r.voters.current.voters.filter(({ id }) => id !== r.config.self.id)
  return others.every(({ id }) => waiting.has(id)) ? others.map(({ id }) => id) : null
}

/** Whether a Fetch waits at the leader, and there is nothing to tell it. */
function isCalm(r: RaftReplica, loop: FollowerData | ObserverData): boolean {
  const { autoJoin, self, endpoints } = r.config
  if (loop.leaderId < 0 || loop.fetch === null || loop.claim !== null || loop.snapshot !== null) return false
  if (!loop.hasFetched || r.quorum.quarantine === 'forgotten') return false
  if (!autoJoin || !r.isDynamic) return true
  const known = r.voters.current.get(self.id)
  return r.isVoter && JSON.stringify(known?.endpoints) === JSON.stringify(endpoints)
}

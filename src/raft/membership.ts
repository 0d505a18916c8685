import { loopOf } from './fetchLoop.ts'
import type { RaftReplica } from './raftReplica.ts'
import type { Voter } from './voterSet.ts'

/**
 * An observer that may join asks the leader to make it a voter once it has caught up; its former self, with another directory,
 * goes first. A voter whose endpoints have changed says so. Source: KIP-853.
 */
export function askForMembership(r: RaftReplica, nowMs: number): void {
  const loop = loopOf(r)
  const { autoJoin, self, clusterId, fetchTimeoutMs, endpoints } = r.config
  if (!autoJoin || !r.isDynamic || loop === null || loop.leaderId < 0 || nowMs < loop.nextJoinMs) return
  loop.nextJoinMs = nowMs + 2 * fetchTimeoutMs
  if (!loop.hasFetched || r.quorum.quarantine !== 'none') return
  const voter: Voter = { ...self, endpoints, minVersion: 0, maxVersion: 1 }
  const known = r.voters.current.get(self.id)
  if (known === null) {
    const request = { clusterId, voter, timeoutMs: 2 * fetchTimeoutMs, ackWhenCommitted: false }
    r.send(loop.leaderId, { type: 'addVoter', ...request })
  } else if (!r.isVoter) {
    const { id, directoryId } = known
    r.send(loop.leaderId, { type: 'removeVoter', clusterId, voter: { id, directoryId } })
  } else if (JSON.stringify(known.endpoints) !== JSON.stringify(endpoints)) {
    r.send(loop.leaderId, { type: 'updateVoter', clusterId, currentLeaderEpoch: r.epoch, voter })
  }
}

/** When `askForMembership` has something to do. */
export function membershipDeadline(r: RaftReplica): number {
  const loop = loopOf(r)
  return r.config.autoJoin && r.isDynamic && loop !== null && loop.leaderId >= 0
    ? loop.nextJoinMs
    : Number.POSITIVE_INFINITY
}

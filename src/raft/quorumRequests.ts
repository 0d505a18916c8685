import type { EngineErrorName } from '../model/errors.ts'
import { checkAddress, isEpoch, isNodeId } from './checks.ts'
import type { EventOf } from './events.ts'
import { learn } from './leadership.ts'
import type { RaftReplica } from './raftReplica.ts'

/** A leader says that it leads. Source: KIP-595. */
export function answerBeginQuorum(
  r: RaftReplica,
  event: EventOf<'beginQuorumEpochRequest'>,
  nowMs: number,
): void {
  const { request, replyTo } = event
  const error = checkQuorumRequest(r, request, request.voter)
  if (error === null) learn(r, request, nowMs)
  r.respond(replyTo, { type: 'beginQuorumEpoch', ...r.currentLeader(error ?? 'none') })
}

/** A leader says that it stops. `then` does what the state does about its own leader. Source: KIP-595. */
export function answerEndQuorum(
  then: ((r: RaftReplica, event: EventOf<'endQuorumEpochRequest'>, nowMs: number) => void) | null,
): (r: RaftReplica, event: EventOf<'endQuorumEpochRequest'>, nowMs: number) => void {
  return function endQuorumEpoch(r, event, nowMs) {
    const { request, replyTo } = event
    const error = checkQuorumRequest(r, request, null)
    const isCurrent = error === null && request.leaderEpoch === r.epoch
    // Whoever hears of an epoch only now knows at least that it was led.
    if (error === null && !isCurrent) learn(r, { leaderId: -1, leaderEpoch: request.leaderEpoch }, nowMs)
    r.respond(replyTo, { type: 'endQuorumEpoch', ...r.currentLeader(error ?? 'none') })
    if (isCurrent) then?.(r, event, nowMs)
  }
}

function checkQuorumRequest(
  r: RaftReplica,
  request: EventOf<'beginQuorumEpochRequest' | 'endQuorumEpochRequest'>['request'],
  voter: Parameters<typeof checkAddress>[2],
): EngineErrorName | null {
  const error = checkAddress(r, request.clusterId, voter)
  if (error !== null) return error
  const { leaderId, leaderEpoch } = request
  if (!isNodeId(leaderId) || !isEpoch(leaderEpoch) || leaderId === r.config.self.id) return 'invalidRequest'
  return leaderEpoch < r.epoch ? 'fencedLeaderEpoch' : null
}

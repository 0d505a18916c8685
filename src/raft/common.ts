import { assert } from '../model/assert.ts'
import type { EngineErrorName } from '../model/errors.ts'
import { checkAddress, checkLeaderEpoch } from './checks.ts'
import type { EventOf, RequestEvent } from './events.ts'
import { emptyFetchResponse } from './fetchResponse.ts'
import { learnRecorded } from './incarnations.ts'
import { owesHighWatermark } from './leaderFetches.ts'
import { learn, move } from './leadership.ts'
import type { RaftReplica } from './raftReplica.ts'
import { resign } from './resigned.ts'
import type { LeaderData } from './states.ts'

/** Nothing to do. */
export function ignore(): void {}

/** An answer that nobody waits for any more still tells who leads. */
export function learnOnly(
  r: RaftReplica,
  event: { readonly response: { readonly leaderId: number; readonly leaderEpoch: number } },
  nowMs: number,
): void {
  learn(r, event.response, nowMs)
}

/** The same for a vote, which also tells what is recorded of this start. */
export function lateVote(r: RaftReplica, event: EventOf<'voteResponse'>, nowMs: number): void {
  learnRecorded(r, event.from, event.response.recorded, nowMs)
  learn(r, event.response, nowMs)
}

/** Only leaders take records. */
export function refuseAppend(r: RaftReplica, event: EventOf<'append'>): void {
  r.refuse(event.token, 'notLeaderOrFollower')
}

/** Only leaders know what is committed. */
export function refuseRead(r: RaftReplica, event: EventOf<'readIndex'>): void {
  r.refuse(event.token, 'notLeaderOrFollower')
}

/** Not in this state. */
export function refuseOperator(r: RaftReplica, event: { readonly token: unknown }): void {
  r.refuse(event.token, 'notLeaderOrFollower')
}

/** Says who leads. */
export function refuseFetch(r: RaftReplica, { request, replyTo }: EventOf<'fetchRequest'>): void {
  const error =
    checkAddress(r, request.clusterId, null) ??
    checkLeaderEpoch(r, request.currentLeaderEpoch) ??
    'notLeaderOrFollower'
  r.respond(replyTo, { type: 'fetch', ...emptyFetchResponse(r, error) })
}

/** Says who leads. */
export function refuseFetchSnapshot(
  r: RaftReplica,
  { request, replyTo }: EventOf<'fetchSnapshotRequest'>,
): void {
  const error =
    checkAddress(r, request.clusterId, null) ??
    checkLeaderEpoch(r, request.currentLeaderEpoch) ??
    'notLeaderOrFollower'
  r.respond(replyTo, {
    type: 'fetchSnapshot',
    ...r.currentLeader(error),
    snapshotId: request.snapshotId,
    size: 0,
    position: request.position,
    bytes: new Uint8Array(0),
  })
}

/** Only leaders change voters. */
export function refuseVoterChange(
  type: 'addVoter' | 'removeVoter' | 'updateVoter',
): (r: RaftReplica, event: { readonly replyTo: unknown }) => void {
  return function refuseVoterChange(r, { replyTo }) {
    r.respond(replyTo, { type, ...r.currentLeader('notLeaderOrFollower') })
  }
}

/** The node session shows that a replica lives: that counts as a Fetch that brought nothing. */
export function contactAtLeader(r: RaftReplica, event: EventOf<'contact'>, nowMs: number): void {
  if (event.leaderEpoch !== r.epoch) return
  for (const progress of (r.state as LeaderData).progress.values()) {
    if (progress.key.id !== event.id || progress.fetchOffset < 0) continue
    progress.lastFetchMs = nowMs
    progress.beginAtMs = nowMs + r.config.fetchTimeoutMs / 2
    const { parked } = progress
    if (parked !== null && !owesHighWatermark(r, r.state as LeaderData, parked.request)) {
      progress.parked = { ...parked, deadlineMs: nowMs + r.config.fetchMaxWaitMs }
    }
  }
}

/** A snapshot of committed records exists, and records that it holds may be gone from the log (I18). */
export function snapshotTaken(r: RaftReplica, event: EventOf<'snapshotTaken'>): void {
  const { snapshotId, logStartOffset } = event
  assert(snapshotId.endOffset <= r.highWatermark, 'I18: a snapshot holds committed records only')
  assert(
    r.log.epochs.epochBefore(snapshotId.endOffset) === snapshotId.epoch,
    'I18: a snapshot is named by the epoch of its last record',
  )
  r.log.tookSnapshot(snapshotId, logStartOffset)
  r.voters.cutBefore(r.log.startOffset)
}

/** Whoever records starts has answered. */
export function incarnationRecorded(
  r: RaftReplica,
  { recorded }: EventOf<'incarnationRecorded'>,
  nowMs: number,
): void {
  learnRecorded(r, -1, recorded, nowMs)
  const { incarnation, startNonce } = r.incarnation
  if (recorded.incarnation === incarnation && recorded.startNonce === startNonce) r.isConfirmed = true
}

/** The log is gone: the replica steps down and does nothing any more, so that it does not count. */
export function logFailed(r: RaftReplica, _: EventOf<'logFailed'>, nowMs: number): void {
  if (r.state.name === 'leader') resign(r, nowMs)
  move(r, { name: 'stopped' })
}

/** Leaves in order: a leader names its successors. */
export function shutdown(r: RaftReplica, _: EventOf<'shutdown'>, nowMs: number): void {
  if (r.state.name === 'leader') resign(r, nowMs)
  move(r, { name: 'stopped' })
}

/** Answers that this replica is out of use. */
export function answerAsStopped<
  T extends
    | 'vote'
    | 'beginQuorumEpoch'
    | 'endQuorumEpoch'
    | 'fetch'
    | 'fetchSnapshot'
    | 'addVoter'
    | 'removeVoter'
    | 'updateVoter',
>(type: T): (r: RaftReplica, event: Extract<RequestEvent, { type: `${T}Request` }>) => void {
  const error: EngineErrorName = 'kafkaStorageError'
  return function answerAsStopped(r, event) {
    const { replyTo } = event
    switch (type) {
      case 'vote':
        r.respond(replyTo, {
          type,
          ...r.currentLeader(error),
          voteGranted: false,
          quarantined: false,
          recorded: null,
        })
        break
      case 'fetch':
        r.respond(replyTo, { type, ...emptyFetchResponse(r, error) })
        break
      case 'fetchSnapshot': {
        const { request } = event as EventOf<'fetchSnapshotRequest'>
        const { snapshotId, position } = request
        r.respond(replyTo, {
          type,
          ...r.currentLeader(error),
          snapshotId,
          size: 0,
          position,
          bytes: new Uint8Array(0),
        })
        break
      }
      default:
        r.respond(replyTo, { type, ...r.currentLeader(error) })
    }
  }
}

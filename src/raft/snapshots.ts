import { readVoters } from './applyFetch.ts'
import { checkAddress, checkLeaderEpoch, isEpoch, isNodeId, isOffset } from './checks.ts'
import type { EventOf } from './events.ts'
import { loopOf, startFetching } from './fetchLoop.ts'
import { fetchDeadline, learn, reconcileMembership } from './leadership.ts'
import type { SnapshotId } from './logView.ts'
import { planted } from './planted.ts'
import type { RaftReplica } from './raftReplica.ts'
import { replicaText } from './replicaKey.ts'
import type { FollowerData, LeaderData, ObserverData } from './states.ts'

/* What the leader has no records of any more comes as a snapshot, in parts. A leader never loads one. Source: KIP-630. */

const noBytes = new Uint8Array(0)

/** Serves a part of a snapshot; the driver reads it. */
export function answerFetchSnapshot(
  r: RaftReplica,
  event: EventOf<'fetchSnapshotRequest'>,
  nowMs: number,
): void {
  const { request, replyTo } = event
  const { snapshotId, position, replica } = request
  const latest = r.log.snapshotId
  const error =
    checkAddress(r, request.clusterId, null) ??
    checkLeaderEpoch(r, request.currentLeaderEpoch) ??
    (isNodeId(replica.id) ? null : 'invalidRequest') ??
    (latest !== null && isSame(latest, snapshotId) ? null : 'snapshotNotFound') ??
    (isOffset(position) ? null : 'positionOutOfRange')
  if (error === null) {
    const progress = (r.state as LeaderData).progress.get(replicaText(replica))
    if (progress !== undefined) {
      progress.lastFetchMs = nowMs
      progress.beginAtMs = nowMs + r.config.fetchTimeoutMs / 2
    }
  }
  r.respond(
    replyTo,
    {
      type: 'fetchSnapshot',
      ...r.currentLeader(error ?? 'none'),
      snapshotId,
      size: 0,
      position,
      bytes: noBytes,
    },
    error === null ? { type: 'snapshot', snapshotId, position } : { type: 'nothing' },
  )
}

/** Begins to load the leader's snapshot, unless it ends below what is known to be committed. */
export function beginSnapshot(
  r: RaftReplica,
  loop: FollowerData | ObserverData,
  id: SnapshotId,
  nowMs: number,
): void {
  const isSound = isOffset(id.endOffset) && isEpoch(id.epoch) && id.epoch <= r.epoch
  if (!isSound || !isNewer(r, id)) {
    r.alarm('malformed', loop.leaderId, id.endOffset, 'a snapshot that ends below what is committed')
    loop.retryAtMs = nowMs + r.config.retryBackoffMs
    return
  }
  loop.snapshot = { id, position: 0, isReceived: false }
}

/** I5: a snapshot may only replace a log that it holds all committed records of. */
function isNewer(r: RaftReplica, { endOffset }: SnapshotId): boolean {
  return planted('lateSnapshotInstalled') || endOffset >= r.highWatermark
}

/** Stores a part of a snapshot and asks for the next. */
export function applyFetchSnapshot(
  r: RaftReplica,
  event: EventOf<'fetchSnapshotResponse'>,
  nowMs: number,
): void {
  const { response, requestId } = event
  const loop = loopOf(r)!
  if (learn(r, response, nowMs)) return
  if (loop.fetch?.requestId !== requestId || loop.snapshot === null) return
  loop.fetch = null
  const { snapshot } = loop
  const isNext =
    response.error === 'none' &&
    isSame(response.snapshotId, snapshot.id) &&
    response.position === snapshot.position &&
    isOffset(response.size) &&
    snapshot.position + response.bytes.length <= response.size &&
    (response.bytes.length > 0 || response.size === snapshot.position)
  if (!isNext) {
    abandon(r, loop, nowMs)
    return
  }
  loop.hasFetched = true
  if (loop.name === 'follower') loop.fetchDeadlineMs = fetchDeadline(r, nowMs)
  const { position, id } = snapshot
  snapshot.position += response.bytes.length
  snapshot.isReceived = snapshot.position === response.size
  r.emit({
    type: 'writeSnapshot',
    snapshotId: id,
    position,
    bytes: response.bytes,
    isLast: snapshot.isReceived,
  })
  startFetching(r, nowMs)
}

/** Starts over with whatever snapshot the leader has by then. */
function abandon(r: RaftReplica, loop: FollowerData | ObserverData, nowMs: number): void {
  r.emit({ type: 'discardSnapshot', snapshotId: loop.snapshot!.id })
  loop.snapshot = null
  loop.retryAtMs = nowMs + r.config.retryBackoffMs
  startFetching(r, nowMs)
}

/** Puts a snapshot that has arrived in the place of the log, if it is still the one that is needed. */
export function snapshotReceived(r: RaftReplica, event: EventOf<'snapshotReceived'>, nowMs: number): void {
  const { snapshotId, votersVersion } = event
  const loop = loopOf(r)
  const voters = readVoters(event.voters)
  const isWaiting = loop?.snapshot?.isReceived === true && isSame(loop.snapshot.id, snapshotId)
  const isWanted = isWaiting || (loop !== null && planted('lateSnapshotInstalled'))
  if (!isWanted || voters === null || !isNewer(r, snapshotId)) {
    if (isWanted) abandon(r, loop, nowMs)
    else r.emit({ type: 'discardSnapshot', snapshotId })
    return
  }
  loop.snapshot = null
  loop.retryAtMs = nowMs
  const version = r.config.kind === 'partition' ? votersVersion : 0
  r.emit({ type: 'installSnapshot', sequence: r.log.replace(snapshotId, version), snapshotId })
  r.voters.reset({ offset: snapshotId.endOffset - 1, version, voters })
  r.emit({ type: 'votersChanged', entry: r.voters.last })
  r.advanceHighWatermark(snapshotId.endOffset)
  if (loop.name === 'follower') loop.fetchDeadlineMs = fetchDeadline(r, nowMs)
  reconcileMembership(r, nowMs)
  startFetching(r, nowMs)
}

/** A snapshot that arrived is of no use. */
export function snapshotFailed(
  r: RaftReplica,
  { snapshotId }: EventOf<'snapshotFailed'>,
  nowMs: number,
): void {
  const loop = loopOf(r)
  if (loop?.snapshot && isSame(loop.snapshot.id, snapshotId)) abandon(r, loop, nowMs)
}

/** Nobody waits for this snapshot any more. */
export function discardReceived(r: RaftReplica, { snapshotId }: EventOf<'snapshotReceived'>): void {
  r.emit({ type: 'discardSnapshot', snapshotId })
}

function isSame(a: SnapshotId, b: SnapshotId): boolean {
  return a.endOffset === b.endOffset && a.epoch === b.epoch
}

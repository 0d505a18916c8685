import type { EventOf } from './events.ts'
import { planted } from './planted.ts'
import type { RaftReplica } from './raftReplica.ts'
import type { FetchLoop, FollowerData, ObserverData } from './states.ts'

/** A loop that has not asked yet. */
export function newFetchLoop(leaderId: number, nowMs: number): FetchLoop {
  return {
    leaderId,
    fetch: null,
    claim: null,
    claimedOffset: -1,
    claimedVersion: -1,
    retryAtMs: nowMs,
    hasFetched: false,
    catchUpOffset: null,
    round: 0,
    snapshot: null,
    nextJoinMs: nowMs,
    nextBootstrap: 0,
  }
}

/** The loop of the state, if it has one. */
export function loopOf(r: RaftReplica): FollowerData | ObserverData | null {
  const { state } = r
  return state.name === 'follower' || state.name === 'observer' ? state : null
}

/** Sends what is due: a Fetch, a part of a snapshot, or nothing while an answer is to come. */
export function startFetching(r: RaftReplica, nowMs: number): void {
  const loop = loopOf(r)
  if (loop === null || loop.fetch !== null || nowMs < loop.retryAtMs || loop.snapshot?.isReceived) return
  const to = loop.leaderId >= 0 ? loop.leaderId : nextToAsk(r, loop)
  if (to < 0 || to === r.config.self.id) {
    loop.retryAtMs = nowMs + r.config.requestTimeoutMs
    return
  }
  const requestId = loop.snapshot === null ? sendFetch(r, loop, to, false) : sendFetchSnapshot(r, loop, to)
  loop.fetch = inFlight(r, requestId, nowMs)
}

/** Tells the leader what has become durable, if a Fetch that does not say so is waiting there. */
export function startClaiming(r: RaftReplica, nowMs: number): void {
  const loop = loopOf(r)
  if (loop === null || loop.leaderId < 0 || loop.fetch === null || loop.claim !== null) return
  if (
    loop.snapshot !== null ||
    (claimOf(r) <= loop.claimedOffset && claimedVersion(r) <= loop.claimedVersion)
  )
    return
  loop.claim = inFlight(r, sendFetch(r, loop, loop.leaderId, true), nowMs)
}

/** The log is damaged, or mended: whoever leads hears of it, behind a Fetch that waits. */
export function damageChanged(r: RaftReplica, { isDamaged }: EventOf<'damaged'>, nowMs: number): void {
  if (isDamaged === r.isDamaged) return
  r.isDamaged = isDamaged
  const loop = loopOf(r)
  if (loop === null) return
  loop.claimedOffset = -1
  loop.claimedVersion = -1
  startClaiming(r, nowMs)
}

/** A request got no answer. True if it was one of this loop's. */
export function dropRequest(r: RaftReplica, requestId: number, nowMs: number): boolean {
  const loop = loopOf(r)
  if (loop === null) return false
  if (loop.claim?.requestId === requestId) {
    loop.claim = null
    loop.claimedOffset = -1
    return true
  }
  if (loop.fetch?.requestId !== requestId) return false
  loop.fetch = null
  loop.retryAtMs = nowMs + r.config.retryBackoffMs
  return true
}

/** Gives up requests that take too long; sends what is due. */
export function tickFetching(r: RaftReplica, nowMs: number): void {
  const loop = loopOf(r)
  if (loop === null) return
  for (const request of [loop.claim, loop.fetch]) {
    if (request !== null && nowMs >= request.sentMs + timeoutOf(r)) {
      dropRequest(r, request.requestId, nowMs)
      loop.retryAtMs = nowMs
    }
  }
  startFetching(r, nowMs)
  startClaiming(r, nowMs)
}

/** When `tickFetching` has something to do. */
export function fetchingDeadline(r: RaftReplica, loop: FetchLoop): number {
  const fetchMs = loop.fetch === null ? loop.retryAtMs : loop.fetch.sentMs + timeoutOf(r)
  const claimMs = loop.claim === null ? Number.POSITIVE_INFINITY : loop.claim.sentMs + timeoutOf(r)
  return Math.min(loop.snapshot?.isReceived ? Number.POSITIVE_INFINITY : fetchMs, claimMs)
}

function timeoutOf({ config }: RaftReplica): number {
  return config.fetchMaxWaitMs + config.requestTimeoutMs
}

function inFlight(r: RaftReplica, requestId: number, nowMs: number): NonNullable<FetchLoop['fetch']> {
  const { endOffset, lastEpoch, votersVersion } = r.log
  return { requestId, fetchOffset: endOffset, lastFetchedEpoch: lastEpoch, votersVersion, sentMs: nowMs }
}

/** Exclusive end of what this replica may claim in the current epoch, -1 while its start is not durable. */
function claimOf(r: RaftReplica): number {
  const isCurrent = r.log.flushedEpoch === r.epoch || planted('commitOldEpoch')
  return isCurrent ? r.log.claimOffset : -1
}

function claimedVersion(r: RaftReplica): number {
  return r.log.flushedEpoch === r.epoch ? r.log.flushedVotersVersion : -1
}

function sendFetch(r: RaftReplica, loop: FetchLoop, to: number, claimOnly: boolean): number {
  const { log, config } = r
  loop.claimedOffset = claimOf(r)
  loop.claimedVersion = claimedVersion(r)
  return r.send(to, {
    type: 'fetch',
    clusterId: config.clusterId,
    replica: config.self,
    currentLeaderEpoch: r.epoch,
    fetchOffset: log.endOffset,
    lastFetchedEpoch: log.lastEpoch,
    highWatermark: r.highWatermark,
    maxWaitMs: config.fetchMaxWaitMs,
    flushedOffset: loop.claimedOffset,
    flushedVotersVersion: loop.claimedVersion,
    votersVersion: log.votersVersion,
    claimOnly,
    damaged: r.isDamaged,
    quarantined: r.quorum.quarantine !== 'none',
    round: loop.round,
    incarnation: r.incarnation,
  })
}

function sendFetchSnapshot(r: RaftReplica, loop: FetchLoop, to: number): number {
  return r.send(to, {
    type: 'fetchSnapshot',
    clusterId: r.config.clusterId,
    replica: r.config.self,
    currentLeaderEpoch: r.epoch,
    snapshotId: loop.snapshot!.id,
    position: loop.snapshot!.position,
  })
}

/** An observer without a leader asks one voter after the other. */
function nextToAsk(r: RaftReplica, loop: FetchLoop): number {
  const ids = [...r.voters.current.voters.map(({ id }) => id), ...r.config.bootstrapIds].filter(
    (id) => id !== r.config.self.id,
  )
  if (ids.length === 0) return -1
  if (loop.nextBootstrap === 0) loop.nextBootstrap = 1 + r.random.below(ids.length)
  return ids[loop.nextBootstrap++ % ids.length]!
}

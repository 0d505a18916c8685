import type { RaftEvent } from '../raft/events.ts'
import type { RaftRequest, RaftResponse } from '../raft/messages.ts'

/** A message in a few words. `asked` is what it answers, null for a request. */
export function describeMessage(message: RaftRequest | RaftResponse, asked: RaftRequest | null): string {
  if (asked === null) return describeRequest(message as RaftRequest)
  return describeResponse(message as RaftResponse, asked)
}

function describeRequest(request: RaftRequest): string {
  switch (request.type) {
    case 'vote':
      return `${request.preVote ? 'PreVote' : 'Vote'}? epoch=${request.replicaEpoch} log=${request.lastOffsetEpoch}/${request.lastOffset}`
    case 'beginQuorumEpoch':
      return `BeginQuorumEpoch ${request.leaderEpoch}`
    case 'endQuorumEpoch':
      return `EndQuorumEpoch ${request.leaderEpoch}`
    case 'fetch':
      return `Fetch ${request.lastFetchedEpoch}/${request.fetchOffset} flushed=${request.flushedOffset}${request.claimOnly ? ' claim' : ''}`
    case 'fetchSnapshot':
      return `FetchSnapshot ${request.snapshotId.endOffset} at ${request.position}`
    default:
      return request.type
  }
}

function describeResponse(response: RaftResponse, asked: RaftRequest): string {
  if (response.error !== 'none') return `${response.type}: ${response.error}`
  switch (response.type) {
    case 'vote':
      return `${asked.type === 'vote' && asked.preVote ? 'PreVote' : 'Vote'}! ${response.voteGranted ? 'granted' : 'refused'}${response.quarantined ? ' (quarantined)' : ''} epoch=${response.leaderEpoch}`
    case 'fetch': {
      if (response.divergingEpoch !== null) {
        const { epoch, endOffset } = response.divergingEpoch
        return `Fetch! diverges after ${epoch}/${endOffset}`
      }
      if (response.snapshotId !== null) return `Fetch! load the snapshot of ${response.snapshotId.endOffset}`
      return `Fetch! hw=${response.highWatermark} end=${response.logEndOffset}`
    }
    default:
      return `${response.type}! epoch=${response.leaderEpoch}`
  }
}

/** The node that a message which makes up an event came from; -1 when the event is none, or nobody's. */
export function senderOf(event: RaftEvent): number {
  if ('from' in event) return event.from
  if (!('request' in event)) return -1
  const { request } = event
  if ('candidate' in request) return request.candidate.id
  if ('replica' in request) return request.replica.id
  return 'leaderId' in request ? request.leaderId : -1
}

/** Tells messages of one pair of nodes apart, as far as what is in them does. */
export function messageKey(from: number, to: number, message: RaftRequest | RaftResponse): string {
  const key = `${from}>${to} ${message.type}`
  if ('replicaEpoch' in message) return `${key} ${message.replicaEpoch} ${message.preVote}`
  if ('fetchOffset' in message) {
    const { fetchOffset, flushedOffset, claimOnly, round } = message
    return `${key} ${fetchOffset} ${flushedOffset} ${claimOnly} ${round}`
  }
  if ('position' in message) return `${key} ${message.position}`
  if ('round' in message) return `${key} ${message.leaderEpoch} ${message.round} ${message.highWatermark}`
  return 'leaderEpoch' in message ? `${key} ${message.leaderEpoch}` : key
}

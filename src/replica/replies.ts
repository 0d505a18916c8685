import type { EngineErrorName } from '../model/errors.ts'
import type { SendPart } from '../model/fileRange.ts'
import type { RaftRequest, RaftResponse } from '../raft.ts'

const noBytes = new Uint8Array(0)

/** A request of another node, which the core hands back with its answer. */
export class RemoteRequest {
  readonly from: number
  readonly request: RaftRequest
  readonly reply: (response: RaftResponse, records: readonly SendPart[]) => void

  constructor(from: number, request: RaftRequest, reply: RemoteRequest['reply']) {
    this.from = from
    this.request = request
    this.reply = reply
  }
}

/** The answer to a request that no replica takes. */
export function refuseRequest(request: RaftRequest, error: EngineErrorName): RaftResponse {
  const leader = { error, leaderId: -1, leaderEpoch: 0 }
  switch (request.type) {
    case 'vote':
      return { type: 'vote', ...leader, voteGranted: false, quarantined: false, recorded: null }
    case 'fetch':
      return {
        type: 'fetch',
        ...leader,
        highWatermark: -1,
        logStartOffset: 0,
        divergingEpoch: null,
        snapshotId: null,
        batches: [],
        epochStarts: [],
        voterSets: [],
        logEndOffset: 0,
        round: 0,
        rolledBack: false,
        recorded: null,
      }
    case 'fetchSnapshot': {
      const { snapshotId, position } = request
      return { type: 'fetchSnapshot', ...leader, snapshotId, size: 0, position, bytes: noBytes }
    }
    default:
      return { type: request.type, ...leader }
  }
}

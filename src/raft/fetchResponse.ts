import type { EngineErrorName } from '../model/errors.ts'
import type { FetchResponse } from './messages.ts'
import type { RaftReplica } from './raftReplica.ts'

/** An answer to Fetch that brings nothing. */
export function emptyFetchResponse(r: RaftReplica, error: EngineErrorName): FetchResponse {
  return {
    error,
    leaderId: r.leaderId,
    leaderEpoch: r.epoch,
    highWatermark: -1,
    logStartOffset: r.log.startOffset,
    divergingEpoch: null,
    snapshotId: null,
    batches: [],
    epochStarts: [],
    voterSets: [],
    logEndOffset: r.log.endOffset,
    round: 0,
    rolledBack: false,
    recorded: null,
  }
}

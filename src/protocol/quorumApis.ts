import { api } from './apiKeys.ts'
import { apiVersionsRequest, apiVersionsResponse } from './apis/apiVersions.ts'
import { beginQuorumEpochRequest, beginQuorumEpochResponse } from './apis/beginQuorumEpoch.ts'
import { endQuorumEpochRequest, endQuorumEpochResponse } from './apis/endQuorumEpoch.ts'
import { envelopeRequest, envelopeResponse } from './apis/envelope.ts'
import { fetchRequest, fetchResponse } from './apis/fetch.ts'
import { fetchSnapshotRequest, fetchSnapshotResponse } from './apis/fetchSnapshot.ts'
import {
  addRaftVoterRequest,
  addRaftVoterResponse,
  removeRaftVoterRequest,
  removeRaftVoterResponse,
  updateRaftVoterRequest,
  updateRaftVoterResponse,
} from './apis/raftVoters.ts'
import { voteRequest, voteResponse } from './apis/vote.ts'

/**
 * The APIs that nodes use among each other, on a listener of their own, in the versions that can carry what this
 * project's replicas have to say. Source: KIP-595, KIP-630, KIP-853, KIP-996.
 */
export const quorumApis = {
  apiVersions: api({ min: 0, max: 5 }, apiVersionsRequest, apiVersionsResponse),
  fetch: api({ min: 17, max: 18 }, fetchRequest, fetchResponse),
  vote: api({ min: 2, max: 2 }, voteRequest, voteResponse),
  beginQuorumEpoch: api({ min: 1, max: 1 }, beginQuorumEpochRequest, beginQuorumEpochResponse),
  endQuorumEpoch: api({ min: 1, max: 1 }, endQuorumEpochRequest, endQuorumEpochResponse),
  envelope: api({ min: 0, max: 0 }, envelopeRequest, envelopeResponse),
  fetchSnapshot: api({ min: 1, max: 1 }, fetchSnapshotRequest, fetchSnapshotResponse),
  addRaftVoter: api({ min: 0, max: 1 }, addRaftVoterRequest, addRaftVoterResponse),
  removeRaftVoter: api({ min: 0, max: 0 }, removeRaftVoterRequest, removeRaftVoterResponse),
  updateRaftVoter: api({ min: 0, max: 0 }, updateRaftVoterRequest, updateRaftVoterResponse),
} as const

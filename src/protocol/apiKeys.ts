import { alterConfigsRequest, alterConfigsResponse } from './apis/alterConfigs.ts'
import {
  alterPartitionReassignmentsRequest,
  alterPartitionReassignmentsResponse,
} from './apis/alterPartitionReassignments.ts'
import { apiVersionsRequest, apiVersionsResponse } from './apis/apiVersions.ts'
import { createPartitionsRequest, createPartitionsResponse } from './apis/createPartitions.ts'
import { createTopicsRequest, createTopicsResponse } from './apis/createTopics.ts'
import { deleteGroupsRequest, deleteGroupsResponse } from './apis/deleteGroups.ts'
import { deleteRecordsRequest, deleteRecordsResponse } from './apis/deleteRecords.ts'
import { deleteTopicsRequest, deleteTopicsResponse } from './apis/deleteTopics.ts'
import { describeClusterRequest, describeClusterResponse } from './apis/describeCluster.ts'
import { describeConfigsRequest, describeConfigsResponse } from './apis/describeConfigs.ts'
import { describeGroupsRequest, describeGroupsResponse } from './apis/describeGroups.ts'
import { describeLogDirsRequest, describeLogDirsResponse } from './apis/describeLogDirs.ts'
import { describeQuorumRequest, describeQuorumResponse } from './apis/describeQuorum.ts'
import {
  describeTopicPartitionsRequest,
  describeTopicPartitionsResponse,
} from './apis/describeTopicPartitions.ts'
import { electLeadersRequest, electLeadersResponse } from './apis/electLeaders.ts'
import { fetchRequest, fetchResponse } from './apis/fetch.ts'
import { findCoordinatorRequest, findCoordinatorResponse } from './apis/findCoordinator.ts'
import { heartbeatRequest, heartbeatResponse } from './apis/heartbeat.ts'
import {
  incrementalAlterConfigsRequest,
  incrementalAlterConfigsResponse,
} from './apis/incrementalAlterConfigs.ts'
import { initProducerIdRequest, initProducerIdResponse } from './apis/initProducerId.ts'
import { joinGroupRequest, joinGroupResponse } from './apis/joinGroup.ts'
import { leaveGroupRequest, leaveGroupResponse } from './apis/leaveGroup.ts'
import { listGroupsRequest, listGroupsResponse } from './apis/listGroups.ts'
import { listOffsetsRequest, listOffsetsResponse } from './apis/listOffsets.ts'
import {
  listPartitionReassignmentsRequest,
  listPartitionReassignmentsResponse,
} from './apis/listPartitionReassignments.ts'
import { metadataRequest, metadataResponse } from './apis/metadata.ts'
import { offsetCommitRequest, offsetCommitResponse } from './apis/offsetCommit.ts'
import { offsetDeleteRequest, offsetDeleteResponse } from './apis/offsetDelete.ts'
import { offsetFetchRequest, offsetFetchResponse } from './apis/offsetFetch.ts'
import { offsetForLeaderEpochRequest, offsetForLeaderEpochResponse } from './apis/offsetForLeaderEpoch.ts'
import { produceRequest, produceResponse } from './apis/produce.ts'
import {
  addRaftVoterRequest,
  addRaftVoterResponse,
  removeRaftVoterRequest,
  removeRaftVoterResponse,
} from './apis/raftVoters.ts'
import { syncGroupRequest, syncGroupResponse } from './apis/syncGroup.ts'
import { unregisterBrokerRequest, unregisterBrokerResponse } from './apis/unregisterBroker.ts'
import { updateFeaturesRequest, updateFeaturesResponse } from './apis/updateFeatures.ts'
import type { Message } from './schema.ts'

/** One API as this broker speaks it. The schemas may know more versions than `min` to `max`. */
export interface Api<Request extends Message = Message, Response extends Message = Message> {
  readonly key: number
  /** Lowest and highest version that the broker answers, both inclusive. */
  readonly min: number
  readonly max: number
  /** The lowest version that ApiVersions names; lower than `min` where clients misread the truth. */
  readonly advertisedMin: number
  /** The first flexible version (KIP-482). */
  readonly flexibleFrom: number
  readonly request: Request
  readonly response: Response
}

/** Any API of the table. */
export type AnyApi = Api

/** An entry of a table of APIs. */
export function api<Request extends Message, Response extends Message>(
  versions: { readonly min: number; readonly max: number; readonly advertisedMin?: number },
  request: Request,
  response: Response,
): Api<Request, Response> {
  const { min, max, advertisedMin = min } = versions
  return {
    key: request.apiKey!,
    min,
    max,
    advertisedMin,
    flexibleFrom: request.flexible.from,
    request,
    response,
  }
}

/**
 * The APIs that the broker implements, exactly as advertised: a client that is told of more closes or is closed.
 * Produce is advertised from 0 although 0 to 2 are refused, since librdkafka up to 2.11 looks at version 0 to
 * decide whether it may compress (KAFKA-18659).
 */
export const apiKeys = {
  produce: api({ min: 3, max: 13, advertisedMin: 0 }, produceRequest, produceResponse),
  fetch: api({ min: 4, max: 18 }, fetchRequest, fetchResponse),
  listOffsets: api({ min: 1, max: 11 }, listOffsetsRequest, listOffsetsResponse),
  metadata: api({ min: 0, max: 13 }, metadataRequest, metadataResponse),
  offsetCommit: api({ min: 2, max: 10 }, offsetCommitRequest, offsetCommitResponse),
  offsetFetch: api({ min: 1, max: 10 }, offsetFetchRequest, offsetFetchResponse),
  findCoordinator: api({ min: 0, max: 6 }, findCoordinatorRequest, findCoordinatorResponse),
  joinGroup: api({ min: 0, max: 9 }, joinGroupRequest, joinGroupResponse),
  heartbeat: api({ min: 0, max: 4 }, heartbeatRequest, heartbeatResponse),
  leaveGroup: api({ min: 0, max: 5 }, leaveGroupRequest, leaveGroupResponse),
  syncGroup: api({ min: 0, max: 5 }, syncGroupRequest, syncGroupResponse),
  describeGroups: api({ min: 0, max: 6 }, describeGroupsRequest, describeGroupsResponse),
  listGroups: api({ min: 0, max: 5 }, listGroupsRequest, listGroupsResponse),
  apiVersions: api({ min: 0, max: 5 }, apiVersionsRequest, apiVersionsResponse),
  createTopics: api({ min: 2, max: 7 }, createTopicsRequest, createTopicsResponse),
  deleteTopics: api({ min: 1, max: 6 }, deleteTopicsRequest, deleteTopicsResponse),
  deleteRecords: api({ min: 0, max: 2 }, deleteRecordsRequest, deleteRecordsResponse),
  initProducerId: api({ min: 0, max: 5 }, initProducerIdRequest, initProducerIdResponse),
  offsetForLeaderEpoch: api({ min: 2, max: 4 }, offsetForLeaderEpochRequest, offsetForLeaderEpochResponse),
  describeConfigs: api({ min: 1, max: 4 }, describeConfigsRequest, describeConfigsResponse),
  alterConfigs: api({ min: 0, max: 2 }, alterConfigsRequest, alterConfigsResponse),
  describeLogDirs: api({ min: 1, max: 5 }, describeLogDirsRequest, describeLogDirsResponse),
  createPartitions: api({ min: 0, max: 3 }, createPartitionsRequest, createPartitionsResponse),
  deleteGroups: api({ min: 0, max: 3 }, deleteGroupsRequest, deleteGroupsResponse),
  incrementalAlterConfigs: api(
    { min: 0, max: 1 },
    incrementalAlterConfigsRequest,
    incrementalAlterConfigsResponse,
  ),
  offsetDelete: api({ min: 0, max: 0 }, offsetDeleteRequest, offsetDeleteResponse),
  describeQuorum: api({ min: 0, max: 2 }, describeQuorumRequest, describeQuorumResponse),
  updateFeatures: api({ min: 0, max: 2 }, updateFeaturesRequest, updateFeaturesResponse),
  unregisterBroker: api({ min: 0, max: 0 }, unregisterBrokerRequest, unregisterBrokerResponse),
  addRaftVoter: api({ min: 0, max: 1 }, addRaftVoterRequest, addRaftVoterResponse),
  removeRaftVoter: api({ min: 0, max: 0 }, removeRaftVoterRequest, removeRaftVoterResponse),
  describeCluster: api({ min: 0, max: 2 }, describeClusterRequest, describeClusterResponse),
  electLeaders: api({ min: 0, max: 2 }, electLeadersRequest, electLeadersResponse),
  alterPartitionReassignments: api(
    { min: 0, max: 1 },
    alterPartitionReassignmentsRequest,
    alterPartitionReassignmentsResponse,
  ),
  listPartitionReassignments: api(
    { min: 0, max: 0 },
    listPartitionReassignmentsRequest,
    listPartitionReassignmentsResponse,
  ),
  describeTopicPartitions: api(
    { min: 0, max: 0 },
    describeTopicPartitionsRequest,
    describeTopicPartitionsResponse,
  ),
} as const

/** The APIs that only a broker of a cluster answers and names. */
export const clusterApiKeys: ReadonlySet<number> = new Set(
  [
    apiKeys.describeQuorum,
    apiKeys.updateFeatures,
    apiKeys.unregisterBroker,
    apiKeys.addRaftVoter,
    apiKeys.removeRaftVoter,
  ].map(({ key }) => key),
)

/** The name of an implemented API. */
export type ApiName = keyof typeof apiKeys

const byKey = new Map<number, AnyApi>(Object.values(apiKeys).map((entry) => [entry.key, entry as AnyApi]))

/** The implemented API with this key, or null. */
export function apiByKey(key: number): AnyApi | null {
  return byKey.get(key) ?? null
}

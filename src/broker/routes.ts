import { apiKeys } from '../protocol/apiKeys.ts'
import {
  alterConfigsDeadline,
  alterReassignmentsDeadline,
  createPartitionsDeadline,
  createTopicsDeadline,
  deleteRecordsDeadline,
  deleteTopicsDeadline,
  electLeadersDeadline,
  findCoordinatorDeadline,
  initProducerIdDeadline,
} from './deadlines.ts'
import { type Route, route } from './dispatch.ts'
import { handleApiVersions } from './handlers/apiVersions.ts'
import { handleDescribeCluster, handleDescribeLogDirs } from './handlers/cluster.ts'
import {
  handleAlterConfigs,
  handleDescribeConfigs,
  handleIncrementalAlterConfigs,
} from './handlers/configs.ts'
import { handleElectLeaders } from './handlers/electLeaders.ts'
import { handleFetch } from './handlers/fetch.ts'
import { handleFindCoordinator } from './handlers/findCoordinator.ts'
import {
  handleDeleteGroups,
  handleDescribeGroups,
  handleHeartbeat,
  handleJoinGroup,
  handleLeaveGroup,
  handleListGroups,
  handleOffsetCommit,
  handleOffsetDelete,
  handleOffsetFetch,
  handleSyncGroup,
} from './handlers/groups.ts'
import { handleInitProducerId } from './handlers/initProducerId.ts'
import { handleListOffsets } from './handlers/listOffsets.ts'
import { handleMetadata } from './handlers/metadata.ts'
import { beginProduce, handleProduce } from './handlers/produce.ts'
import { quorumRoutes } from './handlers/quorum.ts'
import {
  handleAlterPartitionReassignments,
  handleListPartitionReassignments,
} from './handlers/reassignments.ts'
import { handleDeleteRecords, handleOffsetForLeaderEpoch } from './handlers/records.ts'
import { handleDescribeTopicPartitions } from './handlers/topicPartitions.ts'
import { handleCreatePartitions, handleCreateTopics, handleDeleteTopics } from './handlers/topics.ts'

/** Every API of `apiKeys` and who carries it out. Complete, since what is advertised must be answered. */
export const routes: readonly Route[] = [
  // A producer has several requests on their way, and a fetch may wait long.
  route(apiKeys.produce, handleProduce, { overlaps: true, begin: beginProduce }),
  route(apiKeys.fetch, handleFetch, { overlaps: true }),
  route(apiKeys.listOffsets, handleListOffsets),
  route(apiKeys.metadata, handleMetadata),
  route(apiKeys.offsetCommit, handleOffsetCommit),
  route(apiKeys.offsetFetch, handleOffsetFetch),
  route(apiKeys.findCoordinator, handleFindCoordinator, { deadline: findCoordinatorDeadline }),
  route(apiKeys.joinGroup, handleJoinGroup),
  route(apiKeys.heartbeat, handleHeartbeat),
  route(apiKeys.leaveGroup, handleLeaveGroup),
  route(apiKeys.syncGroup, handleSyncGroup),
  route(apiKeys.describeGroups, handleDescribeGroups),
  route(apiKeys.listGroups, handleListGroups),
  route(apiKeys.apiVersions, handleApiVersions),
  route(apiKeys.createTopics, handleCreateTopics, { deadline: createTopicsDeadline }),
  route(apiKeys.deleteTopics, handleDeleteTopics, { deadline: deleteTopicsDeadline }),
  route(apiKeys.deleteRecords, handleDeleteRecords, { deadline: deleteRecordsDeadline }),
  route(apiKeys.initProducerId, handleInitProducerId, { deadline: initProducerIdDeadline }),
  route(apiKeys.offsetForLeaderEpoch, handleOffsetForLeaderEpoch),
  route(apiKeys.describeConfigs, handleDescribeConfigs),
  route(apiKeys.alterConfigs, handleAlterConfigs, { deadline: alterConfigsDeadline }),
  route(apiKeys.describeLogDirs, handleDescribeLogDirs),
  route(apiKeys.createPartitions, handleCreatePartitions, { deadline: createPartitionsDeadline }),
  route(apiKeys.deleteGroups, handleDeleteGroups),
  route(apiKeys.incrementalAlterConfigs, handleIncrementalAlterConfigs, { deadline: alterConfigsDeadline }),
  route(apiKeys.offsetDelete, handleOffsetDelete),
  route(apiKeys.describeCluster, handleDescribeCluster),
  ...quorumRoutes,
  route(apiKeys.electLeaders, handleElectLeaders, { deadline: electLeadersDeadline }),
  route(apiKeys.alterPartitionReassignments, handleAlterPartitionReassignments, {
    deadline: alterReassignmentsDeadline,
  }),
  route(apiKeys.listPartitionReassignments, handleListPartitionReassignments),
  route(apiKeys.describeTopicPartitions, handleDescribeTopicPartitions),
]

import type { RequestContext as CoordinatorContext } from '../../coordinator/messages.ts'
import { EngineError } from '../../model/errors.ts'
import { KafkaError } from '../../model/kafkaErrors.ts'
import type { apiKeys } from '../../protocol/apiKeys.ts'
import type { Infer } from '../../protocol/schema.ts'
import type { Answer, Handler } from '../dispatch.ts'
import type { RequestContext } from '../services.ts'

/**
 * The group APIs: the coordinator speaks the newest version of each message; older ones are brought into that
 * shape here, and its answers back out of it.
 */

type Apis = typeof apiKeys

function contextOf({ apiVersion, clientId, exchange }: RequestContext): CoordinatorContext {
  return { apiVersion, clientId: clientId ?? '', clientHost: exchange.remoteHost }
}

/** What one member may say of itself, which is kept as long as it is a member. */
const maxMemberBytes = 4 * 1024 * 1024

/** JoinGroup. May wait for as long as a rebalance takes. */
export const handleJoinGroup: Handler<Apis['joinGroup']> = ({ coordinator }, context, request) => {
  let memberBytes = 0
  for (const { name, metadata } of request.protocols) memberBytes += name.length + metadata.length
  if (memberBytes > maxMemberBytes) {
    throw new EngineError('messageTooLarge', `a member has more than ${maxMemberBytes} bytes of metadata`)
  }
  const answer = coordinator.joinGroup(request, contextOf(context))
  // The coordinator has copied what it keeps.
  context.exchange.releaseRequest()
  return answer
}

/** SyncGroup. May wait for the leader. */
export const handleSyncGroup: Handler<Apis['syncGroup']> = ({ coordinator }, context, request) => {
  const answer = coordinator.syncGroup(request)
  context.exchange.releaseRequest()
  return answer
}

/** Heartbeat. */
export const handleHeartbeat: Handler<Apis['heartbeat']> = ({ coordinator }, _context, request) =>
  coordinator.heartbeat(request)

/** LeaveGroup. Before version 3 one member leaves, and its error is that of the response. */
export const handleLeaveGroup: Handler<Apis['leaveGroup']> = async ({ coordinator }, context, request) => {
  const { groupId, memberId } = request
  if (context.apiVersion >= 3) return coordinator.leaveGroup(request)
  const members = [{ memberId, groupInstanceId: null, reason: null }]
  const response = await coordinator.leaveGroup({ groupId, members })
  return { errorCode: response.errorCode || (response.members[0]?.errorCode ?? 0) }
}

/** OffsetCommit. Partitions that are not there are refused here; the coordinator does not know the topics. */
export const handleOffsetCommit: Handler<Apis['offsetCommit']> = async (services, context, request) => {
  const { coordinator, partitions: known } = services
  const topics = request.topics
    .map(({ name, partitions }) => ({
      name,
      partitions: partitions.filter(({ partitionIndex }) => known.has(name, partitionIndex)),
    }))
    .filter(({ partitions }) => partitions.length > 0)
  const response = await coordinator.commitOffsets({ ...request, topics }, contextOf(context))
  // The answers come in the order of what was asked; a topic may stand in several entries.
  const answers = response.topics.flatMap(({ partitions }) => partitions).values()
  const committed = new Set(topics.flatMap(({ partitions }) => partitions))
  const errorCode = KafkaError.unknownTopicOrPartition.kafka
  return {
    topics: request.topics.map(({ name, partitions }) => ({
      name,
      partitions: partitions.map((asked) => {
        const answer = committed.has(asked) ? answers.next().value : undefined
        return answer ?? { partitionIndex: asked.partitionIndex, errorCode }
      }),
    })),
  }
}

/** OffsetFetch. Before version 8 it is about one group, whose answer is that of the response. */
export const handleOffsetFetch: Handler<Apis['offsetFetch']> = async ({ coordinator }, context, request) => {
  if (context.apiVersion >= 8) return coordinator.fetchOffsets(request)
  const groups = [{ groupId: request.groupId, topics: request.topics }]
  const { requireStable } = request
  const response = await coordinator.fetchOffsets({ groups, requireStable })
  const group = response.groups[0]
  const errorCode = group?.errorCode ?? 0
  if (context.apiVersion >= 2 || errorCode === 0) return { topics: group?.topics ?? [], errorCode }
  // Version 1 has no place for the group's error but the partitions.
  return { topics: withError(request, errorCode) }
}

function withError(
  request: Infer<Apis['offsetFetch']['request']>,
  errorCode: number,
): NonNullable<NonNullable<Answer<Apis['offsetFetch']>>['topics']> {
  return (request.topics ?? []).map(({ name, partitionIndexes }) => ({
    name,
    partitions: partitionIndexes.map((partitionIndex) => ({
      partitionIndex,
      committedOffset: -1,
      errorCode,
    })),
  }))
}

/** ListGroups. */
export const handleListGroups: Handler<Apis['listGroups']> = ({ coordinator }, _context, request) =>
  coordinator.listGroups(request)

/** DescribeGroups. */
export const handleDescribeGroups: Handler<Apis['describeGroups']> = ({ coordinator }, context, request) =>
  coordinator.describeGroups(request, contextOf(context))

/** DeleteGroups. */
export const handleDeleteGroups: Handler<Apis['deleteGroups']> = ({ coordinator }, _context, request) =>
  coordinator.deleteGroups(request)

/** OffsetDelete. */
export const handleOffsetDelete: Handler<Apis['offsetDelete']> = ({ coordinator }, _context, request) =>
  coordinator.deleteOffsets(request)

import type { RequestContext as CoordinatorContext } from '../../coordinator/messages.ts'
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

/** JoinGroup. Before version 7 a response without protocol says so with an empty name. */
export const handleJoinGroup: Handler<Apis['joinGroup']> = async ({ coordinator }, context, request) => {
  const response = await coordinator.joinGroup(request, contextOf(context))
  return context.apiVersion < 7 ? { ...response, protocolName: response.protocolName ?? '' } : response
}

/** SyncGroup. */
export const handleSyncGroup: Handler<Apis['syncGroup']> = ({ coordinator }, context, request) =>
  coordinator.syncGroup(request, contextOf(context))

/** Heartbeat. */
export const handleHeartbeat: Handler<Apis['heartbeat']> = ({ coordinator }, context, request) =>
  coordinator.heartbeat(request, contextOf(context))

/** LeaveGroup. Before version 3 one member leaves, and its error is that of the response. */
export const handleLeaveGroup: Handler<Apis['leaveGroup']> = async ({ coordinator }, context, request) => {
  const { groupId, memberId } = request
  if (context.apiVersion >= 3) return coordinator.leaveGroup(request, contextOf(context))
  const members = [{ memberId, groupInstanceId: null, reason: null }]
  const response = await coordinator.leaveGroup({ groupId, members }, contextOf(context))
  return { errorCode: response.errorCode || (response.members[0]?.errorCode ?? 0) }
}

/** OffsetCommit. */
export const handleOffsetCommit: Handler<Apis['offsetCommit']> = ({ coordinator }, context, request) =>
  coordinator.commitOffsets(request, contextOf(context))

/** OffsetFetch. Before version 8 it is about one group, whose answer is that of the response. */
export const handleOffsetFetch: Handler<Apis['offsetFetch']> = async ({ coordinator }, context, request) => {
  if (context.apiVersion >= 8) return coordinator.fetchOffsets(request, contextOf(context))
  const groups = [{ groupId: request.groupId, topics: request.topics }]
  const { requireStable } = request
  const response = await coordinator.fetchOffsets({ groups, requireStable }, contextOf(context))
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

/** DescribeGroups. Before version 6 a group that is not there is a dead one without error (KIP-1043). */
export const handleDescribeGroups: Handler<Apis['describeGroups']> = async (
  { coordinator },
  context,
  request,
) => {
  const response = await coordinator.describeGroups(request)
  if (context.apiVersion >= 6) return response
  const groups = response.groups.map((group) => {
    const isUnknown = group.errorCode === KafkaError.groupIdNotFound.kafka
    return { ...group, errorMessage: null, ...(isUnknown ? { errorCode: 0, groupState: 'Dead' } : {}) }
  })
  return { groups }
}

/** DeleteGroups. */
export const handleDeleteGroups: Handler<Apis['deleteGroups']> = ({ coordinator }, _context, request) =>
  coordinator.deleteGroups(request)

/** OffsetDelete. */
export const handleOffsetDelete: Handler<Apis['offsetDelete']> = ({ coordinator }, _context, request) =>
  coordinator.deleteOffsets(request)

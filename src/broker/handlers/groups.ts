import type { RequestContext as CoordinatorContext } from '../../coordinator/messages.ts'
import { EngineError } from '../../model/errors.ts'
import { KafkaError } from '../../model/kafkaErrors.ts'
import type { Uuid } from '../../model/uuid.ts'
import type { apiKeys } from '../../protocol/apiKeys.ts'
import type { Infer } from '../../protocol/schema.ts'
import type { Answer, Handler } from '../dispatch.ts'
import type { RequestContext, Services } from '../services.ts'

/**
 * The group APIs: the coordinator speaks the newest version of each message; older ones are brought into that
 * shape here, and its answers back out of it.
 */

type Apis = typeof apiKeys
type OffsetFetchRequest = Infer<Apis['offsetFetch']['request']>

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

/** From here on topics are named by their ids. Source: KIP-848. */
const firstVersionById = 10

/**
 * OffsetCommit. Topics and partitions that are not there are refused here; the coordinator does not know the topics, and knows them by
 * name.
 */
export const handleOffsetCommit: Handler<Apis['offsetCommit']> = async (services, context, request) => {
  const { coordinator, partitions: known } = services
  const isById = context.apiVersion >= firstVersionById
  const asked = request.topics.map(({ topicId, name, partitions }) => {
    const found = isById ? nameOf(services, topicId) : name
    const here = partitions.filter(({ partitionIndex }) => found !== null && known.has(found, partitionIndex))
    const error = found === null ? 'unknownTopicId' : 'unknownTopicOrPartition'
    return { topicId, name: found ?? '', partitions, here, errorCode: KafkaError[error].kafka }
  })
  const topics = asked
    .map(({ name, here }) => ({ name, partitions: here }))
    .filter(({ partitions }) => partitions.length > 0)
  const response = await coordinator.commitOffsets({ ...request, topics }, contextOf(context))
  // The answers come in the order of what was asked; a topic may stand in several entries.
  const answers = response.topics.flatMap(({ partitions }) => partitions).values()
  return {
    topics: asked.map(({ topicId, name, partitions, here, errorCode }) => {
      const committed = new Set(here)
      return {
        topicId,
        name,
        partitions: partitions.map((each) => {
          const answer = committed.has(each) ? answers.next().value : undefined
          return answer ?? { partitionIndex: each.partitionIndex, errorCode }
        }),
      }
    }),
  }
}

/** OffsetFetch. Before version 8 it is about one group, whose answer is that of the response. */
export const handleOffsetFetch: Handler<Apis['offsetFetch']> = async (services, context, request) => {
  const { coordinator } = services
  if (context.apiVersion >= firstVersionById) return fetchOffsetsById(services, request)
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

/** Topics without an id any more are left out where all are asked for: there is no way to tell of them. */
async function fetchOffsetsById(
  services: Services,
  { groups, requireStable }: OffsetFetchRequest,
): Promise<Answer<Apis['offsetFetch']>> {
  const asked = groups.map(({ groupId, topics }) => ({
    groupId,
    topics: topics?.map((topic) => ({ ...topic, name: nameOf(services, topic.topicId) })) ?? null,
  }))
  const response = await services.coordinator.fetchOffsets({
    groups: asked.map(({ groupId, topics }) => ({
      groupId,
      topics: topics?.flatMap(({ name, ...rest }) => (name === null ? [] : [{ ...rest, name }])) ?? null,
    })),
    requireStable,
  })
  const { image } = services.controller
  return {
    groups: response.groups.map(({ groupId, topics: found, errorCode }, index) => {
      const { topics } = asked[index]!
      if (errorCode !== 0) return { groupId, topics: [], errorCode }
      if (topics === null) {
        const withIds = found.flatMap(({ name, partitions }) => {
          const topicId = image.topics.get(name)?.id
          return topicId === undefined ? [] : [{ topicId, partitions }]
        })
        return { groupId, topics: withIds, errorCode }
      }
      const answers = found.values()
      const answerTo = ({ topicId, name, partitionIndexes }: (typeof topics)[number]) => ({
        topicId,
        partitions:
          name === null
            ? noOffsetsOf(partitionIndexes, KafkaError.unknownTopicId.kafka)
            : answers.next().value!.partitions,
      })
      return { groupId, topics: topics.map(answerTo), errorCode }
    }),
  }
}

function nameOf({ controller }: Services, topicId: Uuid): string | null {
  return controller.image.topicsById.get(topicId)?.name ?? null
}

function withError(
  request: OffsetFetchRequest,
  errorCode: number,
): NonNullable<NonNullable<Answer<Apis['offsetFetch']>>['topics']> {
  return (request.topics ?? []).map(({ name, partitionIndexes }) => ({
    name,
    partitions: noOffsetsOf(partitionIndexes, errorCode),
  }))
}

function noOffsetsOf(partitionIndexes: readonly number[], errorCode: number) {
  return partitionIndexes.map((partitionIndex) => ({
    partitionIndex,
    committedOffset: -1,
    committedLeaderEpoch: -1,
    metadata: '',
    errorCode,
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

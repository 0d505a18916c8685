import { committedOffset, type GroupData, type GroupState } from './groupData.ts'
import type {
  DescribedGroup,
  ListGroupsRequest,
  ListGroupsResponse,
  OffsetFetchRequestGroup,
  OffsetFetchResponseGroup,
} from './messages.ts'
import type { CommittedOffset } from './offsetsRecords.ts'
import { metadataFor } from './protocols.ts'

/** States as Kafka writes them. */
const stateNames: Readonly<Record<GroupState, string>> = {
  empty: 'Empty',
  preparingRebalance: 'PreparingRebalance',
  completingRebalance: 'CompletingRebalance',
  stable: 'Stable',
  dead: 'Dead',
}

/** The type of every group here, as Kafka writes it (KIP-848). */
const groupType = 'classic'

/** "Nobody asked which operations are allowed." */
const operationsNotAsked = -0x8000_0000
const empty = new Uint8Array(0)

type FetchedPartition = OffsetFetchResponseGroup['topics'][number]['partitions'][number]

/** The group as DescribeGroups tells it: protocol, metadata and assignments only while it is stable. */
export function describeGroup(group: GroupData): DescribedGroup {
  const isStable = group.state === 'stable'
  return {
    errorCode: 0,
    errorMessage: null,
    groupId: group.groupId,
    groupState: stateNames[group.state],
    protocolType: group.protocolType ?? '',
    protocolData: isStable ? (group.protocolName ?? '') : '',
    members: Array.from(group.members.values(), (member) => ({
      memberId: member.memberId,
      groupInstanceId: member.groupInstanceId,
      clientId: member.clientId,
      clientHost: member.clientHost,
      memberMetadata: isStable ? metadataFor(member, group.protocolName) : empty,
      memberAssignment: isStable ? member.assignment : empty,
    })),
    authorizedOperations: operationsNotAsked,
  }
}

/** A group that is not there, as DescribeGroups tells it. */
export function deadGroup(groupId: string): DescribedGroup {
  return {
    errorCode: 0,
    errorMessage: null,
    groupId,
    groupState: stateNames.dead,
    protocolType: '',
    protocolData: '',
    members: [],
    authorizedOperations: operationsNotAsked,
  }
}

/** The group as ListGroups tells it. */
export function listGroup(group: GroupData): ListGroupsResponse['groups'][number] {
  return {
    groupId: group.groupId,
    protocolType: group.protocolType ?? '',
    groupState: stateNames[group.state],
    groupType,
  }
}

/** Whether ListGroups asks for this group; empty filters ask for all, letters of either case count the same. */
export function matchesFilter(group: GroupData, { statesFilter, typesFilter }: ListGroupsRequest): boolean {
  const has = (filter: readonly string[], name: string): boolean =>
    filter.length === 0 || filter.some((wanted) => wanted.toLowerCase() === name.toLowerCase())
  return has(statesFilter, stateNames[group.state]) && has(typesFilter, groupType)
}

/** The offsets asked for, or all; -1 where nothing was committed. A group that is being deleted has none. */
export function fetchGroupOffsets(
  group: GroupData,
  request: OffsetFetchRequestGroup,
): OffsetFetchResponseGroup {
  if (group.state === 'dead') return noOffsets(request)
  if (request.topics !== null) {
    return answerTopics(request, (topic, partition) => committedOffset(group, topic, partition))
  }
  const topics = Array.from(group.offsets, ([name, partitions]) => ({
    name,
    partitions: Array.from(partitions, ([partition, offset]) => toPartition(partition, offset)),
  }))
  return { groupId: request.groupId, topics, errorCode: 0 }
}

/** What OffsetFetch says of a group that does not exist. */
export function noOffsets(request: OffsetFetchRequestGroup): OffsetFetchResponseGroup {
  return answerTopics(request, () => null)
}

function answerTopics(
  request: OffsetFetchRequestGroup,
  find: (topic: string, partition: number) => CommittedOffset | null,
): OffsetFetchResponseGroup {
  const topics = (request.topics ?? []).map(({ name, partitionIndexes }) => ({
    name,
    partitions: partitionIndexes.map((partition) => toPartition(partition, find(name, partition))),
  }))
  return { groupId: request.groupId, topics, errorCode: 0 }
}

function toPartition(partitionIndex: number, offset: CommittedOffset | null): FetchedPartition {
  return {
    partitionIndex,
    committedOffset: offset?.offset ?? -1,
    committedLeaderEpoch: offset?.leaderEpoch ?? -1,
    metadata: offset?.metadata ?? '',
    errorCode: 0,
  }
}

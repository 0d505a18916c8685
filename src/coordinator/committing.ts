import type { KafkaErrorName } from '../model/kafkaErrors.ts'
import { planted } from '../model/planted.ts'
import { errorNumber } from './answers.ts'
import type { EventOf, StateHandlers } from './events.ts'
import type { GroupData, OffsetChange } from './groupData.ts'
import { checkMember } from './membership.ts'
import type { OffsetCommitResponse } from './messages.ts'
import type { CommittedOffset, OffsetsRecord } from './offsetsRecords.ts'
import { restartSession } from './rebalance.ts'

/**
 * Commits offsets, if the sender may: members of the current generation, and in an empty group anybody without a
 * generation. What cannot be stored is refused partition by partition (12); the rest becomes visible, and is
 * answered, once it is durable.
 */
export const commitOffsets: StateHandlers['commitOffsets'] = (turn, group, { token, request }) => {
  const error = checkCommit(group, request)
  if (error !== null) {
    turn.answer(token, commitError(request, error))
    return
  }
  const member = group.members.get(request.memberId)
  if (member !== undefined) restartSession(turn, member)
  // The last of several offsets for one partition counts.
  const byPartition = new Map<string, Map<number, CommittedOffset>>()
  const expireTimestampMs = request.retentionTimeMs < 0 ? -1 : turn.now.wallMs + request.retentionTimeMs
  const topics = request.topics.map(({ name, partitions }) => {
    const values = byPartition.get(name) ?? new Map<number, CommittedOffset>()
    byPartition.set(name, values)
    const results = partitions.map((entry) => {
      const metadata = entry.committedMetadata ?? ''
      if (metadata.length > turn.config.offsetMetadataMaxBytes) {
        return { partitionIndex: entry.partitionIndex, errorCode: errorNumber('offsetMetadataTooLarge') }
      }
      values.set(entry.partitionIndex, {
        offset: entry.committedOffset,
        leaderEpoch: entry.committedLeaderEpoch,
        metadata,
        commitTimestampMs: turn.now.wallMs,
        expireTimestampMs,
      })
      return { partitionIndex: entry.partitionIndex, errorCode: 0 }
    })
    return { name, partitions: results }
  })
  const offsets: OffsetChange[] = []
  for (const [topic, values] of byPartition) {
    for (const [partition, value] of values) offsets.push({ topic, partition, value })
  }
  const response = { throttleTimeMs: 0, topics }
  if (offsets.length === 0) turn.answer(token, response)
  else turn.persist(group, toRecords(group, offsets), { type: 'commit', offsets, token, response })
}

/** A commit on a group that is being deleted. */
export const commitDead: StateHandlers['commitOffsets'] = (turn, _group, { token, request }) => {
  turn.answer(token, commitError(request, 'coordinatorNotAvailable'))
}

/** Every partition of the request refused with the same error. */
export function commitError(
  request: EventOf<'commitOffsets'>['request'],
  error: KafkaErrorName,
): OffsetCommitResponse {
  const errorCode = errorNumber(error)
  return {
    throttleTimeMs: 0,
    topics: request.topics.map(({ name, partitions }) => ({
      name,
      partitions: partitions.map(({ partitionIndex }) => ({ partitionIndex, errorCode })),
    })),
  }
}

function checkCommit(group: GroupData, request: EventOf<'commitOffsets'>['request']): KafkaErrorName | null {
  const { generationIdOrMemberEpoch: generationId, memberId, groupInstanceId } = request
  if (generationId < 0 && group.state === 'empty') return null
  if (generationId < 0 && memberId === '' && groupInstanceId === null) return 'unknownMemberId'
  if (planted('oldGenerationCommits') && generationId > 0 && generationId < group.generationId) return null
  const error = checkMember(group, memberId, groupInstanceId)
  if (error !== null) return error
  if (generationId !== group.generationId) return 'illegalGeneration'
  // The member knows of the generation, but what it commits may belong to another member by now.
  return group.state === 'completingRebalance' ? 'rebalanceInProgress' : null
}

function toRecords(group: GroupData, offsets: readonly OffsetChange[]): OffsetsRecord[] {
  return offsets.map(({ topic, partition, value }) => ({
    type: 'offset',
    groupId: group.groupId,
    topic,
    partition,
    value,
  }))
}

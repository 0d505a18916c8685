import { errorNumber } from './answers.ts'
import type { StateHandlers } from './events.ts'
import type { GroupData, OffsetChange } from './groupData.ts'
import type { CommittedOffset, OffsetsRecord } from './offsetsRecords.ts'
import { moveTo } from './rebalance.ts'
import { consumerProtocolType, isSubscribed } from './subscription.ts'
import type { Turn } from './turn.ts'

/** Deletes the group and all that it committed, if it has no members. */
export const deleteEmptyGroup: StateHandlers['deleteGroup'] = (turn, group, { token }) => {
  bury(turn, group, token)
}

/** A group with members stays (68). */
export const refuseDeletion: StateHandlers['deleteGroup'] = (turn, group, { token }) => {
  turn.answer(token, { groupId: group.groupId, errorCode: errorNumber('nonEmptyGroup'), errorMessage: null })
}

/** A group that is being deleted is not there any more (69). */
export const deleteDeadGroup: StateHandlers['deleteGroup'] = (turn, group, { token }) => {
  turn.answer(token, {
    groupId: group.groupId,
    errorCode: errorNumber('groupIdNotFound'),
    errorMessage: null,
  })
}

/**
 * Deletes offsets of topics that no member subscribes to (86 for the others). A group with members of a protocol
 * that is not the consumers' cannot be judged and refuses as a whole (68).
 */
export const deleteOffsets: StateHandlers['deleteOffsets'] = (turn, group, { token, request }) => {
  const hasMembers = group.state !== 'empty'
  if (hasMembers && group.protocolType !== consumerProtocolType) {
    turn.answer(token, { errorCode: errorNumber('nonEmptyGroup'), throttleTimeMs: 0, topics: [] })
    return
  }
  const offsets: OffsetChange[] = []
  const known = knownOffsets(group)
  const topics = request.topics.map(({ name, partitions }) => {
    const isKept = hasMembers && isSubscribed(group, name)
    const results = partitions.map(({ partitionIndex }) => {
      if (!isKept && known.get(name)?.has(partitionIndex)) {
        offsets.push({ topic: name, partition: partitionIndex, value: null })
      }
      return { partitionIndex, errorCode: isKept ? errorNumber('groupSubscribedToTopic') : 0 }
    })
    return { name, partitions: results }
  })
  const response = { errorCode: 0, throttleTimeMs: 0, topics }
  if (offsets.length === 0) turn.answer(token, response)
  else forget(turn, group, offsets, { token, response })
}

/** Offsets of a group that is being deleted. */
export const deleteDeadOffsets: StateHandlers['deleteOffsets'] = (turn, _group, { token }) => {
  turn.answer(token, { errorCode: errorNumber('groupIdNotFound'), throttleTimeMs: 0, topics: [] })
}

/** What was committed for a topic goes with it, members or not. */
export const topicsDeleted: StateHandlers['topicsDeleted'] = (turn, group, { topics }) => {
  const offsets: OffsetChange[] = []
  for (const [topic, partitions] of knownOffsets(group)) {
    if (!topics.has(topic)) continue
    for (const partition of partitions) offsets.push({ topic, partition, value: null })
  }
  if (offsets.length > 0) forget(turn, group, offsets, null)
}

/**
 * In an empty group offsets expire `offsetsRetentionMs` after its members left, or, if there never were any, after
 * the commit; an empty group without offsets is deleted. Source: KIP-211.
 */
export const expireEmpty: StateHandlers['expireOffsets'] = (turn, group) => {
  if (group.writes.size > 0) return // Come back when nothing is under way.
  const isSimple = group.protocolType === null || group.stateTimestampMs < 0
  const expired = expiredOffsets(turn, group, (offset) =>
    isSimple ? offset.commitTimestampMs : group.stateTimestampMs,
  )
  let count = 0
  for (const partitions of group.offsets.values()) count += partitions.size
  if (expired.length < count) {
    if (expired.length > 0) forget(turn, group, expired, null)
  } else if (group.pendingMembers.size === 0) bury(turn, group, null)
}

/** In a group of consumers, offsets of topics that none of them subscribes to expire after the commit. */
export const expireStable: StateHandlers['expireOffsets'] = (turn, group) => {
  if (group.writes.size > 0 || group.subscribedTopics === null) return
  const expired = expiredOffsets(turn, group, (offset) => offset.commitTimestampMs).filter(
    ({ topic }) => !isSubscribed(group, topic),
  )
  if (expired.length > 0) forget(turn, group, expired, null)
}

function expiredOffsets(
  turn: Turn,
  group: GroupData,
  since: (offset: CommittedOffset) => number,
): OffsetChange[] {
  const expired: OffsetChange[] = []
  for (const [topic, partitions] of group.offsets) {
    for (const [partition, offset] of partitions) {
      const expiresMs =
        offset.expireTimestampMs >= 0
          ? offset.expireTimestampMs
          : since(offset) + turn.config.offsetsRetentionMs
      if (turn.now.wallMs >= expiresMs) expired.push({ topic, partition, value: null })
    }
  }
  return expired
}

type DeleteOffsetsWrite = Extract<Parameters<Turn['persist']>[2], { type: 'deleteOffsets' }>

function forget(
  turn: Turn,
  group: GroupData,
  offsets: readonly OffsetChange[],
  answer: DeleteOffsetsWrite['answer'],
): void {
  turn.persist(group, tombstones(group, offsets), { type: 'deleteOffsets', offsets, answer })
}

type DeleteGroupWrite = Extract<Parameters<Turn['persist']>[2], { type: 'deleteGroup' }>

/** Writes tombstones for all that is, or is about to be, in the log of this group. It is dead from now on. */
function bury(turn: Turn, group: GroupData, token: DeleteGroupWrite['token']): void {
  const records: OffsetsRecord[] = []
  for (const [topic, partitions] of knownOffsets(group)) {
    for (const partition of partitions) {
      records.push({ type: 'offset', groupId: group.groupId, topic, partition, value: null })
    }
  }
  records.push({ type: 'group', groupId: group.groupId, value: null })
  group.pendingMembers.clear()
  moveTo(turn, group, 'dead')
  turn.persist(group, records, { type: 'deleteGroup', token })
}

function tombstones(group: GroupData, offsets: readonly OffsetChange[]): OffsetsRecord[] {
  return offsets.map(({ topic, partition }) => ({
    type: 'offset',
    groupId: group.groupId,
    topic,
    partition,
    value: null,
  }))
}

/** Partitions with an offset that is durable or on its way into the log: a tombstone must come after both. */
function knownOffsets(group: GroupData): Map<string, Set<number>> {
  const known = new Map<string, Set<number>>()
  const add = (topic: string, partition: number): void => {
    const partitions = known.get(topic)
    if (partitions === undefined) known.set(topic, new Set([partition]))
    else partitions.add(partition)
  }
  for (const [topic, partitions] of group.offsets) {
    for (const partition of partitions.keys()) add(topic, partition)
  }
  for (const write of group.writes.values()) {
    if (write.type === 'commit') for (const { topic, partition } of write.offsets) add(topic, partition)
  }
  return known
}

import { assert, unreachable } from '../model/assert.ts'
import type { EngineErrorName } from '../model/errors.ts'
import type { KafkaErrorName } from '../model/kafkaErrors.ts'
import { errorNumber, joinError } from './answers.ts'
import type { StateHandlers } from './events.ts'
import type { GroupData, OffsetChange, PendingWrite } from './groupData.ts'
import { replaceStaticMember } from './membership.ts'
import { answerSyncs, moveTo, prepareRebalance, restartSession, settle } from './rebalance.ts'
import type { Turn } from './turn.ts'

/** What was handed to the log is durable: only now does it show, and is it answered. */
export const persisted: StateHandlers['persisted'] = (turn, group, { writeId }) => {
  const write = takeWrite(group, writeId)
  switch (write.type) {
    case 'assignment':
      group.durable = write.value
      // A rebalance may have begun meanwhile; then this assignment is history.
      if (isAwaited(group, write.generationId)) settle(turn, group, write.value)
      return
    case 'emptied':
      group.durable = write.value
      if (write.leave !== null) turn.answer(write.leave.token, write.leave.response)
      return
    case 'staticMember':
      group.durable = write.value
      staticMemberStored(turn, group, write)
      return
    case 'commit':
      applyOffsets(group, write.offsets)
      turn.answer(write.token, write.response)
      return
    case 'deleteOffsets':
      applyOffsets(group, write.offsets)
      if (write.answer !== null) turn.answer(write.answer.token, write.answer.response)
      return
    case 'deleteGroup':
      if (write.token !== null) {
        turn.answer(write.token, { groupId: group.groupId, errorCode: 0, errorMessage: null })
      }
      turn.remove()
      return
    default:
      unreachable(write)
  }
}

/** The log refused: nothing of the write shows, and whoever waits for it is told. */
export const persistFailed: StateHandlers['persistFailed'] = (turn, group, { writeId, code }) => {
  const write = takeWrite(group, writeId)
  const error = groupWriteError(code)
  if (write.type === 'assignment') {
    if (!isAwaited(group, write.generationId)) return
    answerSyncs(turn, group, error)
    prepareRebalance(turn, group, 'the assignment could not be stored')
  } else if (write.type === 'staticMember') staticMemberFailed(turn, group, write, error)
  else {
    if (write.type === 'deleteGroup') moveTo(turn, group, 'empty')
    // Of one that is emptied the old generation comes back with a restart and expires then: nobody was told otherwise.
    refuseWrite(turn, group, write, errorNumber(write.type === 'commit' ? commitWriteError(code) : error))
  }
}

/** Answers whoever waits for a write, and for nothing else, that it has failed. */
export function refuseWrite(turn: Turn, group: GroupData, write: PendingWrite, errorCode: number): void {
  switch (write.type) {
    case 'assignment':
    case 'staticMember':
      return // Its members wait in a SyncGroup or JoinGroup.
    case 'emptied':
      if (write.leave !== null) turn.answer(write.leave.token, { throttleTimeMs: 0, errorCode, members: [] })
      return
    case 'commit': {
      const topics = write.response.topics.map(({ name, partitions }) => ({
        name,
        partitions: partitions.map((result) => (result.errorCode === 0 ? { ...result, errorCode } : result)),
      }))
      turn.answer(write.token, { throttleTimeMs: 0, topics })
      return
    }
    case 'deleteOffsets':
      if (write.answer !== null) turn.answer(write.answer.token, { errorCode, throttleTimeMs: 0, topics: [] })
      return
    case 'deleteGroup':
      if (write.token !== null) {
        turn.answer(write.token, { groupId: group.groupId, errorCode, errorMessage: null })
      }
      return
    default:
      unreachable(write)
  }
}

type StaticMemberWrite = Extract<PendingWrite, { type: 'staticMember' }>

/** The restarted static member, if it still waits and no rebalance has come in between. */
function awaitedStaticMember(group: GroupData, write: StaticMemberWrite): boolean {
  const memberId = group.staticMembers.get(write.groupInstanceId)
  const member = memberId === undefined ? undefined : group.members.get(memberId)
  const isCurrent = group.state === 'stable' && group.generationId === write.generationId
  return isCurrent && member?.joinToken === write.token
}

function staticMemberStored(turn: Turn, group: GroupData, write: StaticMemberWrite): void {
  if (!awaitedStaticMember(group, write)) return // It was dismissed, or gets the new generation with the others.
  const member = group.members.get(write.response.memberId)!
  member.joinToken = null
  turn.answer(write.token, write.response)
  restartSession(turn, member)
}

function staticMemberFailed(
  turn: Turn,
  group: GroupData,
  write: StaticMemberWrite,
  error: KafkaErrorName,
): void {
  if (!awaitedStaticMember(group, write)) return
  group.members.get(write.response.memberId)!.joinToken = null
  replaceStaticMember(turn, group, write.before)
  restartSession(turn, write.before)
  turn.answer(write.token, joinError(error, ''))
}

function takeWrite(group: GroupData, writeId: number): PendingWrite {
  const [first] = group.writes.keys()
  assert(first === writeId, 'writes end in the order in which they were made')
  const write = group.writes.get(writeId)!
  group.writes.delete(writeId)
  return write
}

function isAwaited(group: GroupData, generationId: number): boolean {
  return group.state === 'completingRebalance' && group.generationId === generationId
}

/** Makes offsets visible, or removes them. */
export function applyOffsets(group: GroupData, offsets: readonly OffsetChange[]): void {
  for (const { topic, partition, value } of offsets) {
    const partitions = group.offsets.get(topic)
    if (value === null) {
      partitions?.delete(partition)
      if (partitions?.size === 0) group.offsets.delete(topic)
    } else if (partitions === undefined) group.offsets.set(topic, new Map([[partition, value]]))
    else partitions.set(partition, value)
  }
}

/** How a client should take it that the log refused a group's record: try again here, elsewhere, or not at all. */
function groupWriteError(code: EngineErrorName): KafkaErrorName {
  if (isTooLarge(code)) return 'unknownServerError'
  return code === 'queueFull' || code === 'diskFull' ? 'coordinatorNotAvailable' : 'notCoordinator'
}

function commitWriteError(code: EngineErrorName): KafkaErrorName {
  return isTooLarge(code) ? 'invalidCommitOffsetSize' : groupWriteError(code)
}

function isTooLarge(code: EngineErrorName): boolean {
  return code === 'messageTooLarge' || code === 'recordListTooLarge'
}

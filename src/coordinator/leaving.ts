import type { KafkaErrorName } from '../model/kafkaErrors.ts'
import { errorNumber } from './answers.ts'
import type { StateHandlers } from './events.ts'
import { type GroupData, hasAllMembersJoined, type LeaveAnswer } from './groupData.ts'
import { checkMember, removeMember } from './membership.ts'
import type { LeavingMember } from './messages.ts'
import { completeJoin, prepareRebalance } from './rebalance.ts'
import type { Turn } from './turn.ts'

/**
 * Takes members out, one result each. If that leaves the group empty, the answer waits until this is durable.
 * Source: KIP-345.
 */
export const leave: StateHandlers['leave'] = (turn, group, { token, request }) => {
  const membersBefore = group.members.size
  const members = request.members.map((leaving) => {
    const { memberId, groupInstanceId } = leaving
    const error = takeOut(turn, group, leaving)
    return { memberId, groupInstanceId, errorCode: error === null ? 0 : errorNumber(error) }
  })
  const answer: LeaveAnswer = { token, response: { throttleTimeMs: 0, errorCode: 0, members } }
  afterRemoval(turn, group, 'members left', group.members.size < membersBefore, answer)
  const isWaiting = [...group.writes.values()].some(
    (write) => write.type === 'emptied' && write.leave === answer,
  )
  if (!isWaiting) turn.answer(token, answer.response)
}

/** LeaveGroup on a group that is being deleted. */
export const leaveDead: StateHandlers['leave'] = (turn, _group, { token }) => {
  turn.answer(token, { throttleTimeMs: 0, errorCode: errorNumber('coordinatorNotAvailable'), members: [] })
}

function takeOut(turn: Turn, group: GroupData, leaving: LeavingMember): KafkaErrorName | null {
  const { memberId, groupInstanceId } = leaving
  if (groupInstanceId === null && group.pendingMembers.has(memberId)) {
    removeMember(turn, group, memberId)
    return null
  }
  // An administrator removes a static member by its instance id alone.
  const byInstance =
    memberId === '' && groupInstanceId !== null ? group.staticMembers.get(groupInstanceId) : undefined
  const id = byInstance ?? memberId
  const error = checkMember(group, id, groupInstanceId)
  if (error !== null) return error
  removeMember(turn, group, id)
  return null
}

/** A member's session has ended, or an id that was given out was never used. */
export function sessionEnded(turn: Turn, group: GroupData, memberId: string): void {
  const isMember = group.members.has(memberId)
  turn.log('a member is gone: nothing was heard within its session timeout', {
    group: group.groupId,
    memberId,
  })
  removeMember(turn, group, memberId)
  afterRemoval(turn, group, `the session of ${memberId} ended`, isMember, null)
}

/** Whoever is gone is not waited for any more; and if it was a member, its partitions need a new owner. */
function afterRemoval(
  turn: Turn,
  group: GroupData,
  reason: string,
  wasMember: boolean,
  answer: LeaveAnswer | null,
): void {
  if (group.state === 'preparingRebalance') {
    if (hasAllMembersJoined(group)) completeJoin(turn, group, answer)
  } else if (wasMember && (group.state === 'stable' || group.state === 'completingRebalance')) {
    prepareRebalance(turn, group, reason, answer)
  }
}

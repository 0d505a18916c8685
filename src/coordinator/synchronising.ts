import type { KafkaErrorName } from '../model/kafkaErrors.ts'
import { planted } from '../model/planted.ts'
import { errorNumber, syncError, syncSuccess } from './answers.ts'
import { copyBytes } from './copyBytes.ts'
import type { EventOf, StateHandlers } from './events.ts'
import type { GroupData } from './groupData.ts'
import { checkMember } from './membership.ts'
import { describeForLog, restartSession, settle } from './rebalance.ts'
import type { Turn } from './turn.ts'

/** SyncGroup in a group without members: nobody is known. */
export const syncEmpty: StateHandlers['sync'] = (turn, _group, { token }) => {
  turn.answer(token, syncError('unknownMemberId'))
}

/** SyncGroup while members gather: join first (27). */
export const syncPreparingRebalance: StateHandlers['sync'] = (turn, group, event) => {
  turn.answer(event.token, syncError(checkSync(group, event) ?? 'rebalanceInProgress'))
}

/** Waits for the leader's assignment; the leader's own SyncGroup brings it, and it is written down. */
export const syncCompletingRebalance: StateHandlers['sync'] = (turn, group, event) => {
  const { token, request } = event
  const error = checkSync(group, event)
  if (error !== null) {
    turn.answer(token, syncError(error))
    return
  }
  const member = group.members.get(request.memberId)!
  if (member.syncToken !== null) turn.answer(member.syncToken, syncError('rebalanceInProgress'))
  member.syncToken = token
  noteSync(group, request.memberId)
  if (group.leaderId === request.memberId) storeAssignment(turn, group, event)
}

/** The assignment is there. */
export const syncStable: StateHandlers['sync'] = (turn, group, event) => {
  const error = checkSync(group, event)
  if (error !== null) {
    turn.answer(event.token, syncError(error))
    return
  }
  noteSync(group, event.request.memberId)
  turn.answer(event.token, syncSuccess(group, group.members.get(event.request.memberId)!))
}

/** SyncGroup on a group that is being deleted. */
export const syncDead: StateHandlers['sync'] = (turn, _group, { token }) => {
  turn.answer(token, syncError('coordinatorNotAvailable'))
}

function checkSync(group: GroupData, { request }: EventOf<'sync'>): KafkaErrorName | null {
  const error = checkMember(group, request.memberId, request.groupInstanceId)
  if (error !== null) return error
  if (request.generationId !== group.generationId) return 'illegalGeneration'
  const { protocolType, protocolName } = request
  const differs =
    (protocolType !== null && group.protocolType !== null && protocolType !== group.protocolType) ||
    (protocolName !== null && group.protocolName !== null && protocolName !== group.protocolName)
  return differs ? 'inconsistentGroupProtocol' : null
}

function noteSync(group: GroupData, memberId: string): void {
  group.pendingSyncs.delete(memberId)
  if (group.pendingSyncs.size === 0) group.syncDeadlineMs = Infinity
}

/** Hands the leader's assignment to the log, once per generation: a repeated SyncGroup waits for the first. */
function storeAssignment(turn: Turn, group: GroupData, { request }: EventOf<'sync'>): void {
  for (const write of group.writes.values()) {
    if (write.type === 'assignment' && write.generationId === group.generationId) return
  }
  const assignments = new Map<string, Uint8Array>()
  for (const { memberId, assignment } of request.assignments) {
    if (group.members.has(memberId)) assignments.set(memberId, copyBytes(assignment))
  }
  const value = describeForLog(group, assignments)
  turn.persist(group, [{ type: 'group', groupId: group.groupId, value }], {
    type: 'assignment',
    generationId: group.generationId,
    value,
  })
  if (planted('assignmentToldEarly')) settle(turn, group, value)
}

/** The heartbeat handler of the states with members: `error` is what a valid member is told. */
export function heartbeatWith(error: KafkaErrorName): StateHandlers['heartbeat'] {
  return (turn, group, { token, request }) => {
    const wrong = checkMember(group, request.memberId, request.groupInstanceId)
    const result =
      wrong ?? (request.generationId === group.generationId ? error : ('illegalGeneration' as const))
    const member = group.members.get(request.memberId)
    if (result === error && member !== undefined) restartSession(turn, member)
    turn.answer(token, { throttleTimeMs: 0, errorCode: errorNumber(result) })
  }
}

/** The heartbeat handler of a state in which every heartbeat fails. */
export function refuseHeartbeat(error: KafkaErrorName): StateHandlers['heartbeat'] {
  return (turn, _group, { token }) => {
    turn.answer(token, { throttleTimeMs: 0, errorCode: errorNumber(error) })
  }
}

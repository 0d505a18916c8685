import { joinError, joinSuccess } from './answers.ts'
import type { JoinEvent, StateHandlers } from './events.ts'
import { countAwaitingJoin, type GroupData, type Member } from './groupData.ts'
import { addMember, checkMember, removeMember, replaceStaticMember } from './membership.ts'
import {
  copyProtocols,
  countProtocols,
  sameProtocols,
  selectProtocol,
  supportsProtocols,
} from './protocols.ts'
import {
  describeForLog,
  maybeCompleteJoin,
  prepareRebalance,
  rebalanceOrComplete,
  restartSession,
} from './rebalance.ts'
import type { Turn } from './turn.ts'

const empty = new Uint8Array(0)

/** What a state does with the JoinGroup of a member that it knows. */
type Rejoin = (turn: Turn, group: GroupData, event: JoinEvent, member: Member) => void

/** The JoinGroup handler of a state: admission first, then new members alike in all states, then `rejoin`. */
export function joinWith(rejoin: Rejoin): StateHandlers['join'] {
  return (turn, group, event) => {
    const { token, request } = event
    const { memberId, groupInstanceId } = request
    if (!hasRoom(turn, group, memberId)) {
      removeMember(turn, group, memberId)
      turn.answer(token, joinError('groupMaxSizeReached', ''))
      if (group.state === 'preparingRebalance') maybeCompleteJoin(turn, group)
    } else if (!supportsProtocols(group, request.protocolType, request.protocols)) {
      turn.answer(token, joinError('inconsistentGroupProtocol', memberId))
    } else if (memberId === '') {
      if (groupInstanceId === null) joinNewDynamicMember(turn, group, event)
      else if (group.staticMembers.has(groupInstanceId)) takeOverStaticMember(turn, group, event)
      else admit(turn, group, event, event.newMemberId)
    } else if (group.pendingMembers.has(memberId) && groupInstanceId === null) {
      admit(turn, group, event, memberId)
    } else {
      const error = checkMember(group, memberId, groupInstanceId)
      if (error !== null) turn.answer(token, joinError(error, memberId))
      else rejoin(turn, group, event, group.members.get(memberId)!)
    }
  }
}

/** A group without members knows nobody: the member has to begin anew. */
export const rejoinEmpty: Rejoin = (turn, _group, event) => {
  turn.answer(event.token, joinError('unknownMemberId', event.request.memberId))
}

/** The member is counted as there. */
export const rejoinPreparingRebalance: Rejoin = (turn, group, event, member) => {
  update(turn, group, member, event)
  maybeCompleteJoin(turn, group)
}

/** The same metadata again means that our answer was lost; anything else begins another rebalance. */
export const rejoinCompletingRebalance: Rejoin = (turn, group, event, member) => {
  if (sameProtocols(member, event.request.protocols)) {
    turn.answer(event.token, joinSuccess(group, member.memberId))
    return
  }
  update(turn, group, member, event)
  prepareRebalance(turn, group, `member ${member.memberId} changed its metadata`)
}

/**
 * A follower with the same metadata is told of the current generation; a leader that joins always wants a
 * rebalance, for example because topics have changed.
 */
export const rejoinStable: Rejoin = (turn, group, event, member) => {
  const isLeader = group.leaderId === member.memberId
  if (!isLeader && sameProtocols(member, event.request.protocols)) {
    turn.answer(event.token, joinSuccess(group, member.memberId))
    return
  }
  update(turn, group, member, event)
  const reason = isLeader ? 'the leader joined again' : `member ${member.memberId} changed its metadata`
  prepareRebalance(turn, group, reason)
}

/** JoinGroup on a group that is being deleted: look for the coordinator and ask again (15). */
export const joinDead: StateHandlers['join'] = (turn, _group, { token, request }) => {
  turn.answer(token, joinError('coordinatorNotAvailable', request.memberId))
}

/**
 * Whether the group may have this member. While members gather, those that wait are counted, so that a group
 * over its size loses the last ones to come. Source: Kafka's acceptJoiningMember.
 */
function hasRoom(turn: Turn, group: GroupData, memberId: string): boolean {
  const member = group.members.get(memberId)
  if (group.state === 'empty') return true
  if (group.state !== 'preparingRebalance') {
    return member !== undefined || group.members.size < turn.config.groupMaxSize
  }
  if (member !== undefined && member.joinToken !== null) return true
  return countAwaitingJoin(group) < turn.config.groupMaxSize
}

/** A member without an id gets one and, from JoinGroup 4 on, has to come back with it. Source: KIP-394. */
function joinNewDynamicMember(turn: Turn, group: GroupData, event: JoinEvent): void {
  if (!event.requireKnownMemberId) {
    admit(turn, group, event, event.newMemberId)
  } else if (group.pendingMembers.size >= turn.config.groupMaxPendingMembers) {
    turn.answer(event.token, joinError('groupMaxSizeReached', ''))
  } else {
    group.pendingMembers.set(event.newMemberId, turn.now.monotonicMs + event.request.sessionTimeoutMs)
    turn.answer(event.token, joinError('memberIdRequired', event.newMemberId))
  }
}

function admit(turn: Turn, group: GroupData, event: JoinEvent, memberId: string): void {
  const member = newMember(turn, event, memberId)
  addMember(group, member, event.request.protocolType)
  if (group.initialRebalance !== null) group.newMemberAdded = true
  rebalanceOrComplete(turn, group, `member ${memberId} joins`)
}

function newMember(turn: Turn, event: JoinEvent, memberId: string): Member {
  const { request } = event
  return {
    memberId,
    groupInstanceId: request.groupInstanceId,
    clientId: event.clientId,
    clientHost: event.clientHost,
    rebalanceTimeoutMs: rebalanceTimeoutMs(event),
    sessionTimeoutMs: request.sessionTimeoutMs,
    protocols: copyProtocols(request.protocols),
    assignment: empty,
    isNew: true,
    joinToken: event.token,
    syncToken: null,
    // It cannot heartbeat before it knows its id; if its client is gone, it must not stay for ever.
    sessionDeadlineMs: turn.now.monotonicMs + turn.config.newMemberJoinTimeoutMs,
  }
}

function rebalanceTimeoutMs({ request }: JoinEvent): number {
  return request.rebalanceTimeoutMs < 0 ? request.sessionTimeoutMs : request.rebalanceTimeoutMs
}

/** Takes over what the member says now; an earlier JoinGroup of it that still waits is sent away (27). */
function update(turn: Turn, group: GroupData, member: Member, event: JoinEvent): void {
  if (member.joinToken !== null)
    turn.answer(member.joinToken, joinError('rebalanceInProgress', member.memberId))
  member.joinToken = event.token
  countProtocols(group, member, -1)
  member.protocols = copyProtocols(event.request.protocols)
  countProtocols(group, member, 1)
  member.rebalanceTimeoutMs = rebalanceTimeoutMs(event)
  member.sessionTimeoutMs = event.request.sessionTimeoutMs
}

/**
 * A static member that has started again takes its old place under a new member id. In a stable group this needs
 * no rebalance unless the selected protocol would change; the new id is durable before it is told. While the
 * assignment is being made the leader may already have the old id, so that everyone must join again.
 * Source: KIP-345, KIP-814.
 */
function takeOverStaticMember(turn: Turn, group: GroupData, event: JoinEvent): void {
  const leaderBefore = group.leaderId
  const { newMemberId } = event
  const joining = newMember(turn, event, newMemberId)
  const before = replaceStaticMember(turn, group, joining)
  joining.assignment = before.assignment
  joining.isNew = false
  restartSession(turn, joining)
  if (group.state === 'completingRebalance') {
    prepareRebalance(turn, group, `static member ${before.groupInstanceId} started again`)
  } else if (group.state === 'preparingRebalance') {
    maybeCompleteJoin(turn, group)
  } else if (selectProtocol(group) !== group.protocolName) {
    prepareRebalance(turn, group, `static member ${before.groupInstanceId} changed the selected protocol`)
  } else {
    const told = joinSuccess(group, newMemberId)
    const isLeader = group.leaderId === newMemberId
    const response = event.supportsSkippingAssignment
      ? { ...told, skipAssignment: isLeader }
      : // An older client that hears it leads would assign anew; the old leader's id makes it ask for its assignment.
        { ...told, leader: leaderBefore ?? '', members: [] }
    const value = describeForLog(group)
    turn.persist(group, [{ type: 'group', groupId: group.groupId, value }], {
      type: 'staticMember',
      value,
      token: event.token,
      response,
      generationId: group.generationId,
      groupInstanceId: joining.groupInstanceId!,
      before,
    })
  }
}

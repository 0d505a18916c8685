import { assert } from '../model/assert.ts'
import type { KafkaErrorName } from '../model/kafkaErrors.ts'
import { joinSuccess, syncError, syncSuccess } from './answers.ts'
import {
  type GroupData,
  type GroupState,
  groupRebalanceTimeoutMs,
  hasAllMembersJoined,
  type LeaveAnswer,
  type Member,
} from './groupData.ts'
import { removeMember } from './membership.ts'
import type { GroupMetadata } from './offsetsRecords.ts'
import { metadataFor, selectProtocol } from './protocols.ts'
import { subscribedTopics } from './subscription.ts'
import type { Turn } from './turn.ts'

const empty = new Uint8Array(0)

/** Where a group may go from each state. Source: Kafka's ClassicGroupState; `empty` again after a failed deletion. */
const legalMoves: Readonly<Record<GroupState, readonly GroupState[]>> = {
  empty: ['preparingRebalance', 'dead'],
  preparingRebalance: ['completingRebalance', 'empty', 'dead'],
  completingRebalance: ['stable', 'preparingRebalance', 'dead'],
  stable: ['preparingRebalance', 'dead'],
  dead: ['empty'],
}

/** Changes the state. */
export function moveTo(turn: Turn, group: GroupData, state: GroupState): void {
  assert(legalMoves[group.state].includes(state), `a group does not go from ${group.state} to ${state}`)
  group.state = state
  group.stateTimestampMs = turn.now.wallMs
}

/** Lets the member's session run from now on. */
export function restartSession(turn: Turn, member: Member): void {
  member.sessionDeadlineMs = turn.now.monotonicMs + member.sessionTimeoutMs
}

/** Begins a rebalance, or, when one is going on, ends it if nobody is missing any more. */
export function rebalanceOrComplete(
  turn: Turn,
  group: GroupData,
  reason: string,
  leave: LeaveAnswer | null = null,
): void {
  if (group.state !== 'preparingRebalance') prepareRebalance(turn, group, reason, leave)
  else maybeCompleteJoin(turn, group)
}

/**
 * Begins a rebalance: waiting SyncGroups are told to join again (27), and everyone has the group's rebalance
 * timeout to do so. In an empty group the initial delay takes its place.
 */
export function prepareRebalance(
  turn: Turn,
  group: GroupData,
  reason: string,
  leave: LeaveAnswer | null = null,
): void {
  if (group.state === 'completingRebalance') {
    for (const member of group.members.values()) member.assignment = empty
    answerSyncs(turn, group, 'rebalanceInProgress')
  }
  group.pendingSyncs.clear()
  group.syncDeadlineMs = Infinity
  const isInitial = group.state === 'empty'
  turn.log('a rebalance begins', { group: group.groupId, generation: group.generationId, reason })
  moveTo(turn, group, 'preparingRebalance')
  if (isInitial) beginInitialRebalance(turn, group)
  else if (hasAllMembersJoined(group)) completeJoin(turn, group, leave)
  else group.joinDeadlineMs = turn.now.monotonicMs + groupRebalanceTimeoutMs(group)
}

function beginInitialRebalance(turn: Turn, group: GroupData): void {
  const delayMs = turn.config.groupInitialRebalanceDelayMs
  group.newMemberAdded = false
  if (delayMs === 0) {
    completeJoin(turn, group)
    return
  }
  group.initialRebalance = { delayMs, remainingMs: Math.max(groupRebalanceTimeoutMs(group) - delayMs, 0) }
  group.joinDeadlineMs = turn.now.monotonicMs + delayMs
}

/** The join deadline has passed: the initial rebalance is extended if somebody came, else the phase ends. */
export function joinDeadlinePassed(turn: Turn, group: GroupData): void {
  const initial = group.initialRebalance
  if (initial === null || !group.newMemberAdded || initial.remainingMs === 0) {
    completeJoin(turn, group)
    return
  }
  group.newMemberAdded = false
  const delayMs = Math.min(turn.config.groupInitialRebalanceDelayMs, initial.remainingMs)
  group.initialRebalance = { delayMs, remainingMs: Math.max(initial.remainingMs - initial.delayMs, 0) }
  group.joinDeadlineMs = turn.now.monotonicMs + delayMs
}

/** Ends the join phase if all are there. The initial rebalance sits out its delay. */
export function maybeCompleteJoin(turn: Turn, group: GroupData): void {
  if (group.initialRebalance === null && hasAllMembersJoined(group)) completeJoin(turn, group)
}

/**
 * Ends the join phase: dynamic members that did not rejoin are out, static ones stay until their session ends.
 * The rest get the next generation; a group without members is empty, which is written down.
 */
export function completeJoin(turn: Turn, group: GroupData, leave: LeaveAnswer | null = null): void {
  assert(group.state === 'preparingRebalance')
  for (const member of [...group.members.values()]) {
    if (member.joinToken === null && member.groupInstanceId === null)
      removeMember(turn, group, member.memberId)
  }
  group.joinDeadlineMs = Infinity
  if (group.members.size > 0 && !electJoinedLeader(group)) {
    // Only absent static members are left: wait until their sessions end or they come. Never a busy loop.
    group.joinDeadlineMs = turn.now.monotonicMs + Math.max(groupRebalanceTimeoutMs(group), 1_000)
    return
  }
  group.initialRebalance = null
  group.newMemberAdded = false
  group.generationId++
  group.pendingSyncs.clear()
  if (group.members.size === 0) becomeEmpty(turn, group, leave)
  else beginSync(turn, group)
}

/** Keeps a leader that has rejoined, else takes the first member that has. False if none has. */
function electJoinedLeader(group: GroupData): boolean {
  const leader = group.leaderId === null ? undefined : group.members.get(group.leaderId)
  if (leader !== undefined && leader.joinToken !== null) return true
  for (const member of group.members.values()) {
    if (member.joinToken !== null) {
      group.leaderId = member.memberId
      return true
    }
  }
  return false
}

function becomeEmpty(turn: Turn, group: GroupData, leave: LeaveAnswer | null): void {
  group.protocolName = null
  moveTo(turn, group, 'empty')
  group.subscribedTopics = subscribedTopics(group)
  turn.log('a group has no members any more', { group: group.groupId, generation: group.generationId })
  const value = describeForLog(group)
  turn.persist(group, [{ type: 'group', groupId: group.groupId, value }], { type: 'emptied', value, leave })
}

function beginSync(turn: Turn, group: GroupData): void {
  group.protocolName = selectProtocol(group)
  moveTo(turn, group, 'completingRebalance')
  group.subscribedTopics = subscribedTopics(group)
  for (const member of group.members.values()) {
    const token = member.joinToken
    member.joinToken = null
    if (token !== null) turn.answer(token, joinSuccess(group, member.memberId))
    member.isNew = false
    restartSession(turn, member)
    group.pendingSyncs.add(member.memberId)
  }
  group.syncDeadlineMs = turn.now.monotonicMs + groupRebalanceTimeoutMs(group)
  turn.log('a generation begins', {
    group: group.groupId,
    generation: group.generationId,
    members: group.members.size,
  })
}

/** The rebalance timeout has passed since the generation began: members that never synchronised are out. */
export function syncDeadlinePassed(turn: Turn, group: GroupData): void {
  group.syncDeadlineMs = Infinity
  if (group.pendingSyncs.size === 0) return
  for (const memberId of [...group.pendingSyncs]) removeMember(turn, group, memberId)
  prepareRebalance(turn, group, 'members did not ask for their assignment in time')
}

/** Gives every member its assignment and answers those that wait. The leader's choice is durable by now. */
export function settle(turn: Turn, group: GroupData, value: GroupMetadata): void {
  const assignments = new Map(value.members.map((member) => [member.memberId, member.assignment]))
  for (const member of group.members.values()) member.assignment = assignments.get(member.memberId) ?? empty
  moveTo(turn, group, 'stable')
  answerSyncs(turn, group, null)
}

/** Answers every SyncGroup that waits, with the assignment or with `error`; sessions run again. */
export function answerSyncs(turn: Turn, group: GroupData, error: KafkaErrorName | null): void {
  for (const member of group.members.values()) {
    const token = member.syncToken
    if (token === null) continue
    member.syncToken = null
    turn.answer(token, error === null ? syncSuccess(group, member) : syncError(error))
    restartSession(turn, member)
  }
}

/** The group as its record says it, with the members' assignments, or those given. */
export function describeForLog(
  group: GroupData,
  assignments: ReadonlyMap<string, Uint8Array> | null = null,
): GroupMetadata {
  return {
    protocolType: group.protocolType ?? '',
    generation: group.generationId,
    protocol: group.protocolName,
    leader: group.leaderId,
    currentStateTimestampMs: group.stateTimestampMs,
    members: Array.from(group.members.values(), (member) => ({
      memberId: member.memberId,
      groupInstanceId: member.groupInstanceId,
      clientId: member.clientId,
      clientHost: member.clientHost,
      rebalanceTimeoutMs: member.rebalanceTimeoutMs,
      sessionTimeoutMs: member.sessionTimeoutMs,
      subscription: metadataFor(member, group.protocolName),
      assignment: assignments === null ? member.assignment : (assignments.get(member.memberId) ?? empty),
    })),
  }
}

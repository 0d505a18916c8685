import { assert } from '../model/assert.ts'
import type { KafkaErrorName } from '../model/kafkaErrors.ts'
import { joinError, syncError } from './answers.ts'
import type { GroupData, Member } from './groupData.ts'
import { countProtocols } from './protocols.ts'
import type { Turn } from './turn.ts'

/**
 * What is wrong with a request that claims to come from this member, or null: a static member whose instance id
 * has moved on to another member id is fenced (82), anyone else unknown (25). Source: KIP-345.
 */
export function checkMember(
  group: GroupData,
  memberId: string,
  groupInstanceId: string | null,
): KafkaErrorName | null {
  if (groupInstanceId !== null) {
    const current = group.staticMembers.get(groupInstanceId)
    if (current === undefined) return 'unknownMemberId'
    if (current !== memberId) return 'fencedInstanceId'
  }
  return group.members.has(memberId) ? null : 'unknownMemberId'
}

/** Adds a member; the first one becomes leader and sets the protocol type. */
export function addMember(group: GroupData, member: Member, protocolType: string): void {
  assert(!group.members.has(member.memberId), 'a member id is in use once')
  if (group.members.size === 0) group.protocolType = protocolType
  if (member.groupInstanceId !== null) {
    assert(!group.staticMembers.has(member.groupInstanceId), 'an instance id belongs to one member')
    group.staticMembers.set(member.groupInstanceId, member.memberId)
  }
  group.leaderId ??= member.memberId
  group.members.set(member.memberId, member)
  countProtocols(group, member, 1)
  group.pendingMembers.delete(member.memberId)
}

/**
 * Takes a member, or an id that was only given out, away. Requests of it that wait learn that it is unknown (25);
 * a leader's place goes to the oldest member left.
 */
export function removeMember(turn: Turn, group: GroupData, memberId: string): void {
  const member = group.members.get(memberId)
  if (member !== undefined) {
    group.members.delete(memberId)
    countProtocols(group, member, -1)
    if (member.groupInstanceId !== null) group.staticMembers.delete(member.groupInstanceId)
    dismiss(turn, member, 'unknownMemberId')
  }
  if (group.leaderId === memberId) group.leaderId = group.members.keys().next().value ?? null
  group.pendingMembers.delete(memberId)
  group.pendingSyncs.delete(memberId)
}

/** Answers what waits for a member that is no longer the one asked for. */
export function dismiss(turn: Turn, member: Member, error: KafkaErrorName): void {
  if (member.joinToken !== null) turn.answer(member.joinToken, joinError(error, ''))
  if (member.syncToken !== null) turn.answer(member.syncToken, syncError(error))
  member.joinToken = null
  member.syncToken = null
}

/**
 * Puts `member` in the place of the static member with the same instance id, the leader's role included. The old
 * member id is unknown from now on, and fenced (82) if it names the instance; so are its requests that wait.
 * Returns the old member. Source: KIP-345.
 */
export function replaceStaticMember(turn: Turn, group: GroupData, member: Member): Member {
  const groupInstanceId = member.groupInstanceId
  assert(groupInstanceId !== null)
  const oldId = group.staticMembers.get(groupInstanceId)
  const old = oldId === undefined ? undefined : group.members.get(oldId)
  assert(old !== undefined, 'only a present static member is replaced')
  group.members.delete(old.memberId)
  group.members.set(member.memberId, member)
  countProtocols(group, old, -1)
  countProtocols(group, member, 1)
  group.staticMembers.set(groupInstanceId, member.memberId)
  if (group.leaderId === old.memberId) group.leaderId = member.memberId
  if (group.pendingSyncs.delete(old.memberId)) group.pendingSyncs.add(member.memberId)
  dismiss(turn, old, 'fencedInstanceId')
  return old
}

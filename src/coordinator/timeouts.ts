import type { StateHandlers } from './events.ts'
import type { GroupData, Member } from './groupData.ts'
import { sessionEnded } from './leaving.ts'
import { joinDeadlinePassed, prepareRebalance, restartSession, syncDeadlinePassed } from './rebalance.ts'

/** The monotonic time of the earliest deadline; Infinity when nothing is awaited. */
export function nextDeadlineMs(group: GroupData): number {
  let next = Math.min(group.joinDeadlineMs, group.syncDeadlineMs)
  for (const member of group.members.values()) next = Math.min(next, member.sessionDeadlineMs)
  for (const deadlineMs of group.pendingMembers.values()) next = Math.min(next, deadlineMs)
  return next
}

/**
 * Acts on the deadlines that have passed, each at most once: first sessions and ids that were never used, then
 * the phases, so that a phase does not wait for somebody who is already gone.
 */
export const timeout: StateHandlers['timeout'] = (turn, group) => {
  const nowMs = turn.now.monotonicMs
  const isJoinDue = group.joinDeadlineMs <= nowMs
  const isSyncDue = group.syncDeadlineMs <= nowMs
  for (const [memberId, deadlineMs] of [...group.pendingMembers]) {
    if (deadlineMs <= nowMs && group.pendingMembers.get(memberId) === deadlineMs)
      sessionEnded(turn, group, memberId)
  }
  for (const member of [...group.members.values()]) {
    // An earlier one of this loop may have removed it, or begun a generation that restarted its session.
    if (group.members.get(member.memberId) !== member || member.sessionDeadlineMs > nowMs) continue
    if (isKeptAlive(member)) member.sessionDeadlineMs = Infinity
    else sessionEnded(turn, group, member.memberId)
  }
  if (isJoinDue && group.joinDeadlineMs <= nowMs) joinDeadlinePassed(turn, group)
  if (isSyncDue && group.syncDeadlineMs <= nowMs) syncDeadlinePassed(turn, group)
}

/** A member cannot heartbeat while its request waits with us; a new one is only given `newMemberJoinTimeoutMs`. */
function isKeptAlive(member: Member): boolean {
  return !member.isNew && (member.joinToken !== null || member.syncToken !== null)
}

/** After a restart every member has a whole session to be heard of again. */
export const loaded: StateHandlers['loaded'] = (turn, group) => {
  for (const member of group.members.values()) restartSession(turn, member)
  if (group.state === 'stable' && group.members.size > turn.config.groupMaxSize) {
    prepareRebalance(turn, group, 'the group is larger than it may be')
  }
}

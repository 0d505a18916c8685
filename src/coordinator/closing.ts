import { joinError, syncError } from './answers.ts'
import type { StateHandlers } from './events.ts'

/** Sends away whoever waits in a JoinGroup or SyncGroup: another start of the coordinator takes over (16). */
export const close: StateHandlers['closed'] = (turn, group) => {
  for (const member of group.members.values()) {
    if (member.joinToken !== null) turn.answer(member.joinToken, joinError('notCoordinator', member.memberId))
    if (member.syncToken !== null) turn.answer(member.syncToken, syncError('notCoordinator'))
    member.joinToken = null
    member.syncToken = null
  }
}

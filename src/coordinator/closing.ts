import { errorNumber, joinError, syncError } from './answers.ts'
import type { StateHandlers } from './events.ts'
import { refuseWrite } from './writes.ts'

/** Sends away whoever waits in a JoinGroup or SyncGroup: another start of the coordinator takes over (16). */
export const close: StateHandlers['closed'] = (turn, group) => {
  for (const member of group.members.values()) {
    if (member.joinToken !== null) turn.answer(member.joinToken, joinError('notCoordinator', member.memberId))
    if (member.syncToken !== null) turn.answer(member.syncToken, syncError('notCoordinator'))
    member.joinToken = null
    member.syncToken = null
  }
}

/**
 * Sends away those as well who wait for a write: it may be there or not, which the next leader finds out. They ask
 * again (16).
 */
export const unload: StateHandlers['unloaded'] = (turn, group, _event) => {
  close(turn, group, { type: 'closed' })
  for (const write of group.writes.values()) {
    refuseWrite(turn, group, write, errorNumber('notCoordinator'))
  }
  group.writes.clear()
}

import { close, unload } from './closing.ts'
import { commitDead, commitOffsets } from './committing.ts'
import {
  deleteDeadGroup,
  deleteDeadOffsets,
  deleteEmptyGroup,
  deleteOffsets,
  expireEmpty,
  expireStable,
  refuseDeletion,
  topicsDeleted,
} from './deleting.ts'
import type { StateHandlers } from './events.ts'
import type { GroupState } from './groupData.ts'
import {
  joinDead,
  joinWith,
  rejoinCompletingRebalance,
  rejoinEmpty,
  rejoinPreparingRebalance,
  rejoinStable,
} from './joining.ts'
import { leave, leaveDead } from './leaving.ts'
import {
  heartbeatWith,
  refuseHeartbeat,
  syncCompletingRebalance,
  syncDead,
  syncEmpty,
  syncPreparingRebalance,
  syncStable,
} from './synchronising.ts'
import { loaded, timeout } from './timeouts.ts'
import { persisted, persistFailed } from './writes.ts'

/** Nothing to do. */
const ignore = (): void => {}

/** What is alike in every state. */
const always = { timeout, loaded, persisted, persistFailed, closed: close, unloaded: unload } as const

/** What every state does with every event: complete by type, read it like a table. */
export const stateTable: Readonly<Record<GroupState, StateHandlers>> = {
  empty: {
    join: joinWith(rejoinEmpty),
    sync: syncEmpty,
    heartbeat: refuseHeartbeat('unknownMemberId'),
    leave,
    commitOffsets,
    deleteOffsets,
    deleteGroup: deleteEmptyGroup,
    topicsDeleted,
    expireOffsets: expireEmpty,
    ...always,
  },
  preparingRebalance: {
    join: joinWith(rejoinPreparingRebalance),
    sync: syncPreparingRebalance,
    heartbeat: heartbeatWith('rebalanceInProgress'),
    leave,
    commitOffsets,
    deleteOffsets,
    deleteGroup: refuseDeletion,
    topicsDeleted,
    expireOffsets: ignore,
    ...always,
  },
  completingRebalance: {
    join: joinWith(rejoinCompletingRebalance),
    sync: syncCompletingRebalance,
    heartbeat: heartbeatWith('none'),
    leave,
    commitOffsets,
    deleteOffsets,
    deleteGroup: refuseDeletion,
    topicsDeleted,
    expireOffsets: ignore,
    ...always,
  },
  stable: {
    join: joinWith(rejoinStable),
    sync: syncStable,
    heartbeat: heartbeatWith('none'),
    leave,
    commitOffsets,
    deleteOffsets,
    deleteGroup: refuseDeletion,
    topicsDeleted,
    expireOffsets: expireStable,
    ...always,
  },
  dead: {
    join: joinDead,
    sync: syncDead,
    heartbeat: refuseHeartbeat('coordinatorNotAvailable'),
    leave: leaveDead,
    commitOffsets: commitDead,
    deleteOffsets: deleteDeadOffsets,
    deleteGroup: deleteDeadGroup,
    topicsDeleted: ignore,
    expireOffsets: ignore,
    ...always,
  },
}

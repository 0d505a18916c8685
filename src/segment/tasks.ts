import { type TaskTable, taskTable } from '../runtime/compute.ts'
import { scanSegmentTask } from './scanTask.ts'

/** Everything that the engine runs through `Compute`; workers know these tasks and no others. */
export const tasks: TaskTable = taskTable([scanSegmentTask])

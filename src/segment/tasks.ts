import { type TaskTable, taskTable } from '../runtime/compute.ts'
import { cleanSegmentsTask, mapKeysTask } from './compaction/tasks.ts'
import { scanSegmentTask } from './scanTask.ts'
import { verifySegmentTask } from './verifySegment.ts'

/** Everything that the engine runs through `Compute`; workers know these tasks and no others. */
export const tasks: TaskTable = taskTable([
  scanSegmentTask,
  verifySegmentTask,
  mapKeysTask,
  cleanSegmentsTask,
])

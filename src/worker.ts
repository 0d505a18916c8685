import { workerData } from 'node:worker_threads'
import type { TaskWorld } from './runtime/compute.ts'
import type { WorkerData } from './runtime/node/compute.ts'
import { nodeChecksum } from './runtime/node/nodeChecksum.ts'
import { NodeDisk } from './runtime/node/nodeDisk.ts'
import { runInThread, type TaskCall, type TaskOutcome } from './runtime/node/taskThread.ts'
import { tasks } from './segment/tasks.ts'
import { loadAddon } from './zerocopy/addon.ts'
import { batchCodecs } from './zerocopy/codecs.ts'
import { createNativeChecksum } from './zerocopy/nativeChecksum.ts'

/** Files that stay open while no task uses them. Tasks read segments one after the other and close them. */
const maxOpenFiles = 16

const { native } = workerData as WorkerData
const addon = native ? loadAddon().addon : null

// A disk without the addon: its threads would be started anew in every worker, and nothing is written here that an
// acknowledgement waits for.
const world: Omit<TaskWorld, 'check'> = {
  disk: new NodeDisk({ maxOpenFiles }),
  checksum: addon === null ? nodeChecksum : createNativeChecksum(addon),
  codecs: batchCodecs,
}

/** The entry of worker threads: carries out one task of the table. */
export function runTask(call: TaskCall): Promise<TaskOutcome> {
  return runInThread(tasks, world, call)
}

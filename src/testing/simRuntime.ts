import { EngineError } from '../model/errors.ts'
import { inlineCompute } from '../runtime/compute.ts'
import type { Network } from '../runtime/network.ts'
import { nodeChecksum } from '../runtime/node/nodeChecksum.ts'
import type { Runtime } from '../runtime/runtime.ts'
import { tasks } from '../segment/tasks.ts'
import { noCodecs } from './noCodecs.ts'
import { SimClock } from './simClock.ts'
import { SimDisk, type SimDiskOptions } from './simDisk.ts'
import type { SimFileSystem } from './simFileSystem.ts'
import { SimRandom } from './simRandom.ts'

/** How a `SimRuntime` is to be. */
export interface SimRuntimeOptions extends SimDiskOptions {
  /** Everything random is drawn from it. */
  readonly seed?: number
  readonly clock?: SimClock
}

/** A world for one program: its own clock, randomness and view of a file system. No network yet. */
export interface SimRuntime extends Runtime {
  readonly clock: SimClock
  readonly random: SimRandom
  readonly disk: SimDisk
}

/** A world over `fs` in which nothing depends on the machine. */
export function createSimRuntime(fs: SimFileSystem, options: SimRuntimeOptions = {}): SimRuntime {
  const random = new SimRandom(options.seed ?? 0)
  const disk = new SimDisk(fs, { random: random.fork(), ...options })
  return {
    clock: options.clock ?? new SimClock(),
    random,
    disk,
    network: noNetwork,
    checksum: nodeChecksum,
    compute: inlineCompute(tasks, { disk, checksum: nodeChecksum, codecs: noCodecs }),
  }
}

const noNetwork: Network = {
  listen: () => Promise.reject(unreachableNetwork()),
  connect: () => Promise.reject(unreachableNetwork()),
}

function unreachableNetwork(): EngineError {
  return new EngineError('networkException', 'this world has no network')
}

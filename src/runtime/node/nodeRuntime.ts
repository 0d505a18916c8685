import type { Runtime } from '../runtime.ts'
import { nodeClock } from './clock.ts'
import { NodeCompute } from './compute.ts'
import { nodeChecksum } from './nodeChecksum.ts'
import { NodeDisk, type NodeDiskOptions } from './nodeDisk.ts'
import { NodeNetwork } from './nodeNetwork.ts'
import { nodeRandom } from './random.ts'

/** A runtime that needs nothing but Node. Close its `compute` and its `disk` when done. */
export function createNodeRuntime(options: NodeDiskOptions = {}): Runtime {
  return {
    clock: nodeClock,
    random: nodeRandom,
    disk: new NodeDisk(options),
    network: new NodeNetwork(),
    checksum: nodeChecksum,
    compute: new NodeCompute({ native: false }),
  }
}

import { EngineError } from '../model/errors.ts'
import { nodeClock } from '../runtime/node/clock.ts'
import { NodeCompute } from '../runtime/node/compute.ts'
import type { NodeDiskOptions } from '../runtime/node/nodeDisk.ts'
import { NodeNetwork } from '../runtime/node/nodeNetwork.ts'
import { createNodeRuntime } from '../runtime/node/nodeRuntime.ts'
import { nodeRandom } from '../runtime/node/random.ts'
import type { Runtime } from '../runtime/runtime.ts'
import { type Addon, loadAddon } from './addon.ts'
import { EngineLink } from './engineLink.ts'
import { createNativeChecksum } from './nativeChecksum.ts'
import { NativeDisk } from './nativeDisk.ts'
import { createSender } from './nativeSender.ts'

/** Options of `createRuntime`. */
export interface RuntimeOptions extends NodeDiskOptions {
  /** True insists on the addon, false does without it; by default it is used when it can be loaded. */
  readonly native?: boolean
  /** Called once, with the reason, when the portable implementation runs because the addon cannot be loaded. */
  readonly onFallback?: (why: string) => void
}

/** A runtime, and which implementation it is. */
export type NamedRuntime = Runtime & { readonly kind: 'native' | 'portable' }

/** The runtime for this machine. Close its `compute` and its `disk` when done. Throws `notFound` if the addon is insisted on and missing. */
export function createRuntime(options: RuntimeOptions = {}): NamedRuntime {
  if (options.native !== false) {
    const { addon, why } = loadAddon()
    if (addon !== null) return createNativeRuntime(addon, options)
    if (options.native === true) throw new EngineError('notFound', `the native addon cannot be used: ${why}`)
    options.onFallback?.(why)
  }
  return { kind: 'portable', ...createNodeRuntime(options) }
}

function createNativeRuntime(addon: Addon, options: NodeDiskOptions): NamedRuntime {
  const link = new EngineLink(addon, options.maxOpenFiles ?? null)
  const disk = new NativeDisk(link, options)
  return {
    kind: 'native',
    clock: nodeClock,
    random: nodeRandom,
    disk,
    // Two descriptors: the socket's and the sender's duplicate.
    network: new NodeNetwork((socket, events) => createSender(link, disk, socket, events), 2),
    checksum: createNativeChecksum(addon),
    compute: new NodeCompute(),
  }
}

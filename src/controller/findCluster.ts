import { EngineError } from '../model/errors.ts'
import type { Logger } from '../model/logger.ts'
import { type FoundControllers, findControllers } from '../replica/nodes/findControllers.ts'
import { clusterIdOf, type Membership, type NodeAddress } from '../replica/nodes/nodeAddress.ts'
import { knownClusterId } from '../replica/nodes/nodeBase.ts'
import type { Runtime } from '../runtime/runtime.ts'
import type { ClusterConfig } from './clusterConfig.ts'

/** Which cluster a node belongs to, and who decides in it as far as is known before it has asked the log. */
export interface ClusterPlace {
  readonly clusterId: string
  readonly membership: Membership
  readonly controllers: readonly NodeAddress[]
}

/** What finding it needs. */
export interface FindOptions {
  readonly runtime: Runtime
  readonly logger: Logger
  readonly nodeId: number
  /** As it was set, else null. */
  readonly clusterId: string | null
  readonly config: ClusterConfig
  readonly directory: string
}

const retryMs = 200
/** After how many milliseconds of waiting it is said what is waited for, again and again. */
const sayMs = 5000

/**
 * Finds out which cluster this is. With voters that follows from them, or from what the directory knows; with bootstrap servers one
 * of them is asked, for as long as none answers. Rejects with `inconsistentClusterId` where they belong to another cluster than the
 * directory or the settings.
 */
export async function findCluster(options: FindOptions): Promise<ClusterPlace> {
  const { runtime, config, directory, nodeId } = options
  const known = options.clusterId ?? (await knownClusterId(runtime, directory))
  if (config.voters.length > 0) {
    const voters = [...config.voters].sort((a, b) => a.id - b.id)
    const clusterId = known ?? clusterIdOf(voters)
    return { clusterId, membership: { type: 'static', voters }, controllers: voters }
  }
  const { clusterId, controllers } = await askAround(options)
  if (known !== null && known !== clusterId) {
    throw new EngineError(
      'inconsistentClusterId',
      `controller.quorum.bootstrap.servers are of cluster ${clusterId}, this node belongs to ${known}`,
    )
  }
  const others = controllers.filter(({ id }) => id !== nodeId)
  return { clusterId, membership: { type: 'join', others }, controllers }
}

async function askAround({ runtime, config, logger }: FindOptions): Promise<FoundControllers> {
  for (let waitedMs = 0; ; waitedMs += retryMs) {
    for (const address of config.bootstrapServers) {
      try {
        return await findControllers(runtime, address)
      } catch (error) {
        if (waitedMs % sayMs === 0) {
          logger.info('waiting for a bootstrap server that knows the controllers', { error: String(error) })
        }
      }
    }
    await new Promise<void>((resolve) => runtime.clock.setTimer(retryMs, () => resolve()))
  }
}

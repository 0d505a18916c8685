import type { EngineError } from '../model/errors.ts'
import type { Logger } from '../model/logger.ts'
import { greet } from '../replica/nodes/greeting.ts'
import { lookAfterMembership, placeIn } from '../replica/nodes/membership.ts'
import type { NodeAddress } from '../replica/nodes/nodeAddress.ts'
import type { NodeBase } from '../replica/nodes/nodeBase.ts'
import { foreignCluster, isForeign } from './askFirst.ts'
import type { ClusterConfig } from './clusterConfig.ts'

/** What a node's place among the others needs. */
export interface PlacesOptions {
  readonly base: NodeBase
  readonly config: ClusterConfig
  readonly logger: Logger
  /** The controllers as the settings or the bootstrap servers have them. */
  readonly controllers: readonly NodeAddress[]
  isClosed(): boolean
  /** The node cannot go on. */
  fail(error: EngineError): void
}

/** Sees to the node's place among the controllers, and finds out whether they take it for one of theirs: tasks that end with it. */
export function lookAfterPlaces(options: PlacesOptions): Promise<void>[] {
  const { base, config, logger, controllers, isClosed, fail } = options
  const { metadata, router, self, host, nodeId, logs } = base
  const tasks: Promise<void>[] = []
  if (config.isController) {
    const { autoJoin } = config
    const leftOut = (voterIds: readonly number[]): void => {
      const voters = voterIds.join(',')
      const advice = '"cordwood quorum add-voter" makes it one'
      logger.warn(`this controller is not among the voters (${voters}) and only follows: ${advice}`)
    }
    // A voter that comes with an empty disk takes its old place; others wait to be asked.
    const place = placeIn(logs, metadata)
    tasks.push(lookAfterMembership({ metadata, router, logger, self, autoJoin, place, leftOut, isClosed }))
  }
  const foreign = new Set<number>()
  const others = controllers.filter(({ id }) => id !== nodeId)
  const greeting = {
    directoryId: self.directoryId,
    router,
    logger,
    isClosed,
    isTwin: (error: EngineError) => {
      fail(error)
      // It would be taken for the other one.
      void host.close().catch(() => {})
    },
    isForeign: (id: number) => {
      foreign.add(id)
      if (isForeign(foreign.size, others.length)) fail(foreignCluster(base.logs.clusterId))
    },
  }
  for (const { id } of others) tasks.push(greet(id, greeting))
  return tasks
}

export {
  AdvanceCommand,
  type ClusterOptions,
  type ClusterPlan,
  clusters,
  FaultCommand,
  worldCommands,
} from './testing/arbitraries.ts'
export {
  type Cut,
  type DamageKind,
  type Fault,
  type FaultAction,
  type FaultClass,
  faultClasses,
  type KeptNames,
  type KeptShare,
  type PartitionShape,
  type Target,
} from './testing/fault.ts'
export type { SimNode } from './testing/simNode.ts'
export { SimRandom } from './testing/simRandom.ts'
export { planFaults, type SwarmOptions } from './testing/swarm.ts'
export { World } from './testing/world.ts'
export type {
  NodeRuntime,
  Place,
  Program,
  Running,
  StopKind,
  WorldOptions,
  WorldWatcher,
} from './testing/worldTypes.ts'

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

export {
  AdvanceCommand,
  type ClusterOptions,
  type ClusterPlan,
  clusters,
  FaultCommand,
  worldCommands,
} from './testing/arbitraries.ts'
export { type CheckOptions, type InvariantId, type LogFact, Violation } from './testing/checkFacts.ts'
export { Checks, type NodeObserver } from './testing/checks.ts'
export { type WatchOptions, type WorldChecks, watchWorld } from './testing/checkWatcher.ts'
export { type DiagramOptions, diagram } from './testing/diagram.ts'
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
export type { AppendCall, EndCall, LogHistory } from './testing/history.ts'
export { playScenario, replayScenario, ScenarioError } from './testing/scenario.ts'
export { type RunFailure, type ShrinkTask, type Shrunk, type Skipped, shrink } from './testing/shrink.ts'
export type { SimNode } from './testing/simNode.ts'
export { SimRandom } from './testing/simRandom.ts'
export { planFaults, type SwarmOptions } from './testing/swarm.ts'
export { Trace, type TraceEvent, type TraceOptions } from './testing/trace.ts'
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

import type { FlushPolicy } from '../model/flushPolicy.ts'
import type { ClusterShape } from './clusterProgram.ts'
import type { Fault, FaultClass } from './fault.ts'
import { SimRandom } from './simRandom.ts'

/**
 * What has to hold in a run. `kept`: all promises. `overBudget`: faults may take what was durable from any number of nodes; then
 * a cluster may stop, and has to say why, but never lies. `lies`: a disk reports syncs that stored nothing, which nobody
 * can notice for sure: only what clients are shown has to be what was written. Source: fault model, section 4.
 */
export type Expectation = 'kept' | 'overBudget' | 'lies'

/** What is expected of a seed, or of faults of given classes. */
export function drawExpectation(seed: number, classes: readonly FaultClass[] | undefined): Expectation {
  if (classes !== undefined) return classes.includes('lyingFlush') ? 'lies' : 'kept'
  const drawn = new SimRandom(seed ^ 0x1f83_d9ab).below(100)
  return drawn < 5 ? 'overBudget' : drawn < 7 ? 'lies' : 'kept'
}

/** The flush policies of partitions: half of them the default, a quarter relaxed. */
const flushPolicies: readonly FlushPolicy[] = [
  ...Array.from({ length: 8 }, () => 'journal' as const),
  'batch',
  'batch',
  'append',
  'none',
  'none',
  { intervalMs: 40 },
  { bytes: 1000 },
  { records: 5 },
]

/** The nodes and groups of a seed. */
export function drawShape(seed: number, nodes?: number): ClusterShape {
  const random = new SimRandom(seed ^ 0x7f4a_7c15)
  const count = nodes ?? random.pick([3, 3, 5])
  const observers = count > 3 && random.chance(0.2) ? 1 : 0
  const shape: ClusterShape = {
    nodes: count,
    voters: count - observers,
    groups: random.pick([1, 1, 2, 3]),
    kind: random.chance(0.3) ? 'metadata' : 'partition',
    autoJoin: random.chance(0.3),
    fetchBytes: random.pick([1 << 10, 16 << 10, 1 << 20]),
    confirmation: random.chance(0.2) ? 'none' : 'peers',
    flush: 'journal',
    segmentBytes: random.pick([8 << 10, 32 << 10, 128 << 10]),
  }
  // The metadata log is durable whatever is asked for.
  return shape.kind === 'metadata' ? shape : { ...shape, flush: random.pick(flushPolicies) }
}

/** The same shape for a run with such faults: where a part of a complete segment is to fail, some have to become complete. */
export function shapeFor(faults: readonly Fault[], shape: ClusterShape): ClusterShape {
  return faults.some(({ kind }) => kind === 'badSector') ? { ...shape, segmentBytes: 2048 } : shape
}

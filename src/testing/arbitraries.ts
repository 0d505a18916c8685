import * as fc from 'fast-check'
import { type Fault, type FaultClass, faultClasses } from './fault.ts'
import { SimRandom } from './simRandom.ts'
import { drawFault } from './swarm.ts'
import { World } from './world.ts'
import type { Place, Program, Running } from './worldTypes.ts'

/** What clusters are drawn for. */
export interface ClusterOptions {
  /** How many nodes; 3 by default. */
  readonly nodes?: number
  /** Faults begin within this time; 3000 ms by default. */
  readonly durationMs?: number
  /** At most so many faults; 12 by default. */
  readonly maxFaults?: number
  /** Classes that may happen; by default those after which every program goes on by itself. */
  readonly classes?: readonly FaultClass[]
}

/** A world that has not begun: what its nodes run is the test's. */
export interface ClusterPlan {
  readonly seed: number
  readonly nodes: number
  readonly faults: readonly Fault[]
  /** When the last fault has begun. */
  readonly durationMs: number
  /** Begins: every node opens `program`. Nothing moves before `World.advance`. */
  start<P extends Running>(program: (place: Place) => Promise<P>): World<P>
}

/** What takes durable bytes, what somebody has to restart the process for, and what only the program can do or knows. */
const special: ReadonlySet<FaultClass> = new Set([
  'rot',
  'diskLost',
  'diskBack',
  'lyingFlush',
  'cutReigns',
  'syncError',
  'readError',
  'badSector',
  'transferLeadership',
  'addVoter',
  'removeVoter',
  'snapshot',
])

/** Those after which every program goes on by itself. */
export const usualFaults: readonly FaultClass[] = faultClasses.filter((kind) => !special.has(kind))

/** One fault of any of `classes` among `nodes` nodes. */
function faultActions(nodes: number, classes: readonly FaultClass[]): fc.Arbitrary<Fault> {
  // What is drawn beside the class follows from a number: a smaller one is no simpler, fewer faults are.
  return fc.tuple(fc.constantFrom(...classes), fc.noShrink(fc.nat())).map(([kind, seed]) => ({
    ...drawFault(kind, { nodes }, [1 + (seed % nodes)], new SimRandom(seed)),
    number: 0,
    atMs: 0,
  }))
}

/** Plans of clusters under faults. They shrink to fewer faults. */
export function clusters(options: ClusterOptions = {}): fc.Arbitrary<ClusterPlan> {
  const { nodes = 3, durationMs = 3000, maxFaults = 12, classes = usualFaults } = options
  const timed = fc.tuple(faultActions(nodes, classes), fc.noShrink(fc.integer({ min: 0, max: durationMs })))
  return fc
    .record({ seed: fc.noShrink(fc.nat()), timed: fc.array(timed, { maxLength: maxFaults }) })
    .map(({ seed, timed }) => {
      const faults = timed
        .map(([fault, atMs]) => ({ ...fault, atMs }))
        .sort((left, right) => left.atMs - right.atMs)
        .map((fault, index) => ({ ...fault, number: index + 1 }))
      return {
        seed,
        nodes,
        faults,
        durationMs,
        start<P extends Running>(program: (place: Place) => Promise<P>): World<P> {
          const world = new World<P>({ seed, nodes, faults, program: program as unknown as Program<P> })
          world.startAll()
          return world
        },
        [fc.toStringMethod]: () => JSON.stringify({ seed, nodes, faults }),
      }
    })
}

/** A fault as a command of a model-based test: it happens, and a little time passes. The model is not touched. */
export class FaultCommand<M extends object, P extends Running> implements fc.AsyncCommand<M, World<P>> {
  readonly fault: Fault
  readonly thenMs: number

  constructor(fault: Fault, thenMs: number) {
    this.fault = fault
    this.thenMs = thenMs
  }

  check(): boolean {
    return true
  }

  async run(_: M, world: World<P>): Promise<void> {
    world.inject(this.fault)
    await world.advance(this.thenMs)
  }

  toString(): string {
    const { number: _, atMs: __, ...action } = this.fault
    return `${JSON.stringify(action)}, then ${this.thenMs} ms`
  }
}

/** Time passes: a command for between others. */
export class AdvanceCommand<M extends object, P extends Running> implements fc.AsyncCommand<M, World<P>> {
  readonly ms: number

  constructor(ms: number) {
    this.ms = ms
  }

  check(): boolean {
    return true
  }

  async run(_: M, world: World<P>): Promise<void> {
    await world.advance(this.ms)
  }

  toString(): string {
    return `${this.ms} ms`
  }
}

/** Faults and the passing of time, to be mixed with a test's own commands in `fc.commands`. */
export function worldCommands<M extends object, P extends Running>(
  options: ClusterOptions = {},
): fc.Arbitrary<fc.AsyncCommand<M, World<P>>>[] {
  const { nodes = 3, classes = usualFaults } = options
  return [
    fc
      .tuple(faultActions(nodes, classes), fc.constantFrom(0, 20, 200))
      .map(([fault, thenMs]) => new FaultCommand<M, P>(fault, thenMs)),
    fc.constantFrom(10, 100, 1000).map((ms) => new AdvanceCommand<M, P>(ms)),
  ]
}

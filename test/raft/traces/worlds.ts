import { plant } from '../../../src/raft/planted.ts'
import { optionsOf, simulate } from '../support/simulate.ts'
import type { World } from '../support/world.ts'
import { moduleOf, type Trace, traceOf } from './module.ts'
import { TraceRecorder } from './recorder.ts'

type Drawn = ReturnType<typeof optionsOf>

/** Kinds of worlds whose runs the model can tell: no snapshots, no LeaderChange records, no disks that go back. */
const worlds = {
  /** Durable, three voters and an observer, voters change and disks are lost. */
  durable: {
    relaxed: false,
    voters: 3,
    observers: 1,
    lost: ['snapshot', 'rollBack'],
    added: ['voters', 'replaceDisk'],
  },
  /** Durable, five voters. */
  five: { relaxed: false, voters: 5, observers: 0, lost: ['snapshot', 'rollBack'], added: ['voters'] },
  /** Relaxed, three voters: crashes forget records, and quarantine. */
  relaxed: {
    relaxed: true,
    voters: 3,
    observers: 0,
    lost: ['snapshot', 'rollBack', 'voters', 'replaceDisk'],
    added: [],
  },
  /** Durable, three voters whose starts are confirmed by peers; a disk goes back. */
  back: {
    relaxed: false,
    voters: 3,
    observers: 0,
    lost: ['snapshot', 'replaceDisk'],
    added: ['rollBack', 'crash'],
  },
} as const

/** Name of a kind of worlds. */
export type WorldName = keyof typeof worlds

function drawn(name: WorldName, seed: number): Drawn {
  const { relaxed, voters, observers, lost, added } = worlds[name]
  const { classes, ...options } = optionsOf(seed)
  const kept = [...classes].filter((fault) => !(lost as readonly string[]).includes(fault))
  const confirmation = name === 'back' ? 'peers' : 'none'
  const shape = {
    kind: 'partition',
    kraftVersion: 1,
    relaxed,
    voters,
    observers,
    confirmation,
  } as const
  return { ...options, ...shape, classes: new Set([...kept, ...added]) }
}

function record(name: WorldName, seed: number, most: number): Trace {
  let recorder: TraceRecorder | undefined
  const watch = (world: World): void => {
    recorder = new TraceRecorder(world)
    world.observer = recorder
  }
  try {
    simulate(seed, 4 * most, watch, drawn(name, seed))
  } catch (error) {
    // A mistake that is planted may be found by the simulation itself; the trace ends there.
    if (recorder === undefined) throw error
  }
  recorder!.finish()
  return traceOf(`${name} ${seed}`, recorder!, most)
}

/** Traces of runs, as a module for TLC: the first `count` seeds from `seed` on that last for at least `least` lines. */
export function recordTraces(
  name: WorldName,
  {
    seed,
    count,
    least,
    most,
    bug,
  }: { seed: number; count: number; least: number; most: number; bug?: string },
): {
  readonly module: string
  readonly names: readonly string[]
  readonly relaxed: boolean
  readonly confirm: boolean
} {
  const traces: Trace[] = []
  plant((bug ?? null) as Parameters<typeof plant>[0])
  try {
    for (let next = seed; traces.length < count && next < seed + 20 * count; next++) {
      const trace = record(name, next, most)
      if (trace.lines.length >= least) traces.push(trace)
    }
  } finally {
    plant(null)
  }
  return {
    module: moduleOf(traces),
    names: traces.map((trace) => `${trace.name} (${trace.lines.length} lines)`),
    relaxed: worlds[name].relaxed,
    confirm: name === 'back',
  }
}

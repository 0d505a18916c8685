import type { FlushPolicy } from '../../model/flushPolicy.ts'
import { SimRandom } from '../simRandom.ts'

/**
 * One thing that is done to the engine. Logs are named by their place in the world, counted round; `at` is a place
 * between a log's start (0) and its end (1). Without `wait` the next thing begins before this one has ended.
 */
export type Step =
  | {
      readonly do: 'append'
      readonly log: number
      readonly bytes: number
      readonly producer: boolean
      readonly wait: boolean
    }
  /** One batch for every log, in one group. */
  | { readonly do: 'group'; readonly bytes: number; readonly wait: boolean }
  /** A batch that is sure not to fit into the active segment. */
  | { readonly do: 'roll'; readonly log: number; readonly wait: boolean }
  | { readonly do: 'truncate'; readonly log: number; readonly at: number }
  /** Deletes records below a place. */
  | { readonly do: 'deleteRecords'; readonly log: number; readonly at: number }
  /** Time passes until segments expire. */
  | { readonly do: 'retention' }
  | { readonly do: 'checkpoint' }
  | { readonly do: 'create'; readonly policy: FlushPolicy }
  | { readonly do: 'delete' | 'setAside'; readonly log: number }
  /** Closes cleanly and opens again. */
  | { readonly do: 'close' }
  /** The process dies and another one opens what it left in the page cache. */
  | { readonly do: 'kill' }
  | { readonly do: 'policy'; readonly log: number; readonly policy: FlushPolicy }
  /** As many appends as it takes for journal files to be used again. */
  | { readonly do: 'recycle'; readonly log: number }
  /** Keeps the last record of each key in what is sealed. */
  | { readonly do: 'compact'; readonly log: number }
  | { readonly do: 'epoch'; readonly log: number }
  /** Time passes: what waits for a timer happens. */
  | { readonly do: 'idle'; readonly ms: number }

/** A world and what is done in it: everything that happens follows from it. */
export interface Workload {
  readonly seed: number
  /** The policies of the logs that are there at first. */
  readonly policies: readonly FlushPolicy[]
  /** Which unsynced changes of names and lengths a crash leaves: the first of them, or any. */
  readonly names: 'journalled' | 'adversarial'
  readonly segmentBytes: number
  readonly steps: readonly Step[]
}

/** Every policy that a log may have, with bounds that are soon met. */
export const allPolicies: readonly FlushPolicy[] = [
  'batch',
  'journal',
  'none',
  'append',
  { records: 2 },
  { bytes: 600 },
  { intervalMs: 50 },
]

/** The kinds of steps that short sequences are made of. */
export const stepKinds = [
  'append',
  'group',
  'roll',
  'truncate',
  'deleteRecords',
  'retention',
  'checkpoint',
  'create',
  'delete',
  'setAside',
  'close',
  'kill',
  'policy',
  'recycle',
  'compact',
] as const

/** A step of a kind, with whatever else it needs drawn from `random`. */
export function stepOf(kind: Step['do'], random: SimRandom): Step {
  const log = random.below(2)
  switch (kind) {
    case 'append':
      return {
        do: kind,
        log,
        bytes: batchBytes(random),
        producer: random.chance(0.3),
        wait: random.chance(0.7),
      }
    case 'group':
      return { do: kind, bytes: batchBytes(random), wait: random.chance(0.7) }
    case 'roll':
      return { do: kind, log, wait: random.chance(0.5) }
    case 'truncate':
    case 'deleteRecords':
      return { do: kind, log, at: random.below(101) / 100 }
    case 'create':
      return { do: kind, policy: random.pick(allPolicies) }
    case 'policy':
      return { do: kind, log, policy: random.pick([...allPolicies, 'journal', 'journal']) }
    case 'delete':
    case 'setAside':
    case 'recycle':
    case 'compact':
    case 'epoch':
      return { do: kind, log }
    case 'idle':
      return { do: kind, ms: random.pick([1, 60, 5000]) }
    case 'retention':
    case 'checkpoint':
    case 'close':
    case 'kill':
      return { do: kind }
  }
}

/** A step of a kind, and what shows what has come of it: a new policy is of use to the next append. */
function stepsOf(kind: Step['do'], random: SimRandom): readonly Step[] {
  const step = stepOf(kind, random)
  if (step.do !== 'policy') return [step]
  return [step, { do: 'append', log: step.log, bytes: batchBytes(random), producer: false, wait: true }]
}

/** The sequence of kinds number `index` among all of at most three; they come shortest first. */
export function kindsAt(index: number): readonly Step['do'][] {
  const count = stepKinds.length
  if (index < count) return [stepKinds[index]!]
  let rest = index - count
  if (rest < count ** 2) return [stepKinds[Math.floor(rest / count)]!, stepKinds[rest % count]!]
  rest -= count ** 2
  return [
    stepKinds[Math.floor(rest / count ** 2) % count]!,
    stepKinds[Math.floor(rest / count) % count]!,
    stepKinds[rest % count]!,
  ]
}

/** How many sequences `kindsAt` knows. */
export const sequenceCount: number = stepKinds.length + stepKinds.length ** 2 + stepKinds.length ** 3

const beginning: readonly Step[] = [
  { do: 'group', bytes: 100, wait: true },
  { do: 'append', log: 0, bytes: 300, producer: true, wait: true },
  { do: 'roll', log: 1, wait: true },
]

/**
 * Workload number `index` of a run: short sequences one after the other, every fourth a long random one, and now and then
 * a relaxed log that becomes a durable one, which chance alone makes too seldom.
 */
export function workloadAt(seed: number, index: number): Workload {
  const random = new SimRandom(seed * 1_000_003 + index)
  if (index % 16 === 4) return raising(random)
  const isLong = index % 4 === 3
  const kinds = isLong
    ? Array.from({ length: 6 + random.below(20) }, () =>
        random.pick([...stepKinds, 'epoch', 'idle', 'append', 'append'] as const),
      )
    : shortKinds(seed, index - Math.floor(index / 4))
  return {
    seed: random.next(),
    policies: [random.pick(allPolicies), random.pick(allPolicies)],
    names: random.chance(0.5) ? 'journalled' : 'adversarial',
    segmentBytes: random.pick([600, 2000, 6000]),
    // Most worlds begin with something that can be lost.
    steps: [...(random.chance(0.8) ? beginning : []), ...kinds.flatMap((kind) => stepsOf(kind, random))],
  }
}

function raising(random: SimRandom): Workload {
  const policy = random.pick<FlushPolicy>(['journal', 'batch', 'append'])
  return {
    seed: random.next(),
    policies: [
      random.pick<FlushPolicy>(['none', { records: 3 }, { intervalMs: 50 }]),
      random.pick(allPolicies),
    ],
    names: random.chance(0.5) ? 'journalled' : 'adversarial',
    segmentBytes: random.pick([600, 2000, 6000]),
    steps: [
      ...(random.chance(0.5) ? beginning : [{ ...stepOf('append', random), log: 0, wait: true } as Step]),
      { do: 'policy', log: 0, policy },
      { do: 'append', log: 0, bytes: batchBytes(random), producer: false, wait: true },
      stepOf(random.pick(stepKinds), random),
    ],
  }
}

/** All single steps first; then longer sequences, in an order that every seed mixes anew. */
function shortKinds(seed: number, index: number): readonly Step['do'][] {
  const single = stepKinds.length
  if (index < single) return kindsAt(index)
  const rest = sequenceCount - single
  // A step that has no divisor in common with the count visits all of them.
  let step = (Math.floor(rest * 0.618) + seed) % rest
  while (greatestDivisor(step, rest) !== 1) step = (step + 1) % rest
  return kindsAt(single + (((index - single) * step + seed) % rest))
}

function greatestDivisor(left: number, right: number): number {
  return right === 0 ? left : greatestDivisor(right, left % right)
}

function batchBytes(random: SimRandom): number {
  return random.pick([10, 100, 400, 1500])
}

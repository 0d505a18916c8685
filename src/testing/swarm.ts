import type { Expectation } from './drawRun.ts'
import {
  type DamageKind,
  type Fault,
  type FaultAction,
  type FaultClass,
  faultClasses,
  type KeptShare,
  type PartitionShape,
  type Target,
} from './fault.ts'
import { drawPartition } from './partitions.ts'
import { SimRandom } from './simRandom.ts'

/** What faults are drawn for. */
export interface SwarmOptions {
  readonly seed: number
  /** How many nodes; the first `voters` of them vote at first. */
  readonly nodes: number
  readonly voters: number
  /** Faults begin within this time. */
  readonly durationMs: number
  /** Classes that may happen; all but `lyingFlush` by default, `cutReigns` in one run of 25, `badSector` in one of 8. */
  readonly classes?: readonly FaultClass[]
  /**
   * How far faults may go; `kept` by default: what is durable is taken from a minority of the voters alone. Where they may go
   * further, the first `harmlessFaults` take nothing that is durable.
   */
  readonly expectation?: Expectation
  /** At least, and at most. */
  readonly count?: readonly [min: number, max: number]
}

/** Classes that take what was durable. They befall fewer nodes than would take a majority's word for it. */
const destructive: ReadonlySet<FaultClass> = new Set([
  'rot',
  'diskLost',
  'diskBack',
  'lyingFlush',
  'syncError',
])

/** So many faults come before those that may end a run early, since they take more than can be borne. */
export const harmlessFaults = 5

/** Classes that are not drawn like all others: only where they are asked for, or in a few runs beside the rest. */
const rare: ReadonlySet<FaultClass> = new Set(['lyingFlush', 'cutReigns', 'badSector'])

/**
 * The faults of one seed: a random subset of the classes, each with a weight of its own. All at once would find less: what
 * one fault opens another one shuts. Source: Groce et al., "Swarm Testing".
 */
export function planFaults(options: SwarmOptions): readonly Fault[] {
  const random = new SimRandom(options.seed ^ 0x5bd1_e995)
  const { expectation = 'kept' } = options
  const allowed = options.classes ?? faultClasses.filter((kind) => !rare.has(kind))
  const share = random.pick([0.15, 0.3, 0.5])
  let chosen = allowed.filter(() => random.chance(share))
  if (chosen.length < 2) chosen = [random.pick(allowed), random.pick(allowed)]
  // Who takes voters away and loses the disks of others has no majority left: no fault of the replicas.
  if (expectation !== 'kept') chosen = chosen.filter((kind) => kind !== 'removeVoter')
  if (expectation === 'lies') chosen.push('lyingFlush')
  if (expectation === 'overBudget') chosen.push(random.pick(['rot', 'diskLost', 'diskBack'] as const))
  if (chosen.includes('removeVoter')) chosen = chosen.filter((kind) => !destructive.has(kind))
  const weights = chosen.map(() => 1 + random.below(8))
  const harmless = chosen.filter((kind) => !destructive.has(kind))
  const beyond = chosen.filter((kind) =>
    expectation === 'lies' ? kind === 'lyingFlush' : destructive.has(kind),
  )
  if (harmless.length === 0) harmless.push(...(options.classes ?? (['kill', 'powerCut'] as const)))
  const [min, max] = options.count ?? [6, 16]
  const isKept = expectation === 'kept'
  const count = min + random.below(max - min + 1) + (isKept ? 0 : harmlessFaults)
  const victims = drawVictims(options, random)
  const times = Array.from({ length: count }, () => random.below(options.durationMs * 8) / 8)
  const faults = times
    .sort((left, right) => left - right)
    .map((atMs, index) => {
      // Each fault has randomness of its own: leaving one out changes no other.
      const own = random.fork()
      const kind =
        isKept || index > harmlessFaults
          ? weighted(chosen, weights, own)
          : own.pick(index < harmlessFaults ? harmless : beyond)
      return { ...drawFault(kind, options, victims, own), number: index + 1, atMs }
    })
  const extra = new SimRandom(options.seed ^ 0x2545_f491)
  if (options.classes === undefined && extra.below(25) === 0) {
    const action = drawFault('cutReigns', options, victims, extra)
    faults.push({ ...action, number: count + 1, atMs: extra.below(options.durationMs / 2) })
  }
  const sectors = new SimRandom(options.seed ^ 0x68e3_1da4)
  if (isKept && options.classes === undefined && sectors.below(8) === 0) {
    for (let left = 1 + sectors.below(4); left > 0; left--) {
      const action = drawFault('badSector', options, victims, sectors)
      faults.push({ ...action, number: faults.length + 1, atMs: sectors.below(options.durationMs) })
    }
  }
  return faults
}

function weighted<T>(values: readonly T[], weights: readonly number[], random: SimRandom): T {
  let rest = random.below(weights.reduce((sum, weight) => sum + weight, 0))
  for (let at = 0; at < values.length; at++) {
    rest -= weights[at]!
    if (rest < 0) return values[at]!
  }
  return values[0]!
}

/** Nodes that may lose what they have: a minority of the voters, and any that does not vote. */
function drawVictims({ nodes, voters, expectation }: SwarmOptions, random: SimRandom): readonly number[] {
  const ids = Array.from({ length: nodes }, (_, index) => index + 1)
  if (expectation === 'overBudget') return ids
  const victims: number[] = []
  for (let left = (voters - 1) >> 1; left > 0; left--) victims.push(1 + random.below(voters))
  return [...new Set([...victims, ...ids.filter((id) => id > voters)])]
}

/** One fault of a class; what takes durable bytes befalls one of `victims`. */
export function drawFault(
  kind: FaultClass,
  { nodes }: Pick<SwarmOptions, 'nodes'>,
  victims: readonly number[],
  random: SimRandom,
): FaultAction {
  const any = (): Target => (random.chance(0.4) ? 'leader' : 1 + random.below(nodes))
  const node = destructive.has(kind) ? random.pick(victims.length > 0 ? victims : [1]) : any()
  const from = 1 + random.below(nodes)
  const to = nodes === 1 ? from : 1 + ((from - 1 + 1 + random.below(nodes - 1)) % nodes)
  const downMs = random.pick([0, 20, 300, 2000])
  const forMs = random.pick([20, 200, 700, 2500])
  const kept = random.pick<KeptShare>([0, 0.1, 0.5, 0.9, 1])
  const names = random.chance(0.5) ? 'journalled' : 'adversarial'
  switch (kind) {
    case 'kill':
    case 'restart':
    case 'diskLost':
      return { kind, node, downMs }
    case 'killAtCall':
      return { kind, node, calls: 1 + random.below(random.pick([10, 100])), downMs }
    case 'powerCut':
      return { kind, node: random.chance(0.2) ? 'all' : node, kept, names, downMs }
    case 'crashAfterVote':
      return { kind, node, afterMs: random.pick([0.1, 0.5, 2]) }
    case 'crashLoop':
      return { kind, node, times: 2 + random.below(5), calls: 1 + random.below(60) }
    case 'pause':
      return { kind, node, forMs: random.pick([5, 100, 700, 1500, random.chance(0.1) ? 60_000 : 3000]) }
    case 'wallJump':
      return { kind, node, byMs: (random.below(2001) - 1000) * random.pick([1, 1000, 315_360_000]) }
    case 'drift':
      return { kind, node, factor: 0.8 + random.below(401) / 1000, forMs }
    case 'looseTimers':
      return { kind, node, share: 0.1, forMs }
    case 'partition': {
      const shape = random.pick<PartitionShape>([
        'symmetric',
        'symmetric',
        'oneWay',
        'isolated',
        'clientWithLeader',
        ...(nodes > 3 ? (['ring', 'bridge'] as const) : []),
      ])
      const isFlapping = random.chance(0.15)
      return {
        kind,
        shape,
        links: drawPartition(shape, nodes, random),
        forMs: isFlapping ? 50 + random.below(300) : random.pick([100, 500, 1200, 2500]),
        repeats: isFlapping ? 2 + random.below(4) : 0,
        resets: random.chance(0.5),
      }
    }
    case 'slowLink':
      return { kind, from, to, minMs: 1, maxMs: random.pick([5, 50, 400, 1000]), forMs }
    case 'lossyLink':
      return { kind, from, to, loss: 0.05 + random.below(25) / 100, forMs }
    case 'clog':
      return { kind, from, to, forMs }
    case 'reset':
      return { kind, from, to, afterBytes: random.below(random.pick([10, 500, 5000])) }
    case 'halfOpen':
      return { kind, from, to, deaf: random.chance(0.5) ? 'from' : 'to' }
    case 'lateRequests':
      return { kind, from, to, lateMs: 30 + random.below(1500) }
    case 'slowAccept':
      return { kind, node, delayMs: random.pick([50, 500, 2000]), forMs }
    case 'syncError':
      return { kind, node, calls: 1 + random.below(20) }
    case 'readError':
      return { kind, node, share: random.pick([0.1, 0.5, 1]), forMs }
    case 'diskFull':
    case 'noDescriptors':
    case 'hungDisk':
    case 'lyingFlush':
      return { kind, node, forMs }
    case 'shortWrites':
      return { kind, node, share: random.pick([0.1, 0.5]), forMs }
    case 'slowDisk':
      return { kind, node, minMs: 5, maxMs: random.pick([20, 200, 1500]), forMs }
    case 'badSector':
      return { kind, node, seed: random.next() }
    case 'rot':
      return {
        kind,
        node,
        damage: random.pick<DamageKind>([
          'bits',
          'zeroSector',
          'cutTail',
          'misdirected',
          'lostWrite',
          'swapped',
        ]),
        seed: random.next(),
      }
    case 'diskBack':
      return { kind, node, agoMs: random.pick([20, 300, 2000]), downMs }
    case 'cutReigns':
      return { kind, times: 4 + random.below(4), forMs: random.pick([700, 1200, 2000]) }
    case 'transferLeadership':
      return { kind, to: random.chance(0.3) ? -1 : from }
    case 'addVoter':
    case 'removeVoter':
      return { kind, node: from }
    case 'snapshot':
      return { kind, node }
  }
}

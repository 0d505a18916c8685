import { InvariantError } from '../model/assert.ts'
import { isDurable } from '../model/flushPolicy.ts'
import { reached } from '../model/reached.ts'
import { Violation } from './checkFacts.ts'
import { type WorldChecks, watchWorld } from './checkWatcher.ts'
import {
  type ClusterNode,
  type ClusterShape,
  clusterProgram,
  dataDirectory,
  drawDirectoryIds,
  format,
} from './clusterProgram.ts'
import { drawExpectation, drawShape, type Expectation, shapeFor } from './drawRun.ts'
import type { Fault, FaultClass } from './fault.ts'
import { checkLogs, readDamaged } from './finalLogs.ts'
import { type Operation, planOperations } from './operations.ts'
import { leaderOf, operate } from './operator.ts'
import { nameOf, SimClients } from './simClient.ts'
import { SimRandom } from './simRandom.ts'
import { harmlessFaults, planFaults } from './swarm.ts'
import type { Trace } from './trace.ts'
import { World } from './world.ts'

/** How soon a healed majority has to have a leader: 20 election timeouts. Source: fault-model.md, L1. */
const electionMs = 20 * 300
/** A run that had fewer events when its faults are over goes on for a while. */
const fewestEvents = 2000

/** What a run of a cluster is asked to be. What is left out follows from the seed. */
export interface RunOptions {
  readonly seed: number
  readonly nodes?: number
  readonly shape?: Partial<ClusterShape>
  /** How long faults may begin, in simulated milliseconds. */
  readonly durationMs?: number
  readonly perSecond?: number
  readonly classes?: readonly FaultClass[]
  /** What has to hold; drawn from the seed unless `classes` says what may happen. */
  readonly expectation?: Expectation
  /** How many faults there are, at least and at most. */
  readonly faultCount?: readonly [min: number, max: number]
  readonly skipFaults?: ReadonlySet<number>
  readonly skipOperations?: ReadonlySet<number>
  /** Keeps the last events, to be read; the hash of the run is the same with and without. */
  readonly trace?: (now: () => number) => Trace
}

/** What went wrong in a run. */
export interface RunFailure {
  /** The invariant, or `error` for an exception that nobody caught. */
  readonly id: string
  readonly message: string
  readonly stack: string
  /** The number of the event. */
  readonly event: number
  readonly atMs: number
}

/** What a run came to. */
export interface RunResult {
  readonly seed: number
  readonly shape: ClusterShape
  readonly faults: readonly Fault[]
  readonly operations: readonly Operation[]
  readonly events: number
  readonly simulatedMs: number
  readonly faultCounts: ReadonlyMap<FaultClass, number>
  readonly acked: number
  readonly unknown: number
  readonly looked: number
  readonly traceHash: string
  readonly failure: RunFailure | null
  readonly trace: Trace | null
}

/** One run: faults and clients, then healing, then whether all promises were kept. A pure function of its options. */
export async function runCluster(options: RunOptions): Promise<RunResult> {
  const { seed, skipFaults, skipOperations } = options
  const random = new SimRandom(seed)
  const drawn: ClusterShape = { ...drawShape(seed, options.nodes), ...options.shape }
  const durationMs = options.durationMs ?? random.pick([5000, 7000, 9000])
  const perSecond = options.perSecond ?? random.pick([1.5, 3, 6])
  const expectation = options.expectation ?? drawExpectation(seed, options.classes)
  const faults = planFaults({
    seed,
    expectation,
    ...drawn,
    durationMs,
    ...(options.classes === undefined ? {} : { classes: options.classes }),
    ...(options.faultCount === undefined ? {} : { count: options.faultCount }),
  })
  const shape = shapeFor(faults, drawn)
  const operations = planOperations({ seed, nodes: shape.nodes, groups: shape.groups, durationMs, perSecond })
  // A run whose promises may break has enough behind it when that happens.
  const first = faults.filter(({ number }) => expectation === 'kept' || number <= harmlessFaults)
  const run = new ClusterRun(shape, expectation, first, options, random)
  const rest = { faults: faults.slice(first.length), fromMs: first.at(-1)?.atMs ?? 0 }
  const failure = await run.play(operations, durationMs, skipOperations ?? new Set(), rest)
  const { world, watched, clients, trace } = run
  world[Symbol.dispose]()
  return {
    seed,
    shape,
    faults: faults.filter(({ number }) => skipFaults?.has(number) !== true),
    operations: operations.filter(({ number }) => skipOperations?.has(number) !== true),
    events: world.events,
    simulatedMs: world.nowMs,
    faultCounts: world.faultCounts,
    acked: clients.counts.acked,
    unknown: clients.counts.unknown,
    looked: watched.checks.looked,
    traceHash: world.traceHash,
    failure,
    trace,
  }
}

class ClusterRun {
  readonly world: World<ClusterNode>
  readonly watched: WorldChecks
  readonly clients: SimClients
  readonly trace: Trace | null
  readonly #shape: ClusterShape
  readonly #expectation: Expectation
  readonly #random: SimRandom
  /** Nodes that have lost what was durable: they may wait for somebody who repairs them. */
  readonly #damaged = new Set<number>()

  constructor(
    shape: ClusterShape,
    expectation: Expectation,
    faults: readonly Fault[],
    options: RunOptions,
    random: SimRandom,
  ) {
    this.#shape = shape
    this.#expectation = expectation
    this.#random = random.fork()
    const directoryIds = drawDirectoryIds(shape.nodes, random.fork())
    this.world = new World<ClusterNode>({
      seed: options.seed,
      nodes: shape.nodes,
      faults,
      ...(options.skipFaults === undefined ? {} : { skipFaults: options.skipFaults }),
      program: (place) => program(place),
    })
    this.trace = options.trace?.(() => this.world.nowMs) ?? null
    this.watched = watchWorld(this.world, {
      dataDirectory,
      trace: this.trace,
      isOverBudget: expectation === 'overBudget',
    })
    this.world.watch({
      damaged: ({ id }) => this.#damaged.add(id),
      diskReplaced: ({ id }) => this.#damaged.add(id),
    })
    this.clients = new SimClients(this.world, this.watched.checks)
    const program = clusterProgram(shape, directoryIds, (node) => this.watched.observer(node))
    for (const node of this.world.nodes.values()) format(node, directoryIds[node.id - 1]!)
    // Without confirmation nobody promises to notice.
    this.world.mayGoBack = (node) => shape.confirmation === 'peers' && this.watched.checks.mayGoBack(node)
    this.world.leaderOf = () => leaderOf(this.world, 0)?.id ?? null
    this.world.operator = (action) => operate(this.world, shape.groups, action)
  }

  /** Plays the run to its end; what was broken first, or null. */
  async play(
    operations: readonly Operation[],
    durationMs: number,
    skipped: ReadonlySet<number>,
    rest: { readonly faults: readonly Fault[]; readonly fromMs: number },
  ): Promise<RunFailure | null> {
    const { world, watched, clients } = this
    const fromMs = rest.faults.length === 0 ? durationMs : rest.fromMs
    const isLater = ({ atMs }: Operation): boolean => atMs > fromMs
    try {
      world.startAll()
      clients.plan(
        operations.filter((operation) => !isLater(operation)),
        skipped,
      )
      await world.advance(fromMs)
      await this.#goOn()
      if (rest.faults.length > 0) {
        world.plan(rest.faults, fromMs)
        clients.plan(operations.filter(isLater), skipped, fromMs)
        await world.advance(durationMs - fromMs)
      }
      this.#heal()
      if (this.#expectation !== 'kept') await this.#goOnAnyhow()
      else if (await this.#recover()) {
        const harmed = new Set(this.#damaged)
        await readDamaged(world, watched.checks, this.#damaged)
        // Reading takes its time: somebody may have taken meanwhile what a client was refused, an idle journal written its last frame.
        await this.#becomeStill()
        await checkLogs(world, watched.checks, this.#damaged, harmed)
        await this.#becomeStill()
        this.#checkIdle()
      }
      watched.checks.checkHistories()
      if (watched.checks.violation !== null) throw watched.checks.violation
      return null
    } catch (error) {
      if (this.#mayLose && isLoss(error)) {
        reached(this.#expectation === 'lies' ? 'lieNoticed' : 'lostOverBudget')
        return null
      }
      const { message, stack } = error instanceof Error ? error : new Error(String(error))
      return {
        id: error instanceof Violation ? error.id : 'error',
        message,
        stack: stack ?? '',
        event: world.events,
        atMs: world.nowMs,
      }
    }
  }

  /** Whether so much was taken that records may be lost, if only no client is shown wrong ones. */
  get #mayLose(): boolean {
    if (this.#expectation === 'kept') return false
    return this.#expectation === 'lies' || this.#damaged.size * 2 >= this.#shape.voters
  }

  /** Clients ask on until enough has happened. */
  async #goOn(): Promise<void> {
    const { world, clients } = this
    const { nodes, groups } = this.#shape
    for (let round = 1; world.events < fewestEvents && round <= 20; round++) {
      const seed = world.seed * 31 + round
      for (const operation of planOperations({ seed, nodes, groups, durationMs: 1000, perSecond: 5 })) {
        world.after(operation.atMs, () =>
          clients.begin({ ...operation, number: operation.number + round * 100_000 }),
        )
      }
      await world.advance(1000)
    }
  }

  /** Faults stop, and a majority is whole; now and then the rest stays dead. */
  #heal(): void {
    const { world } = this
    const { voters } = this.#shape
    const down = new Set<number>()
    const hasVoterChanges = world.faultCounts.has('addVoter') || world.faultCounts.has('removeVoter')
    const hasLosses = ['rot', 'diskLost', 'diskBack', 'syncError'].some((kind) =>
      world.faultCounts.has(kind as FaultClass),
    )
    if (!hasVoterChanges && !hasLosses && !this.#shape.autoJoin && this.#random.chance(0.3)) {
      for (let left = (voters - 1) >> 1; left > 0; left--) down.add(1 + this.#random.below(voters))
    }
    world.heal(down)
  }

  /** Where too much is broken: a group that nobody leads has somebody who says why. */
  async #goOnAnyhow(): Promise<void> {
    const { world, watched } = this
    await world.advance(electionMs)
    if (this.#expectation === 'lies') return
    for (let group = 0; group < this.#shape.groups; group++) {
      if (leaderOf(world, group) !== null) continue
      reached('stoppedOverBudget')
      const isTold = [...world.nodes.values()].some(
        ({ id, running, failure }) =>
          failure !== null ||
          (running?.groups[group]?.failure ?? null) !== null ||
          watched.checks.group(nameOf(group)).isOut(id),
      )
      if (!isTold) watched.checks.fail('L2', `nobody leads and nobody says why: ${this.#describe()}`)
    }
  }

  /**
   * L1: every group has a leader in time, takes an append, and all that run catch up. False when a group rightly waits for
   * voters that are gone.
   */
  async #recover(): Promise<boolean> {
    const { world, watched, clients } = this
    const groups = Array.from({ length: this.#shape.groups }, (_, group) => group)
    const isLed = (): boolean => groups.every((group) => leaderOf(this.world, group) !== null)
    if (!(await world.runUntil(isLed, electionMs))) {
      const waiting = groups.filter((group) => leaderOf(world, group) === null)
      if (waiting.every((group) => watched.checks.group(nameOf(group)).mayWait)) return false
      watched.checks.fail('L1', `no leader ${electionMs} ms after faults have stopped: ${this.#describe()}`)
      return true
    }
    const before = clients.counts.acked
    const ask = (): void => {
      for (const group of groups) {
        clients.begin({
          number: 1_000_000 + world.events,
          atMs: world.nowMs,
          client: 0,
          group,
          kind: 'append',
          node: leaderOf(this.world, group)?.id ?? 1,
          batches: 1,
          records: 1,
          valueBytes: 10,
          place: 0,
          isIdempotent: false,
        })
      }
    }
    const untilMs = world.nowMs + electionMs
    while (clients.counts.acked < before + groups.length && world.nowMs < untilMs) {
      ask()
      await world.runUntil(() => clients.counts.acked >= before + groups.length, electionMs / 10)
    }
    if (clients.counts.acked < before + groups.length) {
      watched.checks.fail('L1', `nothing is acknowledged ${electionMs} ms after healing: ${this.#describe()}`)
      return true
    }
    const isEven = (): boolean => this.#isEven
    const becomesEven = async (): Promise<boolean> => {
      if (await world.runUntil(isEven, electionMs)) return true
      // Damage may have hit the snapshot that others wait for; programs take another one in time.
      if (this.#damaged.size === 0) return false
      for (const node of world.nodes.keys()) operate(world, groups.length, { kind: 'snapshot', node })
      return world.runUntil(isEven, electionMs)
    }
    if (await becomesEven()) {
      // What is committed everywhere may be on its way to a file.
      await world.advance(100)
      await this.#becomeStill()
    } else this.#failUneven()
    return true
  }

  /** L1: all that run have caught up, and nothing is on its way to a disk. */
  async #becomeStill(): Promise<void> {
    const isStill = (): boolean => this.#isEven && this.#isDiskIdle()
    if (!(await this.world.runUntil(isStill, electionMs))) this.#failUneven()
  }

  #failUneven(): void {
    this.watched.checks.fail('L1', `uneven ${electionMs} ms after healing: ${this.#describe()}`)
  }

  get #isEven(): boolean {
    for (let group = 0; group < this.#shape.groups; group++) if (!this.#isCaughtUp(group)) return false
    return true
  }

  #isCaughtUp(group: number): boolean {
    let highWatermark = -1
    for (const { id, running, staysDown } of this.world.nodes.values()) {
      if (staysDown || this.#damaged.has(id)) continue
      const replica = running?.groups[group]
      if (replica === undefined) return false
      if (highWatermark < 0) highWatermark = replica.highWatermark
      if (replica.highWatermark !== highWatermark || replica.log.logEndOffset !== highWatermark) return false
      // A disk that was full is tried again after a while.
      if (isDurable(this.#shape.flush) && replica.log.flushedOffset !== highWatermark) return false
    }
    return true
  }

  /** I21: what a node uses once nothing is asked of it does not depend on what it has been through. */
  #checkIdle(): void {
    const { world, watched } = this
    const { nodes, groups } = this.#shape
    const allowed = { timers: 10 + 6 * groups + 3 * nodes, connections: 3 * nodes * nodes, queuedBytes: 0 }
    for (const { id, runtime, pendingTimers } of world.nodes.values()) {
      if (runtime === null) continue
      watched.checks.checkIdle(id, allowed, {
        timers: pendingTimers,
        connections: world.network.connections.size,
        queuedBytes: runtime.disk.queuedBytes,
      })
    }
  }

  #isDiskIdle(): boolean {
    return [...this.world.nodes.values()].every(({ runtime }) => runtime?.disk.isBusy !== true)
  }

  #describe(): string {
    return [...this.world.nodes.values()]
      .map(({ id, running, isAlive, failure }) => {
        if (running === null) {
          const why = failure instanceof Error ? `: ${failure.message}` : ''
          return `${id} ${isAlive ? 'opening' : 'down'}${why}`
        }
        const groups = running.groups.map(
          ({ state, leaderEpoch, leaderId, highWatermark, log, failure: stopped }) =>
            `${state}/${leaderEpoch}/${leaderId} ${highWatermark}/${log.logEndOffset}${stopped === null ? '' : ` (${stopped.message})`}`,
        )
        return `${id} ${groups.join(', ')}`
      })
      .join('; ')
  }
}

/** Whether an error says that something was lost: anything but wrong bytes shown to a client. */
function isLoss(error: unknown): boolean {
  if (error instanceof Violation) return error.id !== 'I10' && error.id !== 'I19'
  return error instanceof InvariantError
}

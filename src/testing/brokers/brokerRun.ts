import { type LogFact, Violation } from '../checkFacts.ts'
import { logFacts } from '../checkFiles.ts'
import type { Checks } from '../checks.ts'
import type { RunFailure, RunOptions, RunResult } from '../clusterRun.ts'
import type { Fault, FaultClass } from '../fault.ts'
import { SimRandom } from '../simRandom.ts'
import { planFaults } from '../swarm.ts'
import type { Trace } from '../trace.ts'
import { World } from '../world.ts'
import { BrokerClient } from './brokerClient.ts'
import type { BrokerCounts } from './brokerCounts.ts'
import { BrokerLink } from './brokerLink.ts'
import { type BrokerOperation, churnTopic, planBrokerOperations } from './brokerOperations.ts'
import { type BrokerNode, type BrokerShape, brokerProgram } from './brokerProgram.ts'
import { directoryOf, groupNameOf, watchBrokers } from './brokerWatcher.ts'
import { GroupRun } from './groupRun.ts'
import { planMembers } from './memberOperations.ts'
import { takesWrite } from './takesWrite.ts'

/** How long brokers may take to be registered, partitions to be led, and writes to be taken again, in milliseconds. */
const healingMs = 30_000
/** The simulated machines of clients have ids from here on. */
const firstClientHost = 40

/** What a broker bears by itself: no replica has to be repaired, and nobody uses what only a group of its own has. */
export const brokerFaults: readonly FaultClass[] = [
  'kill',
  'killAtCall',
  'powerCut',
  'crashAfterVote',
  'crashLoop',
  'restart',
  'pause',
  'wallJump',
  'drift',
  'looseTimers',
  'partition',
  'slowLink',
  'lossyLink',
  'clog',
  'reset',
  'halfOpen',
  'lateRequests',
  'slowAccept',
  'diskFull',
  'shortWrites',
  'noDescriptors',
  'slowDisk',
  'hungDisk',
]

/** What a run of brokers is asked to be. What is left out follows from the seed. */
export interface BrokerRunOptions extends Omit<RunOptions, 'shape' | 'expectation'> {
  readonly shape?: Partial<BrokerShape>
  /** The share of what administrators do among operations. */
  readonly adminShare?: number
  /** The share of clients that are idempotent producers; drawn by default. */
  readonly idempotentShare?: number
  /** The share of the rest that is about offsets of groups. */
  readonly offsetShare?: number
  /** How many members a group has that comes and goes; drawn by default, often none. */
  readonly members?: number
  /** Whose leader faults aim at: the group whose name begins so; drawn by default. */
  readonly aim?: string
}

/** What a run of brokers came to. */
export interface BrokerRunResult extends Omit<RunResult, 'shape' | 'operations'> {
  readonly shape: BrokerShape
  readonly operations: readonly BrokerOperation[]
}

/** One run of a cluster of brokers: faults and clients, then healing, then whether all promises were kept. A pure function of its options. */
export async function runBrokers(options: BrokerRunOptions): Promise<BrokerRunResult> {
  const { seed, skipFaults, skipOperations } = options
  const random = new SimRandom(seed ^ 0x3c6e_f372)
  const nodes = options.nodes ?? random.pick([3, 3, 3, 4])
  const shape: BrokerShape = { nodes, controllers: 3, settings: {}, ...options.shape }
  const durationMs = options.durationMs ?? random.pick([6000, 10_000])
  const clients = 1 + random.below(3)
  const topics = 1 + random.below(2)
  const perSecond = options.perSecond ?? random.pick([4, 10])
  // Half of the clusters come together before anything fails.
  const quietMs = random.pick([0, 2500])
  const planned = planFaults({
    seed,
    nodes,
    voters: nodes,
    durationMs,
    classes: options.classes ?? brokerFaults,
    count: options.faultCount ?? [5, 12],
  })
  const faults = planned.map((fault) => ({ ...fault, atMs: fault.atMs + quietMs }))
  const asked = planBrokerOperations({
    seed,
    nodes,
    clients,
    topics,
    durationMs,
    perSecond,
    ...(options.adminShare === undefined ? {} : { adminShare: options.adminShare }),
    ...(options.idempotentShare === undefined ? {} : { idempotentShare: options.idempotentShare }),
    ...(options.offsetShare === undefined ? {} : { offsetShare: options.offsetShare }),
  })
  const ofMembers = planMembers({ seed, durationMs, members: options.members, firstNumber: asked.length + 1 })
  const operations = [...asked, ...ofMembers.operations].map((operation) => ({
    ...operation,
    atMs: operation.atMs + quietMs / 2,
  }))
  const run = new BrokerRun(shape, faults, clients, ofMembers.count, options, random)
  const failure = await run.play(operations, durationMs + quietMs, skipOperations ?? new Set())
  const { world, checks, counts, trace } = run
  world[Symbol.dispose]()
  return {
    seed,
    shape,
    faults: faults.filter(({ number }) => skipFaults?.has(number) !== true),
    operations: operations.filter(({ number }) => skipOperations?.has(number) !== true),
    events: world.events,
    simulatedMs: world.nowMs,
    faultCounts: world.faultCounts,
    acked: counts.acked,
    unknown: counts.unknown,
    looked: checks.looked,
    traceHash: world.traceHash,
    failure,
    trace,
  }
}

class BrokerRun {
  readonly world: World<BrokerNode>
  readonly checks: Checks
  readonly counts: BrokerCounts = {
    acked: 0,
    refused: 0,
    unknown: 0,
    read: 0,
    administered: 0,
    deletions: 0,
    topicIds: new Set(),
    producerIds: new Set(),
  }
  readonly trace: Trace | null
  readonly #clients: readonly BrokerClient[]
  /** Asks what the run itself wants to know. */
  readonly #auditor: BrokerClient
  readonly #group: GroupRun
  #written = 0

  constructor(
    shape: BrokerShape,
    faults: readonly Fault[],
    clients: number,
    members: number,
    options: BrokerRunOptions,
    random: SimRandom,
  ) {
    this.world = new World<BrokerNode>({
      seed: options.seed,
      nodes: shape.nodes,
      faults,
      ...(options.skipFaults === undefined ? {} : { skipFaults: options.skipFaults }),
      program: (place) => program(place),
    })
    const { world } = this
    this.trace = options.trace?.(() => world.nowMs) ?? null
    const { checks, observer } = watchBrokers(world, this.trace, (group) => this.#mayBeDeleted(group))
    this.checks = checks
    const program = brokerProgram(shape, observer)
    const link = (id: number): BrokerLink => new BrokerLink(world, id, firstClientHost + id)
    const client = (id: number): BrokerClient => new BrokerClient(link(id), id, checks, this.counts)
    this.#clients = Array.from({ length: clients }, (_, id) => client(id))
    this.#auditor = client(clients)
    const links = Array.from({ length: members }, (_, index) => link(clients + 1 + index))
    this.#group = new GroupRun('members', links, checks)
    world.clientHosts = Array.from({ length: clients + 1 + members }, (_, id) => firstClientHost + id)
    // Faults aim at who leads the metadata, or a partition, or at the coordinator of groups.
    const drawnAim = random.pick(['__cluster_metadata', 't0-0', '__consumer_offsets'])
    const prefix = options.aim ?? drawnAim
    world.leaderOf = () => checks.leaderOf(prefix)
    world.mayGoBack = (id) => checks.mayGoBack(id)
  }

  /** Plays the run to its end; what was broken first, or null. */
  async play(
    operations: readonly BrokerOperation[],
    durationMs: number,
    skipped: ReadonlySet<number>,
  ): Promise<RunFailure | null> {
    const { world, checks } = this
    try {
      world.startAll()
      for (const operation of operations) {
        if (skipped.has(operation.number)) continue
        world.after(operation.atMs, () => {
          if (!this.#group.begin(operation)) this.#clients[operation.client]!.begin(operation)
        })
      }
      await world.advance(durationMs)
      world.heal()
      await this.#recover()
      checks.checkHistories()
      if (checks.violation !== null) throw checks.violation
      return null
    } catch (error) {
      const { message, stack } = error instanceof Error ? error : new Error(String(error))
      const id = error instanceof Violation ? error.id : 'error'
      return { id, message, stack: stack ?? '', event: world.events, atMs: world.nowMs }
    }
  }

  /** L1: all brokers serve, every partition is led and takes a write, and all its replicas hold the same in the end. */
  async #recover(): Promise<void> {
    const { world, checks } = this
    const isUp = (): boolean => [...world.nodes.values()].every(({ running }) => running !== null)
    if (!(await world.runUntil(isUp, healingMs))) {
      checks.fail('L1', `not every broker serves ${healingMs} ms after healing: ${this.#describe()}`)
      return
    }
    // Whoever still writes would make one log longer than another.
    if (!(await world.runUntil(() => this.#clients.every(({ isIdle }) => isIdle), healingMs))) {
      checks.fail('L1', `a client waits for an answer ${healingMs} ms after healing: ${this.#describe()}`)
      return
    }
    const untilMs = world.nowMs + healingMs
    while (!(await this.#isLed()) && world.nowMs < untilMs) await world.advance(500)
    for (const { name, partitions } of this.#auditor.link.topics.values()) {
      for (let partition = 0; partition < partitions.length; partition++) {
        const topic = Number(name.slice(1))
        const mayBeGone = topic === churnTopic && this.counts.deletions > 0
        const asked = { topic, partition, mayBeGone }
        if (await takesWrite(this.#auditor, asked, () => ++this.#written, healingMs)) continue
        checks.fail('L1', `${name}-${partition} takes no write after healing: ${this.#describe()}`)
        return
      }
    }
    // What nobody could make has no group, and no offsets.
    const hasTopic = this.#auditor.link.topics.has('t0')
    const stuck = hasTopic
      ? ((await this.#group.goesOn(world, healingMs)) ?? (await this.#readOffsets()))
      : null
    if (stuck !== null) {
      checks.fail('L1', `${stuck} ${healingMs} ms after healing: ${this.#describe()}`)
      return
    }
    await this.#compare()
  }

  /** What was committed is there after all that has happened; who does not hear of it, or null. */
  async #readOffsets(): Promise<string | null> {
    const { world } = this
    for (const client of this.#clients) {
      const untilMs = world.nowMs + healingMs
      while (!(await world.settle(client.readsOffset(), healingMs))) {
        if (world.nowMs > untilMs) return `client ${client.id} cannot read what it has committed`
        await world.advance(200)
      }
    }
    return null
  }

  async #isLed(): Promise<boolean> {
    try {
      await this.world.settle(this.#auditor.link.refresh(), healingMs)
    } catch {
      return false
    }
    return [...this.#auditor.link.topics.values()].every(({ partitions }) =>
      partitions.every(({ leader }) => leader > 0),
    )
  }

  /** I22: what the voters of each partition have in their files. */
  async #compare(): Promise<void> {
    const { world, checks } = this
    const groups = [...this.#auditor.link.topics.values()].flatMap(({ name, id, partitions }) =>
      partitions.map((_, index) => groupNameOf(name, index, id)),
    )
    // Once somebody has asked to delete a topic nothing is heard of it any more, whatever becomes of that.
    const heard = groups.filter((group) => !this.#mayBeDeleted(group))
    const differing = (): string | null => {
      for (const group of heard) {
        const ends = new Set(
          checks.votersOf(group).map((node) => checks.group(group).replica(node)?.highWatermark ?? -1),
        )
        if (ends.size > 1) return `${group}: ${[...ends]}`
      }
      return null
    }
    if (!(await world.runUntil(() => differing() === null, healingMs))) {
      checks.fail('L1', `replicas are not even ${healingMs} ms after healing: ${differing()}`)
      return
    }
    await world.advance(300)
    const untilMs = world.nowMs + healingMs
    for (const group of heard) {
      // A write that a slow disk began before it was healed may still be under way.
      while (!isEven(this.#filesOf(group)) && world.nowMs < untilMs) await world.advance(100)
      checks.checkSameLogs(group, this.#filesOf(group))
    }
  }

  #mayBeDeleted(group: string): boolean {
    return this.counts.deletions > 0 && group.startsWith(`t${churnTopic}-`)
  }

  #filesOf(group: string): ReadonlyMap<number, readonly LogFact[]> {
    const { world, checks } = this
    return new Map(
      checks.votersOf(group).map((node) => [node, logFacts(world.node(node).fs, directoryOf(group))]),
    )
  }

  #describe(): string {
    const nodes = [...this.world.nodes.values()].map(({ id, running, isAlive, failure }) => {
      const why = failure instanceof Error ? `: ${failure.message}` : ''
      return `${id} ${running !== null ? 'runs' : isAlive ? 'opening' : 'down'}${why}`
    })
    return `${nodes.join('; ')}; ${this.checks.describe()}`
  }
}

/** Whether all logs end alike. */
function isEven(logs: ReadonlyMap<number, readonly LogFact[]>): boolean {
  return new Set([...logs.values()].map((log) => log.at(-1)?.lastOffset ?? -1)).size < 2
}

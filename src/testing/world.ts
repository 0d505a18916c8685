import { replicaMemory } from '../replica/leasedMemory.ts'
import { nodeChecksum } from '../runtime/node/nodeChecksum.ts'
import { eachTurn } from '../runtime/node/turn.ts'
import { applyFault } from './applyFault.ts'
import { EventKind } from './eventKinds.ts'
import { EventQueue } from './eventQueue.ts'
import type { Fault, FaultAction, FaultClass, Target } from './fault.ts'
import { SimNetwork } from './simNetwork.ts'
import { SimNode } from './simNode.ts'
import { SimRandom } from './simRandom.ts'
import { TraceHash } from './traceHash.ts'
import type { Running, WorldOptions, WorldWatcher } from './worldTypes.ts'

/** Where the program of every node listens. */
const listenPort = 9092
/** How many events may follow each other without time going on. */
const mostAtOnce = 200_000

/**
 * Machines, network and time in one thread, on which programs run as they are shipped: a pure function of its options and of
 * what is called. Nothing moves but in `advance` and `runUntil`, one event after the other; each is followed by all that it
 * sets going. Throws what a watcher throws, and what a program throws where nobody catches it.
 */
export class World<P extends Running = Running> {
  readonly options: WorldOptions<P>
  readonly seed: number
  readonly queue: EventQueue = new EventQueue()
  readonly network: SimNetwork
  readonly nodes: ReadonlyMap<number, SimNode<P>>
  /** For faults and workloads; programs have their own. */
  readonly random: SimRandom
  /** How often each class of faults has happened. */
  readonly faultCounts: Map<FaultClass, number> = new Map()
  /** Who leads, for faults that aim at the leader; null for nobody. Set by whoever knows the programs. */
  leaderOf: (() => number | null) | null = null
  /** Whether an earlier disk of a node is within what the program promises to notice; always while null. */
  mayGoBack: ((node: number) => boolean) | null = null
  /** Carries out what only the program can: transfers, voter changes, snapshots. */
  operator: ((action: FaultAction) => void) | null = null
  /** The machines of clients, where those come over the network. */
  clientHosts: readonly number[] = []
  /** The one node that clients reach while they are cut off together with it; null while they reach all. */
  clientSide: number | null = null
  readonly #watchers: WorldWatcher<P>[]
  readonly #hash = new TraceHash()
  #events = 0
  #isHealed = false
  #lastMs = 0
  #atOnce = 0

  constructor(options: WorldOptions<P>) {
    replicaMemory.poison()
    this.options = options
    this.seed = options.seed
    const random = new SimRandom(options.seed)
    this.random = random.fork()
    this.#watchers = [...(options.watchers ?? [])]
    const networkRandom = random.fork()
    this.network = new SimNetwork(this.queue, networkRandom, {
      ...(options.linkMs === undefined ? {} : { linkMs: options.linkMs }),
      splitShare: networkRandom.pick([0, 0, 0.05, 0.5]),
      windowBytes: networkRandom.pick([8 << 10, 64 << 10, 256 << 10]),
      keepsNothing: networkRandom.pick([true, true, true, false]),
      onDelivery: (from, to, chunk) => {
        this.#hash.add((from * 64 + to) * 2 ** 32 + nodeChecksum.crc32c(chunk))
      },
    })
    const nodes = new Map<number, SimNode<P>>()
    this.nodes = nodes
    for (let id = 1; id <= options.nodes; id++) nodes.set(id, new SimNode(this, id, random.fork()))
    this.plan(options.faults ?? [])
  }

  /** Milliseconds of the world's clock since it began. */
  get nowMs(): number {
    return this.queue.nowMs
  }

  /** How many events there have been. */
  get events(): number {
    return this.#events
  }

  /** A hash over every event and every byte that has been delivered: equal for equal runs. 16 hexadecimal digits. */
  get traceHash(): string {
    return this.#hash.hex
  }

  /** Whether `heal` has been called: no more faults of the plan happen. */
  get isHealed(): boolean {
    return this.#isHealed
  }

  endpointOf(id: number): { readonly host: string; readonly port: number } {
    return { host: `node-${id}`, port: listenPort }
  }

  node(id: number): SimNode<P> {
    const node = this.nodes.get(id)
    if (node === undefined) throw new RangeError(`there is no node ${id}`)
    return node
  }

  /** Whether clients reach a node. */
  isSeenByClients(id: number): boolean {
    return this.clientSide === null || this.clientSide === id
  }

  /** The node that a fault aims at now. */
  target(target: Target): SimNode<P> {
    if (target !== 'leader') return this.node(target)
    const leader = this.leaderOf?.() ?? null
    if (leader !== null) return this.node(leader)
    return [...this.nodes.values()].find(({ isAlive }) => isAlive) ?? this.node(1)
  }

  watch(watcher: WorldWatcher<P>): void {
    this.#watchers.push(watcher)
  }

  /** Tells every watcher. */
  tell(what: (watcher: WorldWatcher<P>) => void): void {
    for (const watcher of this.#watchers) what(watcher)
  }

  /** Has `run` called in so many milliseconds of the world's clock. */
  after(delayMs: number, run: () => void): void {
    this.queue.add(delayMs, EventKind.client, 0, run)
  }

  /** Mixes a number into the trace. */
  note(value: number): void {
    this.#hash.add(value)
  }

  startAll(): void {
    for (const node of this.nodes.values()) node.start()
  }

  /** Has faults happen, but for those that are to be skipped: in so many milliseconds from now as their `atMs` is after `fromMs`. */
  plan(faults: readonly Fault[], fromMs = 0): void {
    for (const fault of faults) {
      if (this.options.skipFaults?.has(fault.number)) continue
      this.queue.add(fault.atMs - fromMs, EventKind.fault, 0, () => {
        if (!this.#isHealed) this.inject(fault)
      })
    }
  }

  /** Makes a fault happen now. */
  inject(fault: Fault): void {
    this.faultCounts.set(fault.kind, (this.faultCounts.get(fault.kind) ?? 0) + 1)
    this.tell((watcher) => watcher.faulted?.(fault))
    applyFault(this, fault)
  }

  /**
   * Ends all faults; what of the plan is still to come is left out. Of the nodes all but `leaveDown` run again; those stay
   * dead.
   */
  heal(leaveDown: ReadonlySet<number> = new Set()): void {
    this.#isHealed = true
    this.clientSide = null
    this.network.heal()
    for (const node of this.nodes.values()) {
      // A supervisor ends what does not answer, and what says that its disk could not sync: that is left alone until a start.
      if (node.trouble.isHung || node.trouble.hasFailedSync) node.kill()
      node.trouble.heal()
      node.trouble.onCall = null
      node.host.onCall = null
      node.onStart = null
      node.onVote = null
      node.fs.isLying = false
      node.fs.badSectors.clear()
      node.machine.factor = 1
      node.machine.looseness = 0
      node.resume()
      node.staysDown = leaveDown.has(node.id)
      if (node.staysDown) node.kill()
      else node.start()
    }
  }

  /** Lets `ms` of the world's clock pass. */
  async advance(ms: number): Promise<void> {
    await this.#run(() => false, this.nowMs + ms)
  }

  /** Lets time pass until `isDone`, which is asked after every event, but at most `mostMs`; whether it was. */
  async runUntil(isDone: () => boolean, mostMs: number): Promise<boolean> {
    await this.#run(isDone, this.nowMs + mostMs)
    return isDone()
  }

  /** Lets time pass until `work` has ended, at most `mostMs`; gives what it gives. Throws when it has not ended by then. */
  async settle<T>(work: Promise<T>, mostMs = 60_000): Promise<T> {
    let isSettled = false
    const settled = (): void => {
      isSettled = true
    }
    work.then(settled, settled)
    if (!(await this.runUntil(() => isSettled, mostMs))) throw new Error(`not done after ${mostMs} ms`)
    return work
  }

  /** Kills every process. */
  [Symbol.dispose](): void {
    for (const node of this.nodes.values()) {
      node.staysDown = true
      node.kill()
    }
  }

  #run(isDone: () => boolean, untilMs: number): Promise<void> {
    let isFirst = true
    return eachTurn(() => {
      if (!isFirst) for (const watcher of this.#watchers) watcher.afterEvent?.()
      isFirst = false
      return !isDone() && this.#next(untilMs)
    })
  }

  #next(untilMs: number): boolean {
    for (;;) {
      const event = this.queue.take(untilMs)
      if (event === null) return false
      const node = this.nodes.get(event.node)
      if (node !== undefined && node.pausedUntilMs > this.nowMs) {
        node.putOff(event)
        continue
      }
      this.#count(event.atMs)
      this.#hash.add(event.atMs)
      this.#hash.add(event.kind * 64 + event.node)
      event.run!()
      return true
    }
  }

  #count(atMs: number): void {
    this.#events++
    this.#atOnce = atMs === this.#lastMs ? this.#atOnce + 1 : 0
    this.#lastMs = atMs
    if (this.#atOnce > mostAtOnce)
      throw new Error(`time stands still at ${atMs} ms: events go round in a circle`)
  }
}

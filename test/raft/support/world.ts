import { randomUuid } from '../../../src/model/uuid.ts'
import type { Effect } from '../../../src/raft/effects.ts'
import type { RaftEvent } from '../../../src/raft/events.ts'
import type { RaftRequest, RaftResponse } from '../../../src/raft/messages.ts'
import { defaultTimeouts, type RaftConfig } from '../../../src/raft/raftConfig.ts'
import type { RaftStart } from '../../../src/raft/raftReplica.ts'
import { type Voter, VoterSet } from '../../../src/raft/voterSet.ts'
import { EventHeap, type Timed } from '../../../src/testing/eventHeap.ts'
import { Checker, Violation } from './checker.ts'
import { Prng } from './prng.ts'
import { SimDisk } from './simDisk.ts'
import { type ReplyTo, SimNode, Snapshots } from './simNode.ts'

/** What a world is made of. */
export interface WorldOptions {
  readonly seed: number
  readonly kind: 'metadata' | 'partition'
  readonly relaxed: boolean
  readonly kraftVersion: 0 | 1
  readonly voters: number
  readonly observers: number
  readonly autoJoin: boolean
  readonly confirmation: 'none' | 'peers'
  /** Whether messages get lost, doubled and late; otherwise each takes a millisecond. */
  readonly faults: boolean
  readonly loss: number
  readonly duplication: number
  readonly longestDelayMs: number
  readonly batchesPerFetch: number
}

/** What every world has unless it says otherwise. */
export const calm: WorldOptions = {
  seed: 1,
  kind: 'metadata',
  relaxed: false,
  kraftVersion: 1,
  voters: 3,
  observers: 0,
  autoJoin: false,
  confirmation: 'none',
  faults: false,
  loss: 0,
  duplication: 0,
  longestDelayMs: 1,
  batchesPerFetch: 6,
}

/** Somebody who is told of everything that happens in a world. */
export interface WorldObserver {
  started(node: SimNode, config: RaftConfig, start: RaftStart): void
  /** Before an effect is carried out; `event` is null for the start. */
  stepped(node: SimNode, event: RaftEvent | null, effects: readonly Effect[]): void
  left(node: SimNode, to: number, message: RaftRequest | RaftResponse, asked: RaftRequest | null): void
  stopped(node: SimNode, how: 'kill' | 'crash'): void
  lost(node: SimNode): void
  wentBack(node: SimNode): void
}

interface Scheduled extends Timed {
  readonly run: () => void
}

interface Read {
  readonly end: number
}

/** Nodes, network and time in one thread: a pure function of its options and of what is called. */
export class World {
  readonly options: WorldOptions
  readonly random: Prng
  readonly nodes: Map<number, SimNode> = new Map()
  readonly checker: Checker
  readonly snapshots: Snapshots = new Snapshots()
  /** Links that are cut, `from>to`. */
  readonly cut: Set<string> = new Set()
  /** Answers to requests of operators. */
  readonly answers: RaftResponse[] = []
  tracer: ((node: SimNode, effect: Effect) => void) | null = null
  observer: WorldObserver | null = null
  nowMs = 0
  steps = 0
  isFaulty: boolean
  isRollbackAllowed = false
  /** The next replica that gives a vote dies right after its answer has left, and is back at once. */
  isVoteDeadly = false
  /** An operator has said so. */
  isLossAccepted = false
  readsDone = 0
  readonly #queue = new EventHeap<Scheduled>()
  #order = 0
  #voters: VoterSet

  constructor(options: WorldOptions) {
    this.options = options
    this.isFaulty = options.faults
    this.random = new Prng(options.seed)
    const ids = Array.from({ length: options.voters + options.observers }, (_, i) => i + 1)
    const bytes = {
      fill: (target: Uint8Array) =>
        void target.forEach((_, i) => {
          target[i] = this.random.below(256)
        }),
    }
    const directories = ids.map(() => randomUuid(bytes))
    const voter = (id: number): Voter => ({
      id,
      directoryId: directories[id - 1]!,
      endpoints: [],
      minVersion: 0,
      maxVersion: 1,
    })
    this.#voters = new VoterSet(ids.slice(0, options.voters).map(voter))
    for (const id of ids) this.nodes.set(id, new SimNode(this, id, directories[id - 1]!))
    this.checker = new Checker(this.nodes, options.relaxed)
  }

  newDisk(): SimDisk {
    return new SimDisk(this.options.kind, { offset: -1, version: 0, voters: this.#voters })
  }

  newDirectoryId(): string {
    return `${this.random.next().toString(36).padStart(8, 'd')}${this.random.next().toString(36).padStart(14, 'd')}`.slice(
      0,
      22,
    )
  }

  configOf(node: SimNode): RaftConfig {
    const { kind, relaxed, kraftVersion, autoJoin, confirmation } = this.options
    return {
      clusterId: 'cluster',
      self: node.key,
      endpoints: [],
      kind,
      relaxed,
      kraftVersion,
      ...defaultTimeouts,
      autoJoin,
      bootstrapIds: [],
      confirmation,
    }
  }

  startAll(): void {
    for (const node of this.nodes.values()) if (node.core === null) node.start()
  }

  /** Runs `run` after so many milliseconds. */
  after(delayMs: number, run: () => void): void {
    this.#queue.push({ atMs: this.nowMs + delayMs, order: this.#order++, run })
  }

  syncMs(): number {
    return this.isFaulty ? 1 + this.random.below(this.random.chance(0.1) ? 200 : 10) : 1
  }

  /** Carries out the next event; false when there is none, or none before `untilMs`. */
  next(untilMs = Number.POSITIVE_INFINITY): boolean {
    const first = this.#queue.first
    if (first === undefined || first.atMs > untilMs) return false
    this.#queue.drop()
    this.nowMs = first.atMs
    first.run()
    return true
  }

  advance(ms: number): void {
    const untilMs = this.nowMs + ms
    while (this.next(untilMs));
    this.nowMs = untilMs
  }

  /** Runs until `isDone`, up to so many milliseconds; whether it was. */
  runUntil(isDone: () => boolean, mostMs: number): boolean {
    const untilMs = this.nowMs + mostMs
    while (!isDone()) if (!this.next(untilMs)) return isDone()
    return true
  }

  send(from: SimNode, to: number, requestId: number, request: RaftRequest): void {
    const replyTo: ReplyTo = { from: from.id, session: from.session, requestId, request }
    const isSent = this.#transmit(from.id, to, () => {
      const node = this.nodes.get(to)
      if (node?.core == null) return
      if (
        request.type === 'fetch' &&
        node.core.state === 'leader' &&
        request.currentLeaderEpoch === node.core.leaderEpoch
      ) {
        this.checker.fetched(request)
      }
      node.step({ type: `${request.type}Request`, replyTo, request } as RaftEvent)
    })
    if (!isSent && this.random.chance(0.5)) {
      const { session } = from
      this.after(this.#delay(), () => {
        if (from.session === session) from.step({ type: 'requestFailed', requestId })
      })
    }
  }

  reply(from: SimNode, { from: asker, session, requestId }: ReplyTo, response: RaftResponse): void {
    this.#transmit(from.id, asker, () => {
      const node = this.nodes.get(asker)!
      if (node.session !== session) return
      node.step({ type: `${response.type}Response`, from: from.id, requestId, response } as RaftEvent)
    })
  }

  #transmit(from: number, to: number, arrive: () => void): boolean {
    const { loss, duplication } = this.options
    if (this.isFaulty && this.random.chance(loss)) return false
    const copies = this.isFaulty && this.random.chance(duplication) ? 2 : 1
    for (let i = 0; i < copies; i++) {
      this.after(this.#delay(), () => {
        if (!this.cut.has(`${from}>${to}`)) arrive()
      })
    }
    return true
  }

  #delay(): number {
    if (!this.isFaulty) return 1
    return (
      1 +
      this.random.below(
        this.random.chance(0.05) ? this.options.longestDelayMs * 10 : this.options.longestDelayMs,
      )
    )
  }

  /** A node has died: some of the others notice at once. */
  stopped(node: SimNode): void {
    for (const other of this.nodes.values()) {
      if (other === node || !this.random.chance(0.5)) continue
      this.after(this.#delay(), () => other.step({ type: 'connectionLost', id: node.id }))
    }
  }

  /** Asks a node what is committed; the answer has to hold all that is committed now. */
  read(node: SimNode): void {
    const token: Read = { end: this.checker.committedEnd }
    node.step({ type: 'readIndex', token })
  }

  readReady(token: unknown, offset: number): void {
    const { end } = token as Read
    this.readsDone++
    if (offset < end)
      throw new Violation(`I23: a read sees ${offset}, and ${end} was committed before it began`)
  }
}

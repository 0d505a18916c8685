import type { SendPart } from '../../../src/model/fileRange.ts'
import { silentLogger } from '../../../src/model/logger.ts'
import type { Uuid } from '../../../src/model/uuid.ts'
import type { RaftRequest, RaftResponse, Voter } from '../../../src/raft.ts'
import type { Group } from '../../../src/replica/group.ts'
import type { GroupSpec, HostOptions } from '../../../src/replica/groupTypes.ts'
import { ReplicaHost } from '../../../src/replica/replicaHost.ts'
import { type GroupRef, groupKey, type Transport } from '../../../src/replica/transport.ts'
import { defaultLogConfig } from '../../../src/segment/logConfig.ts'
import { LogDirectory } from '../../../src/segment/logDirectory.ts'
import type { DiskCallKind, DiskPace } from '../../../src/testing/diskPace.ts'
import { SimClock } from '../../../src/testing/simClock.ts'
import { SimFileSystem } from '../../../src/testing/simFileSystem.ts'
import { createSimRuntime, type SimRuntime } from '../../../src/testing/simRuntime.ts'
import type { DiskFaults } from '../../../src/testing/systemCalls.ts'

export const topicId: Uuid = 'dG9waWMtb2YtYS10ZXN0AA'

/** The directory of a node that is not there: any id. */
export function directoryOf(id: number): Uuid {
  return Buffer.from(`directory-of-no-${id}`.padEnd(16, '.')).toString('base64url')
}

/** Holds back calls of the disk until a test lets them go. */
export class Gate implements DiskPace {
  held: ReadonlySet<DiskCallKind> = new Set()
  /** How many calls of each kind were made. */
  readonly counts = new Map<DiskCallKind, number>()
  #waiting: (() => void)[] = []

  wait(kind: DiskCallKind): Promise<void> | null {
    this.counts.set(kind, (this.counts.get(kind) ?? 0) + 1)
    if (!this.held.has(kind)) return null
    return new Promise((resolve) => this.#waiting.push(resolve))
  }

  hold(...kinds: readonly DiskCallKind[]): void {
    this.held = new Set(kinds)
  }

  /** Lets the oldest of those go that wait. */
  releaseOne(): void {
    this.#waiting.shift()?.()
  }

  /** Lets everything go, now and from now on. */
  release(): void {
    this.held = new Set()
    for (const go of this.#waiting.splice(0)) go()
  }
}

/** Something that node 1 has sent. */
export interface Sent {
  readonly to: number
  readonly group: GroupRef
  readonly requestId: number
  readonly request: RaftRequest
}

/** Node 1 of three, alone, on a simulated disk: the test plays the others. */
export class Lone {
  readonly fs: SimFileSystem
  readonly gate = new Gate()
  readonly clock: SimClock
  readonly sent: Sent[] = []
  readonly runtime: SimRuntime
  host!: ReplicaHost
  logs!: LogDirectory
  faults: DiskFaults | null = null
  readonly #options: Partial<HostOptions>

  private constructor(fs: SimFileSystem, options: Partial<HostOptions>) {
    this.fs = fs
    this.#options = options
    this.clock = new SimClock()
    const faults: DiskFaults = (call) => this.faults?.(call) ?? null
    this.runtime = createSimRuntime(fs, { seed: 7, clock: this.clock, pace: this.gate, faults })
  }

  /** Starts node 1 on what `fs` holds. */
  static async start(fs = new SimFileSystem(), options: Partial<HostOptions> = {}): Promise<Lone> {
    const lone = new Lone(fs, options)
    lone.logs = await LogDirectory.open(lone.runtime, {
      directory: '/data',
      logger: silentLogger,
      nodeId: 1,
      clusterId: 'test-cluster',
      journalBytes: 1 << 20,
      journalFileBytes: 1 << 18,
      configFor: () => defaultLogConfig,
    })
    const transport: Transport = {
      send: (to, group, requestId, request) => lone.sent.push({ to, group, requestId, request }),
      forget() {},
      know() {},
      leaderContactMs: () => Number.NEGATIVE_INFINITY,
      followerContactMs: () => Number.NEGATIVE_INFINITY,
      call: () => Promise.reject(new Error('nobody is there')),
      close: async () => {},
    }
    lone.host = await ReplicaHost.open(lone.runtime, {
      nodeId: 1,
      clusterId: 'test-cluster',
      endpoints: [],
      logs: lone.logs,
      transport: () => transport,
      logger: silentLogger,
      ...options,
    })
    return lone
  }

  /** The power goes: the same disk, with what of it was durable. */
  async restart(): Promise<Lone> {
    const image = this.fs.medium.crashed(() => false)
    return Lone.start(new SimFileSystem({ image }), this.#options)
  }

  voters(count: number): readonly Voter[] {
    return Array.from({ length: count }, (_, index) => ({
      id: index + 1,
      directoryId: index === 0 ? this.logs.directoryId : directoryOf(index + 1),
      endpoints: [],
      minVersion: 0,
      maxVersion: 1,
    }))
  }

  open(voters: number, partition = 0, spec: Partial<GroupSpec> = {}): Promise<Group> {
    return this.host.openGroup({
      topic: 't',
      partition,
      topicId,
      kind: 'partition',
      config: defaultLogConfig,
      voters: this.voters(voters),
      confirmation: 'none',
      ...spec,
    })
  }

  /** Asks like another node; the answer is in what this returns once it was given. */
  ask(request: RaftRequest, partition = 0, from = 2): Answer {
    const answer = new Answer()
    this.host.request(from, { topicId, topic: 't', partition }, request, (response, records) => {
      answer.response = response
      answer.records = records
    })
    return answer
  }

  /** A Vote of node 2, in an epoch that it wants to lead. */
  vote(epoch: number, preVote = false): RaftRequest {
    const candidate = { id: 2, directoryId: directoryOf(2) }
    return {
      type: 'vote',
      clusterId: 'test-cluster',
      voter: { id: 1, directoryId: this.logs.directoryId },
      replicaEpoch: epoch,
      candidate,
      lastOffsetEpoch: 0,
      lastOffset: 0,
      preVote,
      votersVersion: 0,
      incarnation: { ...candidate, incarnation: 1, startNonce: 5, earlierNonces: [] },
    }
  }

  /** Answers what was sent to other nodes about a group so that node 1 leads it; `electing` is called before it is given votes. */
  async elect(partition = 0, electing = (): void => {}): Promise<Group> {
    const group = this.host.groups.get(groupKey({ topicId, partition }))!
    for (let round = 0; round < 100 && group.state !== 'leader'; round++) {
      this.clock.advance(20)
      await this.quiet()
      for (const { to, group: ref, requestId, request } of this.sent.splice(0)) {
        if (request.type !== 'vote' || ref.partition !== partition) continue
        if (!request.preVote) electing()
        this.host.response(to, ref, requestId, {
          type: 'vote',
          error: 'none',
          leaderId: -1,
          leaderEpoch: request.replicaEpoch,
          voteGranted: true,
          quarantined: false,
          recorded: null,
        })
        await this.quiet()
      }
    }
    return group
  }

  /** Resolves when nothing goes on by itself any more. */
  async quiet(): Promise<void> {
    for (let turn = 0; turn < 5; turn++) await new Promise((resolve) => setImmediate(resolve))
  }
}

/** What was answered, if anything was. */
export class Answer {
  response: RaftResponse | null = null
  records: readonly SendPart[] = []
}

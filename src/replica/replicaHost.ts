import { EngineError } from '../model/errors.ts'
import { planted } from '../model/planted.ts'
import type { RaftRequest, RaftResponse, VotersEntry } from '../raft.ts'
import type { Runtime } from '../runtime/runtime.ts'
import type { Log } from '../segment/log.ts'
import { afterRot } from './afterRot.ts'
import { AlarmLog } from './alarmLog.ts'
import { AppendBudget } from './appendBudget.ts'
import { CacheClaims, hasClaimedCache } from './cacheClaims.ts'
import { CatchUp, type CatchUpLimits } from './catchUp.ts'
import { ElectionPace } from './electionPace.ts'
import { Group } from './group.ts'
import { GroupConfigs, isRelaxed } from './groupConfigs.ts'
import { stateKind } from './groupStates.ts'
import type { GroupSpec, HostOptions } from './groupTypes.ts'
import type { GroupWorld } from './groupWorld.ts'
import { HostStats } from './hostStats.ts'
import { Lag } from './lag.ts'
import { replicaMemory } from './leasedMemory.ts'
import { type GroupStart, openGroupLog } from './openGroupLog.ts'
import { isRepairCall } from './repair/repairCalls.ts'
import { type RepairCounts, Repairs } from './repair/repairs.ts'
import { isSnapshotCall } from './repair/snapshotCalls.ts'
import { answerSnapshotCall } from './repair/snapshotHelp.ts'
import { type RemoteRequest, refuseRequest } from './replies.ts'
import { Sleepers } from './sleepers.ts'
import { TimerWheel } from './timerWheel.ts'
import { type GroupKey, type GroupRef, groupKey, type TransportHandler } from './transport.ts'
import { WriteTurn } from './writeTurn.ts'

/** The defaults of `HostOptions`. */
const defaults = { maxPendingBytes: 64 << 20, maxFetchBytes: 1 << 20, mendingMs: 2000 }

/** The replicas of one node: of up to ten thousand groups, over one transport, one journal and one timer. */
export class ReplicaHost implements TransportHandler {
  readonly stats: HostStats = new HostStats()
  readonly #runtime: Runtime
  readonly #options: HostOptions
  readonly #world: GroupWorld
  readonly #configs: GroupConfigs
  readonly #lag = new Lag()
  readonly #groups = new Map<GroupKey, Group>()
  readonly #opening = new Set<GroupKey>()
  readonly #repairs: Repairs
  #closing: Promise<void> | null = null

  private constructor(runtime: Runtime, options: HostOptions) {
    const { logs, logger, nodeId, clusterId, endpoints } = options
    this.#runtime = runtime
    this.#options = options
    const transport = options.transport(this)
    replicaMemory.comeFrom(runtime.disk.lend ?? null)
    const wheel = new TimerWheel(runtime.clock, (lateMs, nowMs) => this.#adapt(lateMs, nowMs))
    const self = { id: nodeId, directoryId: logs.directoryId }
    this.#configs = new GroupConfigs({ clusterId, self, endpoints }, options.timeouts)
    this.#world = {
      runtime,
      nodeId,
      clusterId,
      directoryId: logs.directoryId,
      endpoints,
      transport,
      turn: new WriteTurn(logs, runtime.disk),
      wheel,
      // Woken well before the first of them would miss it.
      sleepers: new Sleepers(runtime.clock, wheel, transport, () => 0.7 * this.#configs.fetchTimeoutMs),
      pace: new ElectionPace(wheel, () => this.#configs.slackMs),
      budget: new AppendBudget(options.maxPendingBytes ?? defaults.maxPendingBytes),
      catchUp: new CatchUp(runtime.clock),
      maxFetchBytes: options.maxFetchBytes ?? defaults.maxFetchBytes,
      logger,
      alarms: new AlarmLog(runtime.clock, logger),
      observer: options.observer ?? null,
    }
    this.#repairs = new Repairs({
      runtime,
      nodeId,
      logs,
      logger,
      groups: this.#groups,
      call: (to, payload, timeoutMs) => transport.call(to, payload, timeoutMs),
      reopened: (group, mayHaveForgotten) => this.#reopened(group, mayHaveForgotten),
      readPatienceMs: options.readPatienceMs,
    })
  }

  /** Makes a host without groups. The logs stay their owner's, who closes them after the host. */
  static open(runtime: Runtime, options: HostOptions): Promise<ReplicaHost> {
    return Promise.resolve(new ReplicaHost(runtime, options))
  }

  /** The groups by key, in the order in which they were opened. */
  get groups(): ReadonlyMap<GroupKey, Group> {
    return this.#groups
  }

  /** Bytes of appends of all groups that have no answer yet, and how many there may be. */
  get pending(): { readonly usedBytes: number; readonly capacityBytes: number } {
    const capacityBytes = this.#options.maxPendingBytes ?? defaults.maxPendingBytes
    return { usedBytes: this.#world.budget.pendingBytes, capacityBytes }
  }

  /** Bounds what replicas that are no voters yet are sent and take, from now on. */
  limitCatchUp(limits: CatchUpLimits): void {
    this.#world.catchUp.limits = limits
  }

  /** What was found damaged on this node, and mended from others, since the host was opened. */
  get repairs(): RepairCounts {
    return this.#repairs.counts
  }

  /**
   * Takes a replica up from what its disk holds, or begins one. Throws `duplicateResource` while it is open,
   * `inconsistentTopicId`, `corruptLog`, and what the disk says.
   */
  async openGroup(spec: GroupSpec): Promise<Group> {
    const key = groupKey(spec)
    if (this.#closing !== null) throw new EngineError('closed', 'the host is closed')
    if (this.#groups.has(key) || this.#opening.has(key)) {
      throw new EngineError('duplicateResource', `${spec.topic}-${spec.partition} is open already`)
    }
    this.#opening.add(key)
    try {
      const start = await this.#find(spec)
      if (this.#closing !== null) throw new EngineError('closed', 'the host is closed')
      const { transport, nodeId } = this.#world
      for (const { id, endpoints } of start.voters.at(-1)!.voters.voters) {
        if (id !== nodeId && endpoints.length > 0) transport.know(id, endpoints)
      }
      const forgotten = await this.#mayHaveForgotten(spec, start)
      const word = isRelaxed(spec) ? await this.#options.cache?.word() : null
      const claims = new CacheClaims(this.#options.logs, () => group.log)
      const group = new Group(
        this.#world,
        spec,
        this.#configs.of(spec),
        start,
        forgotten,
        claims,
        ({ key: closed }) => {
          this.#groups.delete(closed)
          this.#adapt(0, this.#runtime.clock.monotonicMs())
        },
      )
      // A log that cannot store this fails by itself.
      if (isRelaxed(spec) && group.log.offline === null) await claims.note().catch(() => {})
      this.#groups.set(key, group)
      this.#adapt(0, this.#runtime.clock.monotonicMs())
      group.start()
      this.#settleDoubts(group)
      if (isRelaxed(spec)) this.#rest(group, word ?? null)
      else this.#untilDurable(group, claims)
      const isVoter = ({ voters }: VotersEntry): boolean =>
        voters.get(this.#world.nodeId)?.directoryId === this.#world.directoryId
      // The metadata of a cluster is on every node, whether it votes there or not.
      const wasVoter = spec.kind === 'metadata' || isVoter(start.voters.at(-1)!)
      group.watch(this.stats.listener(isVoter, wasVoter))
      group.watch({ leadership: () => this.#repairs.look(group) })
      this.#repairs.look(group)
      await this.#untilMended(group)
      return group
    } finally {
      this.#opening.delete(key)
    }
  }

  /** Hands leadership over, leaves every group, and closes the transport. Resolves when all that was written is durable. */
  close(): Promise<void> {
    this.#closing ??= this.#close()
    return this.#closing
  }

  request(from: number, ref: GroupRef, request: RaftRequest, reply: RemoteRequest['reply']): void {
    const group = this.#groups.get(groupKey(ref))
    if (group === undefined) reply(refuseRequest(request, 'unknownTopicOrPartition'), [])
    else group.request(from, request, reply)
  }

  response(from: number, ref: GroupRef, requestId: number, response: RaftResponse): void {
    this.#groups.get(groupKey(ref))?.response(from, requestId, response)
  }

  failed(ref: GroupRef, requestId: number, damage?: EngineError): void {
    if (damage !== undefined) this.#world.observer?.received?.(ref, damage)
    this.#groups.get(groupKey(ref))?.tell({ type: 'requestFailed', requestId })
  }

  /** Answers what replicas ask of each other beside the quorum's messages; other calls are the business of whoever has the host. */
  async call(_from: number, payload: Uint8Array): Promise<Uint8Array> {
    if (isSnapshotCall(payload)) return answerSnapshotCall(payload, (ref) => this.#groups.get(groupKey(ref)))
    if (isRepairCall(payload)) return this.#repairs.answer(payload)
    throw new EngineError('unsupportedVersion', 'a host takes no such calls')
  }

  connectionLost(node: number): void {
    for (const group of this.#groups.values())
      if (group.leaderId === node) group.tell({ type: 'connectionLost', id: node })
  }

  async #close(): Promise<void> {
    const { alarms, budget, catchUp, wheel, transport } = this.#world
    budget.close()
    catchUp.close()
    const groups = [...this.#groups.values()]
    // Whoever follows takes over at once, with everything; those that nobody can follow just end.
    await Promise.allSettled(
      groups.filter(({ state }) => state === 'leader').map((group) => group.transferLeadership()),
    )
    await Promise.all([this.#repairs.close(), ...groups.map((group) => group.close())])
    wheel.close()
    alarms.flush()
    await transport.close()
  }

  /** Whoever opens a replica would rather wait a little than have one that is damaged. */
  async #untilMended(group: Group): Promise<void> {
    const { clock } = this.#runtime
    const endMs = clock.monotonicMs() + (this.#options.timeouts?.mendingMs ?? defaults.mendingMs)
    while (this.#repairs.mayMend(group) && group.failure !== null && this.#closing === null) {
      const leftMs = endMs - clock.monotonicMs()
      if (leftMs <= 0) return
      await group.nextRepair(leftMs)
    }
  }

  /** A log that was damaged when it was found is whole again. */
  async #reopened(group: Group, mayHaveForgotten: boolean): Promise<void> {
    const start = await this.#find(group.spec)
    const forgotten = mayHaveForgotten || (await this.#mayHaveForgotten(group.spec, start))
    group.revive(this.#configs.of(group.spec), start, forgotten)
    this.#settleDoubts(group)
  }

  /** The replica knows that it may have forgotten something, once that is durable: no later start has to find it out. */
  #settleDoubts(group: Group): void {
    const doubts = this.#options.logs.doubtsAbout(group.log)
    // A journal that does not take it takes nothing else either; then the next start doubts once more.
    group.whenPersisted(() => void doubts.settle().catch(() => {}))
  }

  async #find(spec: GroupSpec): Promise<GroupStart> {
    const { logs, logger } = this.#options
    const start = await openGroupLog(this.#runtime, logs, spec, logger)
    if (!logs.doubtsAbout(start.log).isRotten || start.isNew) return start
    logger.error('the journal may have lost votes: the replica takes no part in elections', {
      directory: start.log.directory,
    })
    const { nodeId, directoryId } = this.#world
    return afterRot(start, { id: nodeId, directoryId })
  }

  /** Whether something may be gone that this replica has claimed. Source: fault model, section 2. */
  async #mayHaveForgotten(spec: GroupSpec, { log, isNew, stored }: GroupStart): Promise<boolean> {
    const { logs, cache } = this.#options
    const isClean = logs.wasClosedCleanly
    if (planted('forgettingForgotten')) return false
    if (logs.doubtsAbout(log).isEndUnproven) return true
    if (isNew || !(isRelaxed(spec) || hasClaimedCache(logs, log))) return false
    // Whole as the cache may be, its file is not: what was cut may have been claimed.
    if (log.wasCut || stored.highWatermark > log.logEndOffset) return true
    return cache === undefined ? !isClean : !(await cache.covers(this.#wordOf(log), isClean))
  }

  /** The word under which a replica was last open. */
  #wordOf(log: Log): string | null {
    const bytes = this.#options.logs.stateOf(log, stateKind.cacheWord)
    return bytes === null ? null : Buffer.from(bytes).toString()
  }

  /** A replica begins to claim what the page cache has. What it may have forgotten is on its way to the disk before the word. */
  #rest(group: Group, word: string | null): void {
    const { cache } = this.#options
    if (group.failure !== null) cache?.lose()
    group.watch({ failed: () => cache?.lose() })
    if (word === null || group.failure !== null || word === this.#wordOf(group.log)) return
    // A log whose states cannot be stored fails by itself; without its word it is not covered.
    this.#world.turn.putState(group.log, stateKind.cacheWord, Buffer.from(word), () => {})
  }

  /** What a replica has claimed of the page cache is synced; that it may have forgotten some of it is on its way to the disk by now. */
  #untilDurable(group: Group, claims: CacheClaims): void {
    if (group.failure !== null || !hasClaimedCache(this.#options.logs, group.log)) return
    this.#world.turn.atEnd(() => void claims.settle().catch(() => {}))
  }

  /** Timeouts follow the number of groups, and how far behind the node is. */
  #adapt(lateMs: number, nowMs: number): void {
    this.#lag.note(lateMs, nowMs)
    const before = this.#configs.slackMs
    this.#configs.adapt(this.#groups.size, this.#lag.slackMs(nowMs))
    const { slackMs } = this.#configs
    if (slackMs !== before) this.#world.transport.expect?.(slackMs)
  }
}

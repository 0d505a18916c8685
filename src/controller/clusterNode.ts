import { EngineError, toEngineError } from '../model/errors.ts'
import type { Logger } from '../model/logger.ts'
import { randomUuid } from '../model/uuid.ts'
import type { Voter } from '../raft.ts'
import type { HostTimeouts } from '../replica/groupTypes.ts'
import { MachineRunner } from '../replica/machineRunner.ts'
import { GroupCalls } from '../replica/nodes/groupCalls.ts'
import { callVoters } from '../replica/nodes/membership.ts'
import { inOrder, metadataTopic, type NodeBase, openNodeBase } from '../replica/nodes/nodeBase.ts'
import { CallKind, type CallRequest, type CallResponse } from '../replica/nodes/nodeCalls.ts'
import type { GroupObserver } from '../replica/observer.ts'
import type { Runtime } from '../runtime/runtime.ts'
import { tellIfSlow } from '../runtime/tellIfSlow.ts'
import type { LogDirectoryOptions } from '../segment/logDirectoryOptions.ts'
import { ActiveController } from './activeController.ts'
import { askFirst } from './askFirst.ts'
import { BrokerKeeper } from './brokerKeeper.ts'
import { BrokerLifecycle } from './brokerLifecycle.ts'
import type { BatchLimits } from './changes.ts'
import type { ClusterConfig } from './clusterConfig.ts'
import { decodeValue, encodeValue } from './commandCodec.ts'
import { type ClusterPlace, findCluster } from './findCluster.ts'
import type { Endpoint } from './image.ts'
import { ImageMachine } from './imageMachine.ts'
import { isOfQuorum, metadataLogConfig } from './metadataLog.ts'
import { lookAfterPlaces } from './places.ts'
import { QuorumMetadata } from './quorumMetadata.ts'
import { describeQuorum, type QuorumState } from './quorumState.ts'
import { type Configs, checkBrokerDefaults } from './topicConfigs.ts'

/** What a node of a cluster is started with. */
export interface ClusterNodeOptions {
  readonly runtime: Runtime
  readonly logger: Logger
  readonly nodeId: number
  /** Null: what the directory says, or what follows from the voters. */
  readonly clusterId: string | null
  readonly config: ClusterConfig
  readonly defaults: Configs
  readonly logs: Omit<LogDirectoryOptions, 'nodeId' | 'clusterId' | 'logger'>
  /** Bytes of metadata after which a snapshot is taken, and records that stay in the log behind one. */
  readonly snapshotBytes?: number | undefined
  readonly keptRecords?: number | undefined
  readonly batchLimits?: Partial<BatchLimits> | undefined
  readonly timeouts?: HostTimeouts | undefined
  readonly maxFetchBytes?: number | undefined
  readonly observer?: GroupObserver | undefined
  /** The node cannot go on in this cluster. Called once. */
  lost(error: EngineError): void
}

const defaultSnapshotBytes = 4 << 20
const defaultKeptRecords = 10_000
const callTimeoutMs = 30_000
const askWhoTimeoutMs = 1000
const plaintext = 0

type Call = (request: CallRequest) => Promise<Partial<CallResponse>>

/**
 * One node of a cluster, controller, broker or both: its logs, its connections to the others, the host of all its replicas, and
 * the metadata that it follows. Clients and partitions are not its business.
 */
export class ClusterNode {
  readonly base: NodeBase
  readonly metadata: QuorumMetadata
  readonly runner: MachineRunner
  readonly incarnationId: string
  readonly #place: ClusterPlace
  readonly #options: ClusterNodeOptions
  readonly #active: ActiveController | null
  readonly #keeper: BrokerKeeper | null
  readonly #calls = new Map<number, Call>()
  readonly #background: Promise<unknown>[] = []
  #lifecycle: BrokerLifecycle | null = null
  #isClosed = false
  /** Why this node cannot go on; null while it can. */
  #objection: EngineError | null = null

  private constructor(options: ClusterNodeOptions, base: NodeBase, machine: ImageMachine, parts: Parts) {
    this.#options = options
    this.base = base
    this.metadata = parts.metadata
    this.runner = parts.runner
    this.#place = parts.place
    this.incarnationId = randomUuid(options.runtime.random)
    const { logger, runtime, config, nodeId } = options
    if (config.isController) {
      const keeper = new BrokerKeeper({
        clock: runtime.clock,
        logger,
        image: machine.image,
        active: () => this.#active!,
        sessionTimeoutMs: config.sessionTimeoutMs,
      })
      this.#keeper = keeper
      this.#active = new ActiveController({
        runtime,
        logger,
        group: base.metadata,
        machine,
        runner: parts.runner,
        context: () => ({ broker: this.metadata.defaults, elects: true }),
        batchLimits: options.batchLimits,
        activeChanged: (isActive) => keeper.activeChanged(isActive),
      })
      this.metadata.decideWith(keeper)
    } else {
      this.#keeper = null
      this.#active = null
    }
    this.answerCalls(CallKind.command, (request) => this.metadata.answer(request))
    this.answerCalls(CallKind.heartbeat, (request) => this.metadata.answerBeat(request))
    this.answerCalls(CallKind.describeQuorum, async () => ({
      payload: encodeValue(describeQuorum(base.metadata, nodeId, runtime.clock)),
    }))
    const { router } = base
    const { directoryId } = base.logs
    const calls = new GroupCalls({
      checksum: runtime.checksum,
      nodeId,
      clusterId: base.logs.clusterId,
      directoryId,
      metadata: base.metadata,
      find: (key) => base.host.groups.get(key) ?? null,
      isMeantToVote: (id) => config.voters.some((voter) => voter.id === id),
      directoryOf: (id) => machine.image.brokers.get(id)?.directories[0] ?? null,
      askWho: async (id) =>
        (await router.ask(id, { kind: CallKind.hello, directoryId }, askWhoTimeoutMs)).directoryId,
      other: (request) => this.#calls.get(request.kind)?.(request) ?? null,
    })
    base.requests.answerCalls((payload) => calls.answer(payload))
  }

  /**
   * Opens the directory and the metadata log, and listens for other nodes. Resolves whether the others are there or not. Rejects
   * with an `EngineError` whose message is one line that says what to do.
   */
  static async open(options: ClusterNodeOptions): Promise<ClusterNode> {
    const { runtime, logger, nodeId, config } = options
    checkBrokerDefaults(options.defaults)
    const opened: (() => Promise<unknown>)[] = []
    const directory = options.logs.directory
    const place = await findCluster({ ...options, directory })
    const { clusterId } = place
    let early: EngineError | null = null
    const changes: Changes = {
      changed: () => {},
      failed: (error) => {
        early = error
      },
    }
    try {
      const base = await openNodeBase(
        {
          runtime,
          logger,
          nodeId,
          clusterId,
          logs: options.logs,
          listenerName: config.nodeListener.name,
          listen: config.nodeListener.listen,
          advertise: config.nodeListener.advertised,
          membership: place.membership,
          metadataConfig: metadataLogConfig,
          callTimeoutMs,
          timeouts: options.timeouts,
          maxFetchBytes: options.maxFetchBytes,
          observer: options.observer,
          mustBeginAnew: (error) => changes.failed(error),
          askFirst: async (transport, { directoryId, logs }) => {
            const known = logs.get(`${metadataTopic}-0`)
            if (known !== undefined && (await isOfQuorum(runtime, known)) === false) throw ofOne(directory)
            await askFirst({
              runtime,
              nodeId,
              clusterId,
              directoryId,
              controllers: place.controllers,
              isNewVoter:
                config.isController &&
                !config.autoJoin &&
                config.voters.some(({ id }) => id === nodeId) &&
                known === undefined,
              call: (to, payload, timeoutMs) => transport.call(to, payload, timeoutMs),
            })
          },
        },
        opened,
      )
      const machine = new ImageMachine(clusterId, (delta) => changes.changed(delta))
      const runner = new MachineRunner(base.metadata, machine, {
        checksum: runtime.checksum,
        logger,
        name: 'the metadata log',
        kind: 'metadata',
        snapshotBytes: options.snapshotBytes ?? defaultSnapshotBytes,
        keptRecords: options.keptRecords ?? defaultKeptRecords,
        failed: (error) => changes.failed(error),
      })
      opened.unshift(() => runner.close())
      await runner.start()
      const metadata = new QuorumMetadata({
        runtime,
        logger,
        nodeId,
        group: base.metadata,
        runner,
        image: machine.image,
        router: base.router,
        defaults: options.defaults,
      })
      changes.changed = (delta) => metadata.changed(delta)
      const node = new ClusterNode(options, base, machine, { metadata, runner, place })
      changes.failed = (error) => node.#fail(error)
      node.#begin()
      if (early !== null) node.#fail(early)
      return node
    } catch (error) {
      await inOrder(opened).catch(() => {})
      throw error
    }
  }

  get nodeId(): number {
    return this.base.nodeId
  }

  get clusterId(): string {
    return this.base.logs.clusterId
  }

  /** Whether this node is the active controller. */
  get isActive(): boolean {
    return this.#active?.isActive ?? false
  }

  /** The epoch of this broker's registration, -1 while it has none. */
  get brokerEpoch(): number {
    return this.#lifecycle?.epoch ?? -1
  }

  /** Has calls of `kind` of other nodes answered by `answer`. */
  answerCalls(kind: number, answer: Call): void {
    this.#calls.set(kind, answer)
  }

  /**
   * Registers as a broker whose clients come to `endpoints`; resolves once they may. See `BrokerLifecycle.join` for what it rejects
   * with.
   */
  async join(endpoints: readonly Endpoint[]): Promise<void> {
    const { runtime, logger, config, lost } = this.#options
    const { base, runner, metadata } = this
    const own = base.endpoints.map((endpoint) => ({ ...endpoint, securityProtocol: plaintext }))
    this.#lifecycle = new BrokerLifecycle({
      clock: runtime.clock,
      logger,
      metadata,
      runner,
      router: base.router,
      registration: {
        brokerId: base.nodeId,
        incarnationId: this.incarnationId,
        endpoints: [...endpoints, ...own],
        rack: config.rack,
        directories: [base.logs.directoryId],
      },
      heartbeatIntervalMs: config.heartbeatIntervalMs,
      sessionTimeoutMs: config.sessionTimeoutMs,
      objection: () => this.#objection,
      lost,
    })
    await this.#lifecycle.join()
  }

  /** How the quorum is doing, as its leader knows. Rejects with `leaderNotAvailable` where nobody leads in time. */
  describeQuorum(): Promise<QuorumState> {
    const { metadata: group, router, nodeId } = this.base
    return router.run({
      group,
      name: 'the metadata log',
      repeatable: true,
      local: async () => describeQuorum(group, nodeId, this.#options.runtime.clock),
      request: { kind: CallKind.describeQuorum },
      result: ({ payload }) => decodeValue<QuorumState>(payload),
    })
  }

  /**
   * Makes a controller that fetches already a voter, or takes the vote from one; resolves when that is committed. Rejects with
   * `duplicateVoter`, `voterNotFound`, `invalidRequest`, `requestTimedOut`.
   */
  async changeVoter(change: 'add' | 'remove', voter: Voter): Promise<void> {
    const { metadata, router, transport } = this.base
    if (voter.endpoints.length > 0) transport.know(voter.id, voter.endpoints)
    await callVoters({ metadata, router }, change, voter)
  }

  /** Tells the cluster that this broker is about to go; within `timeoutMs`, heard or not. */
  async beginShutdown(timeoutMs: number): Promise<void> {
    await this.#lifecycle?.beginShutdown(timeoutMs)
  }

  /** Says good-bye, hands leadership over, leaves every group, closes the logs. */
  async close(): Promise<void> {
    if (this.#isClosed) return
    const { base, runner } = this
    const named = tellIfSlow(this.#options.runtime.clock, this.#options.logger)
    await inOrder([
      () => named('the good-bye', async () => this.#lifecycle?.close(goodByeMs)),
      () =>
        named('tasks of the node', async () => {
          this.#isClosed = true
          base.router.close(new EngineError('closed', 'the node has been closed'))
          this.#keeper?.close()
          await Promise.all(this.#background)
        }),
      () => named('the replicas', () => base.host.close()),
      () => named('the controller', async () => this.#active?.close()),
      () => named('the metadata', () => runner.close()),
      () => named('the logs', () => base.logs.close()),
    ])
  }

  #begin(): void {
    const { config, logger } = this.#options
    const { base } = this
    this.metadata.onChange(({ brokersChanged }) => this.#learn(brokersChanged))
    this.#learn([...this.metadata.image.brokers.keys()])
    const tasks = lookAfterPlaces({
      base,
      config,
      logger,
      controllers: this.#place.controllers,
      isClosed: () => this.#isClosed || this.#objection !== null,
      fail: (error) => this.#fail(error),
    })
    for (const task of tasks) {
      this.#background.push(
        task.catch((error) => logger.error('a task of the node has failed', { error: String(error) })),
      )
    }
    base.metadata.watch({
      failed: (error) => this.#fail(toEngineError(error, 'diskFailed', 'the metadata log failed')),
    })
  }

  /** Where other nodes are. */
  #learn(brokers: readonly number[]): void {
    const { config, nodeId } = this.#options
    for (const id of brokers) {
      const endpoints = this.metadata.image.brokers.get(id)?.endpoints ?? []
      const known = endpoints.filter(({ name }) => name === config.nodeListener.name)
      if (id !== nodeId && known.length > 0) {
        this.base.transport.know(
          id,
          known.map(({ name, host, port }) => ({ name, host, port })),
        )
      }
    }
  }

  #fail(error: EngineError): void {
    if (this.#objection !== null || this.#isClosed) return
    this.#objection = error
    // What waits for the others waits in vain, and so does what waits for their records to come here.
    this.base.router.close(error)
    void this.runner.close()
    this.#options.logger.error('the node cannot go on', { error: error.message })
    this.#options.lost(error)
  }
}

interface Parts {
  readonly place: ClusterPlace
  readonly metadata: QuorumMetadata
  readonly runner: MachineRunner
}

interface Changes {
  changed: (delta: Parameters<QuorumMetadata['changed']>[0]) => void
  failed: (error: EngineError) => void
}

function ofOne(directory: string): EngineError {
  return new EngineError(
    'directoryForeign',
    `${directory} belongs to a broker that stood alone: name another directory, or leave process.roles out`,
  )
}

/** How long a good-bye may take. */
const goodByeMs = 500

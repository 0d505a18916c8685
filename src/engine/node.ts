import { EngineError, toEngineError } from '../model/errors.ts'
import { metadataTopicId, type Uuid } from '../model/uuid.ts'
import type { Endpoint } from '../raft.ts'
import { greet } from '../replica/nodes/greeting.ts'
import { callVoters, helloTimeoutMs, lookAfterMembership, placeIn } from '../replica/nodes/membership.ts'
import type { NodeAddress } from '../replica/nodes/nodeAddress.ts'
import { inOrder, metadataTopic } from '../replica/nodes/nodeBase.ts'
import { CallKind } from '../replica/nodes/nodeCalls.ts'
import { groupKey } from '../replica/transport.ts'
import type { Address } from '../runtime/network.ts'
import { engineDefaults, type LogSettings, refuse, resolveSettings } from './logSettings.ts'
import { checkName } from './nodeCalled.ts'
import { type MachineHost, type MachineOptions, NodeMachine, type StateMachine } from './nodeMachine.ts'
import { checkNodeOptions, type NodeOptions } from './nodeOptions.ts'
import { NodePartition, type PartitionStatus, type ReachedPartition, statusOf } from './nodePartition.ts'
import { listenerName, type NodeParts, type NodeWorld, openParts } from './nodeParts.ts'
import { type PartitionSettings, splitPlacement } from './nodePlacement.ts'
import type { PartitionEntry } from './nodeRegistry.ts'

/** How a node is doing. */
export interface NodeStatus {
  readonly nodeId: number
  readonly clusterId: string
  readonly directoryId: Uuid
  readonly address: Address
  /** Who leads the metadata log: where partitions are made. -1 while nobody is known to. */
  readonly leaderId: number
  /** Ids of the nodes that vote. */
  readonly voters: readonly number[]
  readonly partitions: readonly PartitionStatus[]
}

/** One node of a cluster, in this process: a replica of every partition that has a place here. */
export class Node implements AsyncDisposable {
  readonly #parts: NodeParts
  readonly #partitions = new Map<
    string,
    { readonly handle: NodePartition; readonly settings: PartitionSettings }
  >()
  readonly #machines = new Map<string, NodeMachine<unknown>>()
  readonly #enders = new Set<() => void>()
  readonly #background: Promise<unknown>[] = []
  readonly #machineHost: MachineHost
  #ended: EngineError | null = null
  #closing: Promise<void> | null = null

  private constructor(parts: NodeParts) {
    this.#parts = parts
    const { world, router, logger, nodeId } = parts
    const { channels } = world
    this.#machineHost = {
      runtime: world.runtime,
      codecs: world.codecs,
      router,
      logger,
      open: (topic, partition) => this.#openPartition(topic, partition),
      ended: () => this.#ended,
      onEnd: (wake) => {
        this.#enders.add(wake)
        return () => this.#enders.delete(wake)
      },
      failed: (topic, error) => {
        logger.error('a state machine stands still', { topic, error: error.message })
        if (channels.alarm.hasSubscribers) {
          channels.alarm.publish({ nodeId, topic, partition: 0, code: error.code, detail: error.message })
        }
        this.#stopReplica(topic)
      },
      snapshotTaken: (topic, { endOffset }, error) => {
        if (!channels.snapshot.hasSubscribers) return
        channels.snapshot.publish({ nodeId, topic, partition: 0, origin: 'taken', endOffset, error })
      },
    }
  }

  /** Starts a node; `startNode` of the package says what it throws. */
  static async start(options: NodeOptions, world: NodeWorld): Promise<Node> {
    const checked = checkNodeOptions(options)
    const defaults: LogSettings = options.flush === undefined ? {} : { flush: options.flush }
    resolveSettings(defaults, engineDefaults)
    const node = new Node(await openParts(options, checked, defaults, world))
    node.#begin()
    return node
  }

  get nodeId(): number {
    return this.#parts.nodeId
  }

  /** The cluster's id: what a node needs that is to join it. */
  get clusterId(): string {
    return this.#parts.logs.clusterId
  }

  /** Where other nodes reach this one, with the real port. */
  get address(): Address {
    return this.#parts.address
  }

  /** How the node and its replicas are doing, as it sees the cluster. */
  get status(): NodeStatus {
    const { nodeId, logs, metadata, groups, address } = this.#parts
    return {
      nodeId,
      clusterId: logs.clusterId,
      directoryId: logs.directoryId,
      address,
      leaderId: metadata.leaderId,
      voters: metadata.voters.voters.voters.map(({ id }) => id),
      partitions: groups.open.map(({ group }) => statusOf(group.ref.topic, group.ref.partition, group)),
    }
  }

  /** Who leads a partition, as far as this node knows; -1 for nobody. Without a topic: the metadata log. */
  leaderOf(topic: string = metadataTopic, partition = 0): number {
    const { metadata, groups } = this.#parts
    if (topic === metadataTopic) return metadata.leaderId
    const entry = this.#parts.registry.get(topic, partition)
    return entry === null ? -1 : groups.leaderOf(entry)
  }

  /**
   * A partition, made on all nodes (or on those that `settings.replicas` names) if it is not there; asking again gives the same
   * one. Nothing waits here: calls of what is returned do, for a leader and for all voters of a new cluster to have been there
   * once. Settings are stored with the topic, `replicas` with the partition, and hold on every node; those that differ from the
   * stored ones are refused. Throws `invalidTopicException`, `invalidConfig`, `closed`.
   */
  partition(topic: string, partition = 0, settings: PartitionSettings = {}): NodePartition {
    this.#checkOpen()
    checkName(topic, partition)
    resolveSettings({ ...this.#parts.defaults, ...splitPlacement(settings).settings }, engineDefaults)
    const name = `${topic}-${partition}`
    const known = this.#partitions.get(name)
    if (known !== undefined) {
      if (!isSame(settings, known.settings)) refuse(`${name} was asked for with other settings`)
      return known.handle
    }
    const host = {
      ...this.#machineHost,
      open: (ofTopic: string, ofPartition: number) => this.#openPartition(ofTopic, ofPartition, settings),
    }
    const handle = new NodePartition(topic, partition, host)
    this.#partitions.set(name, { handle, settings })
    return handle
  }

  /**
   * Runs a state machine on a group of its own, under the same name on every node that runs it. Throws `invalidTopicException`,
   * `invalidConfig`, `duplicateResource` when one of this name runs here, `closed`.
   */
  stateMachine<Result>(
    name: string,
    machine: StateMachine<Result>,
    options: MachineOptions = {},
  ): NodeMachine<Result> {
    this.#checkOpen()
    checkName(name, 0)
    if (this.#machines.has(name)) {
      throw new EngineError('duplicateResource', `a state machine ${name} runs on this node already`)
    }
    const made = new NodeMachine<Result>(name, machine, options, this.#machineHost)
    this.#machines.set(name, made)
    return made
  }

  /**
   * Removes a topic with all its partitions and records, on every node; resolves once that is committed and done here. No error if
   * there is none. What was given for it rejects with `unknownTopicOrPartition` from then on; a partition or machine of the name
   * that is asked for later is a new one. Rejects with `leaderNotAvailable`, `invalidTopicException`, `closed`.
   */
  async removeTopic(topic: string): Promise<void> {
    this.#checkOpen()
    checkName(topic, 0)
    const { router, metadata, called, runner, groups } = this.#parts
    const offset = await router.run({
      group: metadata,
      name: 'the metadata log',
      repeatable: true,
      local: () => called.removeTopic(topic),
      request: { kind: CallKind.removeTopic, topic },
      result: ({ baseOffset }) => baseOffset,
    })
    await runner.whenApplied(offset)
    await groups.settled(topic)
  }

  /**
   * Makes a node that runs (with `join`, perhaps with `autoJoin: false`) a voter; resolves when that is committed. Every
   * partition follows, one after the other. Waits for it to catch up, and for other changes. Rejects with `brokerNotAvailable`
   * when it cannot be reached, `duplicateVoter`, `requestTimedOut` when it takes longer than `callTimeoutMs`.
   */
  async addVoter(node: NodeAddress): Promise<void> {
    this.#checkOpen()
    const { router, transport, nodeId } = this.#parts
    const endpoints: readonly Endpoint[] = [{ name: listenerName, host: node.host, port: node.port }]
    transport.know(node.id, endpoints)
    const { directoryId } =
      node.id === nodeId
        ? this.#parts.self
        : await router.ask(
            node.id,
            { kind: CallKind.hello, directoryId: this.#parts.self.directoryId },
            helloTimeoutMs,
          )
    await callVoters(this.#parts, 'add', {
      id: node.id,
      directoryId,
      endpoints,
      minVersion: 0,
      maxVersion: 1,
    })
  }

  /**
   * Takes a node out of the voters; resolves when that is committed. Partitions follow. The node goes on as an observer until it
   * is closed. Waits for other changes. Rejects with `voterNotFound`, `invalidRequest` for the last one, `requestTimedOut` as
   * `addVoter`.
   */
  async removeVoter(id: number): Promise<void> {
    this.#checkOpen()
    const voter = this.#parts.metadata.voters.voters.get(id)
    if (voter === null) throw new EngineError('voterNotFound', `node ${id} is no voter`)
    await callVoters(this.#parts, 'remove', voter)
  }

  /** Moves leadership of the metadata log to node `to`, or wherever it is best. That of partitions: `NodePartition`. */
  async transferLeadership(to = -1): Promise<void> {
    this.#checkOpen()
    const { metadata, router } = this.#parts
    await router.run({
      group: metadata,
      name: 'the metadata log',
      repeatable: false,
      local: () => (to === metadata.leaderId ? Promise.resolve() : metadata.transferLeadership(to)),
      request: {
        kind: CallKind.transferLeadership,
        topicId: metadataTopicId,
        topic: metadataTopic,
        json: JSON.stringify(to),
      },
      result: () => {},
    })
  }

  /**
   * Closes everything in order, at any moment: readers end, calls that wait reject with `closed`, leadership is handed over, and
   * the next start has nothing to recover. Calling it again gives the same promise.
   */
  close(): Promise<void> {
    this.#closing ??= this.#close()
    return this.#closing
  }

  /** `close`, for `await using`. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }

  #begin(): void {
    this.#parts.upkeep.start()
    this.#parts.groups.onRemoved = (entry) => this.#removed(entry)
    const { options, metadata, router, logger, self, transport, nodeId, host } = this.#parts
    const { membership } = options
    const others =
      membership.type === 'static' ? membership.voters : membership.type === 'join' ? membership.others : []
    for (const { id, host, port } of others) {
      if (id !== nodeId) transport.know(id, [{ name: listenerName, host, port }])
    }
    const isClosed = (): boolean => this.#ended !== null
    const autoJoin = membership.type === 'join' && options.autoJoin
    // One whose disk has begun anew takes its old place, however it was started.
    const place = this.#parts.beginning === null ? {} : { place: placeIn(this.#parts.logs, metadata) }
    this.#run(lookAfterMembership({ metadata, router, logger, self, autoJoin, ...place, isClosed }))
    const greeting = {
      directoryId: self.directoryId,
      router,
      logger,
      isClosed,
      isTwin: (error: EngineError) => {
        this.#fail(error)
        // It would be taken for the other one.
        void host.close().catch(() => {})
      },
    }
    for (const { id } of others) if (id !== nodeId) this.#run(greet(id, greeting))
    const { trouble } = this.#parts
    trouble.tell = (error) => this.#fail(error)
    if (trouble.error !== null) this.#fail(trouble.error)
    metadata.watch({
      failed: (error) => this.#fail(toEngineError(error, 'diskFailed', 'the metadata log failed')),
    })
  }

  #run(work: Promise<void>): void {
    this.#background.push(
      work.catch((error) => {
        this.#parts.logger.error('a task of the node has failed', { error: String(error) })
      }),
    )
  }

  async #openPartition(
    topic: string,
    partition: number,
    asked: PartitionSettings = {},
  ): Promise<ReachedPartition> {
    const { settings, placement } = splitPlacement(asked)
    const { registry, router, metadata, called, runner, groups } = this.#parts
    if (registry.get(topic, partition) === null) {
      const offset = await router.run({
        group: metadata,
        name: 'the metadata log',
        repeatable: true,
        local: () => called.createPartition(topic, partition, asked),
        request: { kind: CallKind.createPartition, topic, partition, json: JSON.stringify(asked) },
        result: ({ baseOffset }) => baseOffset,
      })
      await runner.whenApplied(offset)
    }
    const entry = registry.get(topic, partition)
    if (entry === null)
      throw new EngineError('unknownTopicOrPartition', `${topic}-${partition} has been removed`)
    if (!isSame(settings, entry.settings) && Object.keys(settings).length > 0) {
      refuse(`${topic} has other settings: ${JSON.stringify(entry.settings)}`)
    }
    if (placement !== null && String(placement) !== String(entry.placement)) {
      refuse(`${topic}-${partition} has its replicas on ${entry.placement ?? 'all voters'}`)
    }
    return groups.whenOpen(entry)
  }

  #removed({ topic, partition }: PartitionEntry): void {
    const name = `${topic}-${partition}`
    this.#partitions.get(name)?.handle.remove()
    this.#partitions.delete(name)
    if (partition !== 0) return
    void this.#machines.get(topic)?.close()
    this.#machines.delete(topic)
  }

  /** The machine on a replica stands still: others are to go on without it. */
  #stopReplica(topic: string): void {
    const { registry, groups } = this.#parts
    const entry = registry.get(topic, 0)
    if (entry !== null) void groups.get(groupKey(entry))?.group.close()
  }

  #fail(error: EngineError): void {
    if (this.#ended !== null) return
    this.#ended = error
    this.#parts.logger.error('the node stands still', { error: error.message })
    this.#parts.router.close(error)
    for (const wake of [...this.#enders]) wake()
  }

  async #close(): Promise<void> {
    const { router, runner, groups, host, logs, world } = this.#parts
    const closed = new EngineError('closed', 'the node has been closed')
    this.#ended = closed
    router.close(closed)
    for (const wake of [...this.#enders]) wake()
    await inOrder([
      () => Promise.all([this.#parts.upkeep.close(), ...this.#background]),
      () => runner.close(),
      () => groups.close(),
      () => Promise.all([...this.#machines.values()].map((machine) => machine.close())),
      () => host.close(),
      () => logs.close(),
      () => world.close(),
    ])
  }

  #checkOpen(): void {
    if (this.#ended !== null) throw this.#ended
  }
}

function isSame(a: PartitionSettings, b: PartitionSettings): boolean {
  const text = (settings: PartitionSettings): string => JSON.stringify(Object.entries(settings).sort())
  return text(a) === text(b)
}

import type { Logger } from '../model/logger.ts'
import { randomUuid } from '../model/uuid.ts'
import type { Group } from '../replica/group.ts'
import type { MachineRunner } from '../replica/machineRunner.ts'
import { CallKind, type CallRequest, type CallResponse } from '../replica/nodes/nodeCalls.ts'
import type { NodeRouter } from '../replica/nodes/nodeRouter.ts'
import { NotLeaderError } from '../replica/notLeader.ts'
import type { Runtime } from '../runtime/runtime.ts'
import { withinTime } from '../runtime/withinTime.ts'
import { type CommandOutcome, unknownOutcome } from './activeController.ts'
import type { BeatAnswer, BrokerKeeper, Heartbeat } from './brokerKeeper.ts'
import { decodeValue, encodeValue } from './commandCodec.ts'
import type {
  Command,
  CommandResults,
  ConfigChange,
  ConfigReplacement,
  NewTopic,
  Outcome,
  ProducerIdBlock,
  TopicGrowth,
  TopicReference,
} from './commands.ts'
import { type ConfigEntry, type ConfigQuery, describeConfigs } from './describeConfigs.ts'
import { type Election, electAll } from './elections.ts'
import type { MetadataDelta, MetadataImage } from './image.ts'
import type {
  ChangeOptions,
  ClusterMetadata,
  FeatureUpdate,
  MetadataListener,
  OngoingReassignment,
  PartitionState,
  Reassignment,
  TopicPartition,
} from './metadata.ts'
import { MetadataListeners } from './metadataListeners.ts'
import { ConfigSource, type Configs, LayeredConfigs, noConfigs } from './topicConfigs.ts'

/** What following the metadata needs of the node. */
export interface QuorumMetadataOptions {
  readonly runtime: Runtime
  readonly logger: Logger
  readonly nodeId: number
  readonly group: Group
  readonly runner: MachineRunner
  readonly image: MetadataImage
  readonly router: NodeRouter
  /** The broker's static configs. */
  readonly defaults: Configs
}

/** What travels with a command to the active controller. */
interface Sent {
  readonly command: Command
  readonly validateOnly: boolean
}

const forMessages = 'the metadata log'

/**
 * The metadata of a cluster on one of its nodes: follows what is committed, and takes changes to the active controller, wherever
 * that is. A change of this node is answered once this node's image has it and its listeners were told. A change that may or may
 * not have been made rejects with `requestTimedOut`; where nobody decides in time, with `leaderNotAvailable`.
 */
export class QuorumMetadata implements ClusterMetadata {
  readonly #options: QuorumMetadataOptions
  readonly #listeners: MetadataListeners
  /** Ends when the listeners were told of all changes so far. */
  #told: Promise<void> = Promise.resolve()
  #keeper: BrokerKeeper | null = null
  #defaults: Configs | null = null

  constructor(options: QuorumMetadataOptions) {
    this.#options = options
    this.#listeners = new MetadataListeners(options.logger)
  }

  get image(): MetadataImage {
    return this.#options.image
  }

  get defaults(): Configs {
    this.#defaults ??= this.#layeredDefaults()
    return this.#defaults
  }

  get controllerId(): number {
    return this.#options.group.leaderId
  }

  /** Decides on this node, when it leads. */
  decideWith(keeper: BrokerKeeper): void {
    this.#keeper = keeper
  }

  onChange(listener: MetadataListener): void {
    this.#listeners.add(listener)
  }

  /** The image has changed. */
  changed(delta: MetadataDelta): void {
    if (delta.brokerConfigsChanged) this.#defaults = null
    if (!this.#listeners.isEmpty) this.#told = this.#told.then(() => this.#listeners.tell(delta))
  }

  /** Carries out what another node has sent, if this one decides. */
  async answer({ payload }: CallRequest): Promise<Partial<CallResponse>> {
    const { command, validateOnly } = decodeValue<Sent>(payload)
    const { result, offset } = await this.#decide(command, validateOnly)
    return { payload: encodeValue(result), baseOffset: offset }
  }

  createTopics(
    topics: readonly NewTopic[],
    options: ChangeOptions = {},
  ): Promise<CommandResults['createTopics']> {
    const topicIds = topics.map(() => randomUuid(this.#options.runtime.random))
    const requester = options.requester ?? 'client'
    return this.run({ type: 'createTopics', topics, topicIds, requester }, options)
  }

  deleteTopics(
    topics: readonly TopicReference[],
    options: ChangeOptions = {},
  ): Promise<CommandResults['deleteTopics']> {
    return this.run({ type: 'deleteTopics', topics, requester: options.requester ?? 'client' }, options)
  }

  createPartitions(
    topics: readonly TopicGrowth[],
    options: ChangeOptions = {},
  ): Promise<CommandResults['createPartitions']> {
    return this.run({ type: 'createPartitions', topics, requester: options.requester ?? 'client' }, options)
  }

  alterConfigs(
    resources: readonly ConfigReplacement[],
    options: ChangeOptions = {},
  ): Promise<CommandResults['alterConfigs']> {
    return this.run({ type: 'alterConfigs', resources }, options)
  }

  incrementalAlterConfigs(
    resources: readonly ConfigChange[],
    options: ChangeOptions = {},
  ): Promise<CommandResults['incrementalAlterConfigs']> {
    return this.run({ type: 'incrementalAlterConfigs', resources }, options)
  }

  describeConfigs(query: ConfigQuery): readonly ConfigEntry[] {
    return describeConfigs(this.image, query, { broker: this.defaults, nodeId: this.#options.nodeId })
  }

  allocateProducerIds(): Promise<ProducerIdBlock> {
    // A block that nobody gets to know of is lost, and does no harm.
    return this.run({ type: 'allocateProducerIds', brokerId: this.#options.nodeId }, {}, true)
  }

  async reportPartitions(states: readonly PartitionState[]): Promise<void> {
    if (states.length > 0) await this.run({ type: 'reportPartitions', states }, {}, true)
  }

  alterPartitionReassignments(changes: readonly Reassignment[]): Promise<readonly Outcome<null>[]> {
    return this.run({ type: 'alterPartitionReassignments', changes })
  }

  listPartitionReassignments(partitions: readonly TopicPartition[] | null): readonly OngoingReassignment[] {
    const found: OngoingReassignment[] = []
    for (const { topic, partition: index } of partitions ?? this.#allPartitions()) {
      const known = this.image.topics.get(topic)?.partitions[index]
      if (known === undefined) continue
      const { partition, replicas, addingReplicas: adding, removingReplicas: removing } = known
      if (adding.length + removing.length > 0) found.push({ topic, partition, replicas, adding, removing })
    }
    return found
  }

  electLeaders(
    election: Election,
    partitions: readonly TopicPartition[] | null,
    timeoutMs: number,
  ): Promise<readonly (TopicPartition & { readonly outcome: Outcome<null> })[]> {
    const { router, image, runtime } = this.#options
    return electAll(election, { router, image, clock: runtime.clock }, partitions, timeoutMs)
  }

  updateFeatures(
    updates: readonly FeatureUpdate[],
    options: ChangeOptions = {},
  ): Promise<readonly Outcome<null>[]> {
    return this.run({ type: 'updateFeatures', updates }, options)
  }

  async unregisterBroker(brokerId: number): Promise<void> {
    await this.run({ type: 'unregisterBroker', brokerId })
  }

  /** Has the active controller carry out `command`; `repeatable` says that it does no harm to be done twice. */
  async run<C extends Command>(
    command: C,
    { validateOnly = false }: ChangeOptions = {},
    repeatable = false,
  ): Promise<CommandResults[C['type']]> {
    const { router, group, runner } = this.#options
    let outcome: CommandOutcome<C>
    try {
      outcome = await router.run({
        group,
        name: forMessages,
        repeatable,
        local: () => this.#decide(command, validateOnly),
        request: { kind: CallKind.command, payload: encodeValue({ command, validateOnly } satisfies Sent) },
        result: ({ payload, baseOffset: offset }) => ({ result: decodeValue(payload), offset }),
      })
    } catch (error) {
      throw unknownOutcome(error)
    }
    await runner.whenApplied(outcome.offset)
    await this.#told
    return outcome.result
  }

  /**
   * Tells the active controller that this broker lives. Rejects with what it says, and with a retriable error, after `timeoutMs`
   * at the latest: also where this node is the active controller, of which the others may be gone.
   */
  heartbeat(beat: Heartbeat, timeoutMs: number): Promise<BeatAnswer> {
    const { router, group, nodeId, runtime } = this.#options
    const { leaderId } = group
    if (leaderId === nodeId) return withinTime(runtime.clock, timeoutMs, this.#beat(beat))
    if (leaderId < 0) return Promise.reject(new NotLeaderError(-1))
    const request = { kind: CallKind.heartbeat, payload: encodeValue(beat) }
    return router.ask(leaderId, request, timeoutMs).then(({ payload }) => decodeValue<BeatAnswer>(payload))
  }

  /** Answers a heartbeat of another node. */
  async answerBeat({ payload }: CallRequest): Promise<Partial<CallResponse>> {
    return { payload: encodeValue(await this.#beat(decodeValue<Heartbeat>(payload))) }
  }

  /** Resolves once the listeners were told of all that the image has by now. */
  async settled(): Promise<void> {
    await this.#told
  }

  #allPartitions(): readonly TopicPartition[] {
    return [...this.image.topics.values()].flatMap(({ name: topic, partitions }) =>
      partitions.map(({ partition }) => ({ topic, partition })),
    )
  }

  #layeredDefaults(): Configs {
    const { nodeId, defaults, image } = this.#options
    const of = (name: string): Configs => image.brokerConfigs.get(name) ?? noConfigs
    return new LayeredConfigs([
      { source: ConfigSource.dynamicBroker, configs: of(String(nodeId)) },
      { source: ConfigSource.dynamicDefaultBroker, configs: of('') },
      { source: ConfigSource.staticBroker, configs: defaults },
    ])
  }

  async #beat(beat: Heartbeat): Promise<BeatAnswer> {
    if (this.#keeper === null) throw new NotLeaderError(this.controllerId)
    return this.#keeper.heartbeat(beat)
  }

  #decide<C extends Command>(command: C, validateOnly: boolean): Promise<CommandOutcome<C>> {
    if (this.#keeper === null) return Promise.reject(new NotLeaderError(this.controllerId))
    return this.#keeper.run(command, validateOnly)
  }
}

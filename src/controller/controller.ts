import { type EngineError, toEngineError } from '../model/errors.ts'
import type { Logger } from '../model/logger.ts'
import { randomUuid, type Uuid } from '../model/uuid.ts'
import type { MetadataRecord } from '../protocol/metadataRecords/metadataRecord.ts'
import type { Runtime } from '../runtime/runtime.ts'
import type { Log } from '../segment/log.ts'
import type {
  Command,
  CommandResults,
  ConfigChange,
  ConfigReplacement,
  NewTopic,
  ProducerIdBlock,
  TopicGrowth,
  TopicReference,
} from './commands.ts'
import { decide } from './decide.ts'
import { bootstrapFeatures } from './decideCluster.ts'
import { DeltaBuilder } from './delta.ts'
import { type ConfigEntry, type ConfigQuery, describeConfigs } from './describeConfigs.ts'
import { type Endpoint, type MetadataDelta, type MetadataImage, MutableImage } from './image.ts'
import type { ChangeOptions, Metadata, MetadataListener } from './metadata.ts'
import { MetadataListeners } from './metadataListeners.ts'
import { MetadataLog, metadataLogConfig } from './metadataLog.ts'
import { replay } from './replay.ts'
import { type Configs, checkBrokerDefaults, noConfigs } from './topicConfigs.ts'

/** What the controller has to know about the node that it runs on. */
export interface ControllerOptions {
  readonly nodeId: number
  readonly clusterId: string
  readonly logger: Logger
  /** The broker's static configs by broker name: `num.partitions`, `log.retention.ms`, … Checked by `open`. */
  readonly defaults?: Configs
  /** Where the broker listens; if left out, a known registration stays as it is. */
  readonly endpoints?: readonly Endpoint[]
  readonly rack?: string | null
  /** The id of the broker's data directory. */
  readonly directoryId?: Uuid
  /** Lowers the bounds of a metadata batch, for tests. */
  readonly batchLimits?: { readonly batchBytes?: number; readonly batchRecords?: number }
}

/**
 * Keeps the cluster's metadata: commands become records in the metadata log, and once these are durable they are
 * applied to the image and told to the listeners, in order. One command at a time, each decided upon what all
 * before it did. Changes for several things resolve with one outcome each, in their order: what was done, or the
 * `EngineError` that says why not. A change that finds no room on the disk rejects with `diskFull` and is void; once
 * any other write of the log has failed, every method rejects: what is in it is unknown until it is opened again.
 */
export class Controller implements Metadata {
  readonly #metadataLog: MetadataLog
  readonly #image: MutableImage
  readonly #options: ControllerOptions
  readonly #random: Runtime['random']
  readonly #defaults: Configs
  readonly #listeners: MetadataListeners
  /** Ends when the last command given has. */
  #tail: Promise<unknown> = Promise.resolve()
  #failed: EngineError | null = null
  /** Ids of topics whose deletion was replayed. */
  #deletedTopics = new Set<Uuid>()

  private constructor(runtime: Runtime, log: Log, options: ControllerOptions) {
    this.#metadataLog = new MetadataLog(runtime, log, options.batchLimits)
    this.#image = new MutableImage(options.clusterId)
    this.#options = options
    this.#listeners = new MetadataListeners(options.logger)
    this.#random = runtime.random
    this.#defaults = options.defaults ?? noConfigs
  }

  /**
   * Replays `log`, which is `__cluster_metadata-0`, and registers this broker if it is new or says something new;
   * an empty log becomes a new cluster. Sets the log's config, so that nothing of it is ever deleted or late.
   * Throws `invalidConfig` for defaults that no topic could have, `corruptLog` and `unsupportedFormat` for a log
   * that cannot be replayed.
   */
  static async open(runtime: Runtime, log: Log, options: ControllerOptions): Promise<Controller> {
    checkBrokerDefaults(options.defaults ?? noConfigs)
    log.updateConfig(metadataLogConfig)
    const controller = new Controller(runtime, log, options)
    await controller.#replay()
    await controller.#announce()
    return controller
  }

  /** The metadata as of the last change; a live view. */
  get image(): MetadataImage {
    return this.#image
  }

  /** This node. */
  get controllerId(): number {
    return this.#options.nodeId
  }

  /**
   * The ids of all topics that had been deleted when the log was opened: what is left of these may be removed. A
   * second call returns none, so that they are not kept for ever.
   */
  takeDeletedTopics(): ReadonlySet<Uuid> {
    const taken = this.#deletedTopics
    this.#deletedTopics = new Set()
    return taken
  }

  /** Static broker configs, which give topic configs their defaults. */
  get defaults(): Configs {
    return this.#defaults
  }

  /**
   * Calls `listener` with every later change, after the listeners added before it. What there is already, it
   * reads from `image`. A listener that throws is reported to the logger; the change stands.
   */
  onChange(listener: MetadataListener): void {
    this.#listeners.add(listener)
  }

  /** Renews this broker's registration if `endpoints` are not the known ones. */
  async registerBroker(endpoints: readonly Endpoint[]): Promise<void> {
    await this.#run(this.#registerCommand(endpoints))
  }

  /** Creates topics with Kafka's rules for names, counts and configs. At most 10,000 partitions a call. */
  createTopics(
    topics: readonly NewTopic[],
    options: ChangeOptions = {},
  ): Promise<CommandResults['createTopics']> {
    const topicIds = topics.map(() => randomUuid(this.#random))
    const requester = options.requester ?? 'client'
    return this.#run({ type: 'createTopics', topics, topicIds, requester }, options)
  }

  /** Deletes topics, by name or by id. */
  deleteTopics(
    topics: readonly TopicReference[],
    options: ChangeOptions = {},
  ): Promise<CommandResults['deleteTopics']> {
    return this.#run({ type: 'deleteTopics', topics, requester: options.requester ?? 'client' }, options)
  }

  /** Adds partitions to topics; they never lose any. */
  createPartitions(
    topics: readonly TopicGrowth[],
    options: ChangeOptions = {},
  ): Promise<CommandResults['createPartitions']> {
    return this.#run({ type: 'createPartitions', topics, requester: options.requester ?? 'client' }, options)
  }

  /** Replaces all configs of topics: what is not named goes back to its default. */
  alterConfigs(
    resources: readonly ConfigReplacement[],
    options: ChangeOptions = {},
  ): Promise<CommandResults['alterConfigs']> {
    return this.#run({ type: 'alterConfigs', resources }, options)
  }

  /** Changes single configs of topics. */
  incrementalAlterConfigs(
    resources: readonly ConfigChange[],
    options: ChangeOptions = {},
  ): Promise<CommandResults['incrementalAlterConfigs']> {
    return this.#run({ type: 'incrementalAlterConfigs', resources }, options)
  }

  /** The configs of a topic or of this broker. Throws as `describeConfigs` of `describeConfigs.ts`. */
  describeConfigs(query: ConfigQuery): readonly ConfigEntry[] {
    return describeConfigs(this.#image, query, { broker: this.#defaults, nodeId: this.#options.nodeId })
  }

  /** A block of producer ids that nobody has had or will have. */
  allocateProducerIds(): Promise<ProducerIdBlock> {
    return this.#run({ type: 'allocateProducerIds', brokerId: this.#options.nodeId })
  }

  /** Resolves once every command given so far has been carried out. The log is the caller's to close. */
  async close(): Promise<void> {
    await this.#tail
  }

  async #replay(): Promise<void> {
    await this.#metadataLog.replay((records, nextOffset) => {
      for (const { id } of this.#apply(records, nextOffset)?.topicsDeleted ?? []) this.#deletedTopics.add(id)
    })
    this.#image.nextOffset = this.#metadataLog.nextOffset
  }

  async #announce(): Promise<void> {
    const { endpoints = this.#image.brokers.get(this.#options.nodeId)?.endpoints ?? [] } = this.#options
    const { registration } = this.#registerCommand(endpoints)
    if (this.#image.nextOffset === 0) {
      await this.#run({ type: 'bootstrap', features: bootstrapFeatures, registration })
    } else await this.#run({ type: 'registerBroker', registration })
  }

  #registerCommand(endpoints: readonly Endpoint[]): Extract<Command, { readonly type: 'registerBroker' }> {
    const { nodeId, rack = null, directoryId } = this.#options
    return {
      type: 'registerBroker',
      registration: {
        brokerId: nodeId,
        incarnationId: randomUuid(this.#random),
        endpoints,
        rack,
        directories: directoryId === undefined ? [] : [directoryId],
      },
    }
  }

  /** Carries out `command` after all commands before it, whatever became of those. */
  #run<C extends Command>(
    command: C,
    { validateOnly = false }: ChangeOptions = {},
  ): Promise<CommandResults[C['type']]> {
    const result = this.#tail.then(() => this.#carryOut(command, validateOnly))
    this.#tail = result.catch(() => {})
    return result
  }

  async #carryOut<C extends Command>(command: C, validateOnly: boolean): Promise<CommandResults[C['type']]> {
    if (this.#failed !== null) throw this.#failed
    const { records, result } = decide(this.#image, command, { broker: this.#defaults })
    if (validateOnly || records.length === 0) return result
    const { applied, nextOffset } = await this.#append(records)
    const delta = this.#apply(applied, nextOffset)
    if (delta !== null) await this.#listeners.tell(delta)
    return result
  }

  async #append(
    records: Parameters<MetadataLog['append']>[0],
  ): Promise<{ applied: readonly MetadataRecord[]; nextOffset: number }> {
    const startOffset = this.#metadataLog.nextOffset
    try {
      return await this.#metadataLog.append(records)
    } catch (cause) {
      // A log that found no room has taken the change back whole: the next one may find some.
      if (this.#metadataLog.isWritable && this.#metadataLog.nextOffset === startOffset) throw cause
      this.#failed = toEngineError(cause, 'kafkaStorageError', 'the metadata log cannot be written')
      this.#options.logger.error(
        'the metadata log cannot be written; metadata cannot change until a restart',
        {
          error: this.#failed.message,
        },
      )
      throw this.#failed
    }
  }

  /** Synchronous, so that nobody sees half a change. */
  #apply(records: readonly MetadataRecord[], nextOffset: number): MetadataDelta | null {
    const delta = new DeltaBuilder()
    for (const record of records) replay(this.#image, record, delta)
    this.#image.nextOffset = nextOffset
    return delta.build()
  }
}

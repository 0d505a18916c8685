import { Controller } from '../controller/controller.ts'
import type { Endpoint } from '../controller/image.ts'
import { metadataLogConfig } from '../controller/metadataLog.ts'
import { ProducerIds } from '../controller/producerIds.ts'
import { toLogConfig } from '../controller/topicConfigs.ts'
import { metadataTopicName } from '../controller/topicNames.ts'
import {
  defaultGroupCoordinatorConfig,
  type GroupCoordinatorConfig,
} from '../coordinator/coordinatorConfig.ts'
import { GroupCoordinator } from '../coordinator/groupCoordinator.ts'
import { LocalOffsets } from '../coordinator/logReign.ts'
import type { Logger } from '../model/logger.ts'
import { metadataTopicId } from '../model/uuid.ts'
import type { Address } from '../runtime/network.ts'
import { RateLimitedLog } from '../runtime/rateLimitedLog.ts'
import type { Runtime } from '../runtime/runtime.ts'
import { LogCleaner } from '../segment/compaction/logCleaner.ts'
import { LogDirectory } from '../segment/logDirectory.ts'
import { Scrubber } from '../segment/scrubber.ts'
import { Background } from './background.ts'
import type { BrokerConfig } from './brokerConfig.ts'
import { BrokerStats } from './brokerStats.ts'
import { DiskGate } from './diskGate.ts'
import { Dispatcher } from './dispatch.ts'
import { Limiter } from './limiter.ts'
import { LocalPartitions } from './localPartitions.ts'
import { SingleNode } from './nodes.ts'
import type { Partitions } from './partitions.ts'
import { Purgatory } from './purgatory.ts'
import { routes } from './routes.ts'
import { Server } from './server.ts'
import type { AdvertisedNode, Services } from './services.ts'
import { offsetsTopicName, TopicCreator } from './topicCreator.ts'

/** How long closing waits for requests in flight. */
const closeGraceMs = 5_000
const metadataLogName = `${metadataTopicName}-0`
const plaintext = 0
/** A log whose topic nobody has told loses nothing. */
const keep = { delete: false, compact: false } as const
/** Lookups by time that run at once, over all connections. */
const maxLookups = 8

/** What a broker may be given beyond its settings. */
export interface BrokerOptions {
  /**
   * Decompresses the body of a batch whose attributes name `codec`, within a bound of its own. Only for lookups by
   * time, which without it are exact to the batch only.
   */
  readonly decompress?: (codec: number, body: Uint8Array) => Uint8Array
}

/** A running broker: one node that keeps its own metadata and leads every partition. */
export class Broker {
  /** Where it listens, with the real port. */
  readonly address: Address
  readonly clusterId: string
  /** What it has done and is doing. */
  readonly stats: BrokerStats
  readonly #services: Services
  readonly #controller: Controller
  readonly #server: Server
  readonly #background: Background
  readonly #cleaner: LogCleaner
  readonly #scrubber: Scrubber

  private constructor(
    address: Address,
    services: Services,
    controller: Controller,
    server: Server,
    background: Background,
    cleaner: LogCleaner,
    scrubber: Scrubber,
    stats: BrokerStats,
  ) {
    this.address = address
    this.stats = stats
    this.clusterId = services.controller.image.clusterId
    this.#services = services
    this.#controller = controller
    this.#server = server
    this.#background = background
    this.#cleaner = cleaner
    this.#scrubber = scrubber
  }

  /**
   * Opens the data directory, recovering what a crash left behind, and listens. The runtime stays the caller's.
   * Rejects with an `EngineError` whose message is one line that says what to do: `directoryLocked`,
   * `directoryForeign`, `addressInUse`, `permissionDenied`, `diskFull`, `corruptLog`, …
   */
  static async start(
    runtime: Runtime,
    config: BrokerConfig,
    logger: Logger,
    options: BrokerOptions = {},
  ): Promise<Broker> {
    for (const warning of config.warnings) logger.warn(warning)
    const directory = await LogDirectory.open(runtime, {
      directory: config.directory,
      logger,
      nodeId: config.nodeId,
      ...(options.decompress === undefined ? {} : { decompress: options.decompress }),
      ...(config.journalDirectory === null ? {} : { journalDirectory: config.journalDirectory }),
      journalBytes: config.number('cordwood.journal.bytes'),
      ...(config.clusterId === null ? {} : { clusterId: config.clusterId }),
      // What a log may lose its topic decides, once it is known whose it is; a log without a topic loses nothing.
      configFor: (topic) =>
        topic === metadataTopicName
          ? metadataLogConfig
          : {
              ...toLogConfig(new Map(), config.statics),
              retentionMs: -1,
              retentionBytes: -1,
              cleanupPolicy: keep,
            },
    })
    try {
      return await Broker.#startOn(runtime, config, logger, directory)
    } catch (error) {
      await directory.close().catch(() => {})
      throw error
    }
  }

  static async #startOn(
    runtime: Runtime,
    config: BrokerConfig,
    logger: Logger,
    directory: LogDirectory,
  ): Promise<Broker> {
    const { clusterId, directoryId } = directory
    const metadataLog =
      directory.logs.get(metadataLogName) ??
      (await directory.createLog(metadataTopicName, 0, metadataTopicId, metadataLogConfig))
    const { nodeId, statics: defaults } = config
    const controller = await Controller.open(runtime, metadataLog, {
      nodeId,
      clusterId,
      logger,
      defaults,
      directoryId,
    })
    const partitions: Partitions = new LocalPartitions({
      directory,
      image: controller.image,
      defaults,
      logger,
      topicsDeleted: (names) => coordinator.onTopicsDeleted(names),
    })
    const coordinator = new GroupCoordinator(runtime, {
      logger,
      config: groupConfig(config),
      offsets: new LocalOffsets(runtime, {
        partitionCount: () =>
          controller.image.topics.get(offsetsTopicName)?.partitions.length ??
          config.number('offsets.topic.num.partitions'),
        log: (index) => partitions.find(offsetsTopicName, index)?.log ?? null,
      }),
    })
    await partitions.load(controller.takeDeletedTopics())
    controller.onChange((delta) => partitions.apply(delta))
    await coordinator.start()
    coordinator.forgetMissingTopics((topic) => controller.image.topics.has(topic))

    const log = new RateLimitedLog(runtime.clock, logger)
    const node: AdvertisedNode & { port: number } = {
      nodeId,
      host: config.advertised.host,
      port: config.advertised.port,
    }
    const nodes = new SingleNode(node)
    const services: Services = {
      runtime,
      config,
      logger,
      log,
      directory,
      controller,
      producerIds: new ProducerIds(() => controller.allocateProducerIds()),
      coordinator,
      partitions,
      purgatory: new Purgatory(runtime.clock),
      diskGate: new DiskGate([runtime.disk, directory.journalQueue], runtime.clock),
      lookups: new Limiter(maxLookups),
      topicCreator: new TopicCreator({ controller, config, logger, nodes, clock: runtime.clock }),
      node,
      nodes,
    }
    const dispatcher = new Dispatcher(services, routes)
    const { network, clock } = runtime
    const server = new Server({
      network,
      clock,
      logger,
      log,
      config,
      dispatch: (exchange) => dispatcher.dispatch(exchange),
    })
    let ready = (): void => {}
    const isReady = new Promise<void>((resolve) => {
      ready = resolve
    })
    let address: Address
    try {
      address = await server.listen(config.listen, isReady)
      if (node.port === 0) node.port = address.port
      await controller.registerBroker([endpoint(node)])
    } catch (error) {
      await server.close(0)
      ready()
      await coordinator.close()
      throw error
    }
    const background = new Background(clock, logger)
    background.every('retention', config.number('log.retention.check.interval.ms'), () =>
      directory.retention(),
    )
    const cleaner = new LogCleaner({
      clock,
      logger,
      logs: () => directory.logs,
      storeCleanedOffsets: () => directory.storeCleanedOffsets(),
      maxMapBytes: config.number('log.cleaner.dedupe.buffer.size'),
    })
    background.every('compaction', config.number('log.cleaner.backoff.ms'), () => cleaner.run())
    const scrubber = new Scrubber(runtime, {
      directory: directory.directory,
      logs: () => directory.logs,
      badRanges: directory.badRanges,
      logger,
      bytesPerSecond: config.number('cordwood.scrub.bytes.per.second'),
    })
    scrubber.start()
    background.every('checkpoint', config.number('log.flush.offset.checkpoint.interval.ms'), async () => {
      await partitions.retryMissing()
      await directory.checkpoint()
      scrubber.look()
    })
    ready()
    const stats = new BrokerStats({ services, dispatcher, server, scrubber })
    return new Broker(address, services, controller, server, background, cleaner, scrubber, stats)
  }

  /** What it is doing, for tests and figures. */
  get load(): BrokerLoad {
    return {
      connections: this.#server.connectionCount,
      requestsInFlight: this.#server.requestsInFlight,
      requestBytes: this.#server.pool.usedBytes,
      waitingFetches: this.#services.purgatory.size,
      waitingForDisk: this.#services.diskGate.waiting,
    }
  }

  /** Accepts no more, answers what is in flight (for up to 5 s), then closes every log cleanly. */
  async close(): Promise<void> {
    await this.#cleaner.close()
    await this.#scrubber.close()
    await this.#background.close()
    // Members that wait in a rebalance are sent away by the coordinator, and so answered.
    await Promise.all([this.#server.close(closeGraceMs), this.#services.coordinator.close()])
    await this.#controller.close()
    await this.#services.directory.close()
  }
}

/** Gauges of a broker. */
export interface BrokerLoad {
  readonly connections: number
  /** Requests that have no answer yet. */
  readonly requestsInFlight: number
  /** Request bytes in memory. */
  readonly requestBytes: number
  readonly waitingFetches: number
  /** Produce requests that wait for room in the disk's queue. */
  readonly waitingForDisk: number
}

function endpoint({ host, port }: AdvertisedNode): Endpoint {
  return { name: 'PLAINTEXT', host, port, securityProtocol: plaintext }
}

function groupConfig(config: BrokerConfig): GroupCoordinatorConfig {
  return {
    ...defaultGroupCoordinatorConfig,
    groupMinSessionTimeoutMs: config.number('group.min.session.timeout.ms'),
    groupMaxSessionTimeoutMs: config.number('group.max.session.timeout.ms'),
    groupInitialRebalanceDelayMs: config.number('group.initial.rebalance.delay.ms'),
    groupMaxSize: config.number('group.max.size'),
    offsetMetadataMaxBytes: config.number('offset.metadata.max.bytes'),
    offsetsRetentionMs: config.number('offsets.retention.minutes') * 60_000,
    offsetsRetentionCheckIntervalMs: config.number('offsets.retention.check.interval.ms'),
  }
}

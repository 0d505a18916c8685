import type { ClusterNode } from '../controller/clusterNode.ts'
import { metadataLogConfig } from '../controller/metadataLog.ts'
import { ProducerIds } from '../controller/producerIds.ts'
import { toLogConfig } from '../controller/topicConfigs.ts'
import { metadataTopicName } from '../controller/topicNames.ts'
import type { EngineError } from '../model/errors.ts'
import type { Logger } from '../model/logger.ts'
import { clusterApiKeys } from '../protocol/apiKeys.ts'
import type { GroupObserver } from '../replica/observer.ts'
import type { Address } from '../runtime/network.ts'
import { RateLimitedLog } from '../runtime/rateLimitedLog.ts'
import type { Runtime } from '../runtime/runtime.ts'
import { tellIfSlow } from '../runtime/tellIfSlow.ts'
import { LogCleaner } from '../segment/compaction/logCleaner.ts'
import { Scrubber } from '../segment/scrubber.ts'
import { Background } from './background.ts'
import type { BrokerConfig } from './brokerConfig.ts'
import type { BrokerCore } from './brokerCore.ts'
import { BrokerStats } from './brokerStats.ts'
import { openClusterCore } from './clusterCore.ts'
import { administerWith, controllerRoutes } from './controllerListener.ts'
import { DiskGate } from './diskGate.ts'
import { Dispatcher } from './dispatch.ts'
import { Limiter } from './limiter.ts'
import { Purgatory } from './purgatory.ts'
import { routes } from './routes.ts'
import { Server } from './server.ts'
import type { AdvertisedNode, Services } from './services.ts'
import { openStandalone } from './standaloneCore.ts'
import { TopicCreator } from './topicCreator.ts'

/** How long closing waits for requests in flight. */
const closeGraceMs = 5_000
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
  /** The broker has no place in its cluster any more; it is to be closed. */
  readonly lost?: (error: EngineError) => void
  /** Sees what the replicas of a cluster's broker do, for simulators. */
  readonly observer?: GroupObserver
}

/** A running broker: one that stands alone, with its own metadata and every partition, or one of a cluster. */
export class Broker {
  /** Where it listens, with the real port. */
  readonly address: Address
  readonly clusterId: string
  /** What it has done and is doing. */
  readonly stats: BrokerStats
  readonly #services: Services
  readonly #core: BrokerCore
  readonly #server: Server
  readonly #background: Background
  readonly #cleaner: LogCleaner
  readonly #scrubber: Scrubber

  private constructor(
    address: Address,
    services: Services,
    core: BrokerCore,
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
    this.#core = core
    this.#server = server
    this.#background = background
    this.#cleaner = cleaner
    this.#scrubber = scrubber
  }

  /**
   * Opens the data directory, recovering what a crash left behind, and listens. In a cluster this resolves once the controllers
   * have taken the broker up, however long that takes. The runtime stays the caller's. Rejects with an `EngineError` whose message is one line that says what to do: `directoryLocked`,
   * `directoryForeign`, `addressInUse`, `permissionDenied`, `diskFull`, `corruptLog`, …
   */
  static async start(
    runtime: Runtime,
    config: BrokerConfig,
    logger: Logger,
    options: BrokerOptions = {},
  ): Promise<Broker> {
    for (const warning of config.warnings) logger.warn(warning)
    const node: AdvertisedNode & { port: number } = {
      nodeId: config.nodeId,
      host: config.advertised.host,
      port: config.advertised.port,
    }
    const core = await openCore(runtime, config, logger, node, options)
    try {
      return await Broker.#startOn(runtime, config, logger, node, core)
    } catch (error) {
      await core.coordinator.close().catch(() => {})
      await core.close().catch(() => {})
      throw error
    }
  }

  static async #startOn(
    runtime: Runtime,
    config: BrokerConfig,
    logger: Logger,
    node: AdvertisedNode & { port: number },
    core: BrokerCore,
  ): Promise<Broker> {
    const { directory, metadata: controller, partitions, coordinator, nodes } = core
    const log = new RateLimitedLog(runtime.clock, logger)
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
      cluster: core.cluster,
    }
    const isAlone = core.cluster === null
    const dispatcher = new Dispatcher(
      services,
      isAlone ? routes.filter(({ api }) => !clusterApiKeys.has(api.key)) : routes,
    )
    core.cluster?.base.requests.answerAdministrators(
      administerWith(new Dispatcher(services, controllerRoutes)),
    )
    const { network, clock } = runtime
    const server = new Server({
      network,
      clock,
      logger,
      log,
      config,
      lend: runtime.disk.lend,
      dispatch: (exchange, stream) => dispatcher.dispatch(exchange, stream),
      begin: (exchange, arrivedBytes) => dispatcher.begin(exchange, arrivedBytes),
    })
    let ready = (): void => {}
    const isReady = new Promise<void>((resolve) => {
      ready = resolve
    })
    let address: Address
    try {
      if (config.cluster?.isBroker === false) address = core.cluster!.base.address
      else {
        address = await server.listen(config.listen, isReady)
        if (node.port === 0) node.port = address.port
        await core.announce()
      }
    } catch (error) {
      await server.close(0)
      ready()
      throw error
    }
    const background = new Background(clock, logger)
    background.every('retention', config.number('log.retention.check.interval.ms'), () =>
      partitions.applyRetention(),
    )
    const cleaner = new LogCleaner({
      clock,
      logger,
      logs: () => directory.logs,
      endOf: (name, of) => partitions.compactableEnd(name, of),
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
    return new Broker(address, services, core, server, background, cleaner, scrubber, stats)
  }

  /** The node of the cluster that this broker is; null for one that stands alone. */
  get cluster(): ClusterNode | null {
    return this.#core.cluster
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
    const { coordinator, logger, runtime } = this.#services
    const named = tellIfSlow(runtime.clock, logger)
    await named('other brokers, to lead its partitions', () => this.#core.handOver())
    await named('compaction', () => this.#cleaner.close())
    await named('the scrubber', () => this.#scrubber.close())
    await named('background tasks', () => this.#background.close())
    // Members that wait in a rebalance are sent away by the coordinator, and so answered.
    await Promise.all([
      named('answers to clients', () => this.#server.close(closeGraceMs)),
      named('the coordinator', () => coordinator.close()),
    ])
    await this.#core.close()
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

function openCore(
  runtime: Runtime,
  config: BrokerConfig,
  logger: Logger,
  node: AdvertisedNode,
  { decompress, lost, observer }: BrokerOptions,
): Promise<BrokerCore> {
  const logs = {
    directory: config.directory,
    ...(decompress === undefined ? {} : { decompress }),
    ...(config.journalDirectory === null ? {} : { journalDirectory: config.journalDirectory }),
    journalBytes: config.number('cordwood.journal.bytes'),
    // What a log may lose its topic decides, once it is known whose it is; a log without a topic loses nothing.
    configFor: (topic: string) =>
      topic === metadataTopicName
        ? metadataLogConfig
        : {
            ...toLogConfig(new Map(), config.statics),
            retentionMs: -1,
            retentionBytes: -1,
            cleanupPolicy: keep,
          },
  }
  const options = { runtime, config, logger, logs, node, ...(observer === undefined ? {} : { observer }) }
  if (config.cluster === null) return openStandalone(options)
  return openClusterCore(options, config.cluster, (error) => lost?.(error))
}

import { onTestFinished } from 'vitest'
import { Broker, type BrokerOptions } from '../../../src/broker/broker.ts'
import { brokerConfig } from '../../../src/broker/brokerConfig.ts'
import { createNodeRuntime } from '../../../src/runtime/node/nodeRuntime.ts'
import { freePorts } from '../../support/freePorts.ts'
import { temporaryDirectory } from '../../support/temporaryDirectory.ts'
import { LineLogger } from './fakes.ts'

/** One broker of a cluster, which can be closed and started again. */
export interface ClusterBroker {
  readonly nodeId: number
  readonly directory: string
  readonly logger: LineLogger
  readonly broker: Broker
  close(): Promise<void>
}

/** What a test may choose. */
export interface ClusterOptions {
  readonly settings?: Readonly<Record<string, string>>
  readonly settingsOf?: (nodeId: number) => Readonly<Record<string, string>>
  readonly options?: BrokerOptions
  /** `process.roles` of a node; both by default. */
  readonly rolesOf?: (nodeId: number) => string
  /** How many nodes may be started later that no voter list names. */
  readonly spare?: number
}

/** Brokers of one cluster on loopback, each with a directory of its own, that are closed when the test ends. */
export class RunningCluster {
  readonly brokers = new Map<number, ClusterBroker>()
  readonly #ports: readonly number[]
  /** Nodes that the cluster begins with. */
  readonly #count: number
  readonly #directories = new Map<number, string>()
  readonly #options: ClusterOptions
  readonly #closers: (() => Promise<void>)[] = []

  private constructor(ports: readonly number[], count: number, options: ClusterOptions) {
    this.#ports = ports
    this.#count = count
    this.#options = options
  }

  /** `count` brokers that are controllers, too, with the ids from 1 on. */
  static async start(count = 3, options: ClusterOptions = {}): Promise<RunningCluster> {
    const cluster = new RunningCluster(await freePorts(2 * (count + (options.spare ?? 0))), count, options)
    for (let id = 1; id <= count + (options.spare ?? 0); id++)
      cluster.#directories.set(id, temporaryDirectory())
    // All at once: the last one alone could not tell anybody any more that it goes.
    onTestFinished(async () => {
      await Promise.all(cluster.#closers.map((close) => close()))
    })
    await Promise.all(Array.from({ length: count }, (_, index) => cluster.startOne(index + 1)))
    return cluster
  }

  /** Where clients find the brokers, `HOST:PORT` each. */
  get bootstrap(): string[] {
    return this.#ports.slice(0, this.#count).map((port) => `127.0.0.1:${port}`)
  }

  /** The settings of node `nodeId`. */
  settings(nodeId: number): Record<string, string> {
    const half = this.#ports.length / 2
    const directory = this.#directories.get(nodeId)!
    const place = (id: number): string => `127.0.0.1:${this.#ports[half + id - 1]}`
    const { rolesOf = () => 'broker,controller' } = this.#options
    const roles = rolesOf(nodeId)
    const nodes = `CONTROLLER://${place(nodeId)}`
    const ids = Array.from({ length: this.#count }, (_, index) => index + 1).filter((id) =>
      rolesOf(id).includes('controller'),
    )
    return {
      'process.roles': roles,
      'node.id': String(nodeId),
      listeners: roles.includes('broker')
        ? `PLAINTEXT://127.0.0.1:${this.#ports[nodeId - 1]},${nodes}`
        : nodes,
      ...(nodeId <= this.#count
        ? { 'controller.quorum.voters': ids.map((id) => `${id}@${place(id)}`).join(',') }
        : { 'controller.quorum.bootstrap.servers': ids.map(place).join(',') }),
      'log.dirs': directory,
      'group.initial.rebalance.delay.ms': '0',
      'group.min.session.timeout.ms': '100',
      'offsets.topic.num.partitions': '3',
      'cordwood.journal.bytes': '50331648',
      ...this.#options.settings,
      ...this.#options.settingsOf?.(nodeId),
    }
  }

  /** Starts node `nodeId`, for the first time or again. */
  async startOne(nodeId: number): Promise<ClusterBroker> {
    const runtime = createNodeRuntime()
    const logger = new LineLogger()
    const settings = this.settings(nodeId)
    const config = brokerConfig(settings, { hostName: 'localhost' })
    let broker: Broker
    try {
      broker = await Broker.start(runtime, config, logger, this.#options.options)
    } catch (error) {
      await runtime.disk.close()
      throw error
    }
    let closing: Promise<void> | null = null
    const close = (): Promise<void> => {
      closing ??= broker.close().then(() => runtime.disk.close())
      return closing
    }
    this.#closers.push(close)
    const running = { nodeId, directory: settings['log.dirs']!, logger, broker, close }
    this.brokers.set(nodeId, running)
    return running
  }
}

import type { Broker } from '../../broker/broker.ts'
import type { BrokerConfig } from '../../broker/brokerConfig.ts'
import type { Address } from '../../runtime/network.ts'
import { parseMetricsAddress } from '../options.ts'
import { brokerFamilies } from './brokerFamilies.ts'
import type { Family } from './families.ts'
import type { MetricsServer, MetricsSource } from './metricsServer.ts'

/** What watches a broker over HTTP, if `cordwood.metrics.listener` says where; there before the broker is. */
export class Monitor implements MetricsSource {
  /** Null until it has started. */
  broker: Broker | null = null
  isStopping = false
  readonly #config: BrokerConfig
  #server: MetricsServer | null = null

  constructor(config: BrokerConfig) {
    this.#config = config
  }

  /** Where it listens; null where nothing is configured. */
  get address(): Address | null {
    return this.#server?.address ?? null
  }

  /** Listens, if it is to. Throws as `MetricsServer.listen`. */
  async listen(): Promise<void> {
    const text = this.#config.text('cordwood.metrics.listener')
    if (text === '') return
    const { MetricsServer } = await import('./metricsServer.ts')
    this.#server = await MetricsServer.listen(parseMetricsAddress(text), this)
  }

  async families(): Promise<readonly Family[] | null> {
    if (this.broker === null) return null
    const maxPartitions = this.#config.number('cordwood.metrics.partitions.max')
    return brokerFamilies(this.broker.stats, { maxPartitions })
  }

  notReady(): readonly string[] {
    if (this.isStopping) return ['the broker is stopping']
    if (this.broker === null) return ['the broker is starting']
    return this.broker.stats.notReady()
  }

  /** Ends every connection. */
  async close(): Promise<void> {
    await this.#server?.close()
  }
}

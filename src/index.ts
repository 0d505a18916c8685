import { hostname } from 'node:os'
import { Broker } from './broker/broker.ts'
import { brokerConfig } from './broker/brokerConfig.ts'
import { type Logger, silentLogger } from './model/logger.ts'
import type { Runtime } from './runtime/runtime.ts'
import { createRuntime } from './zerocopy/nativeRuntime.ts'

export type { Broker, BrokerLoad } from './broker/broker.ts'
export { CorruptionError, EngineError, type EngineErrorName } from './model/errors.ts'
export type { LogFields, Logger } from './model/logger.ts'
export type { Address } from './runtime/network.ts'

/** How to run a broker inside this process. */
export interface StartBrokerOptions {
  /** Settings under Kafka's names, such as `{ 'log.dirs': './data', listeners: 'PLAINTEXT://127.0.0.1:0' }`. */
  readonly settings?: Readonly<Record<string, string>>
  /** Says nothing by default. */
  readonly logger?: Logger
  /** The world to run in; by default the machine, natively where the addon loads. */
  readonly runtime?: Runtime
}

/**
 * A broker that speaks the Kafka protocol, listening once this resolves. `close()` it when done. Rejects with an
 * `EngineError` such as `invalidConfig`, `directoryLocked` or `addressInUse`, whose message says what to do.
 */
export async function startBroker(options: StartBrokerOptions = {}): Promise<Broker> {
  const { settings = {}, logger = silentLogger, runtime } = options
  const config = brokerConfig(settings, { hostName: hostname() })
  const world = runtime ?? createRuntime({ onFallback: (why) => logger.warn(why) })
  return Broker.start(world, config, logger)
}

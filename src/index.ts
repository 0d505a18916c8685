import { hostname } from 'node:os'
import { Broker, type BrokerLoad } from './broker/broker.ts'
import { brokerConfig } from './broker/brokerConfig.ts'
import { type Logger, silentLogger } from './model/logger.ts'
import type { Address } from './runtime/network.ts'
import type { Runtime } from './runtime/runtime.ts'
import { decompressWithin } from './zerocopy/codecs.ts'
import { createRuntime } from './zerocopy/nativeRuntime.ts'

export type { BrokerLoad } from './broker/broker.ts'
export { CorruptionError, EngineError, type EngineErrorName } from './model/errors.ts'
export type { LogFields, Logger } from './model/logger.ts'
export type { Address } from './runtime/network.ts'

/** The largest body that a lookup by time decompresses, in the thread that serves everybody. */
const maxLookupBytes = 32 * 1024 * 1024

/** How to run a broker inside this process. */
export interface StartBrokerOptions {
  /** Settings under Kafka's names, such as `{ 'log.dirs': './data', listeners: 'PLAINTEXT://127.0.0.1:0' }`. */
  readonly settings?: Readonly<Record<string, string>>
  /** Says nothing by default. */
  readonly logger?: Logger
  /** The world to run in; by default the machine, natively where the addon loads. */
  readonly runtime?: Runtime
}

/** A broker inside this process. */
export interface RunningBroker {
  /** Where it listens, with the real port. */
  readonly address: Address
  readonly clusterId: string
  /** What it is doing at the moment. */
  readonly load: BrokerLoad
  /** Answers what is in flight, then closes everything in order. */
  close(): Promise<void>
}

/**
 * A broker that speaks the Kafka protocol, listening once this resolves. `close()` it when done. Rejects with an
 * `EngineError` such as `invalidConfig`, `directoryLocked` or `addressInUse`, whose message says what to do.
 */
export async function startBroker(options: StartBrokerOptions = {}): Promise<RunningBroker> {
  const { settings = {}, logger = silentLogger, runtime } = options
  const config = brokerConfig(settings, { hostName: hostname() })
  const world = runtime ?? createRuntime({ onFallback: (why) => logger.warn(why) })
  const closeWorld = async (): Promise<void> => {
    if (runtime !== undefined) return
    await world.compute.close()
    await world.disk.close()
  }
  try {
    const broker = await Broker.start(world, config, logger, { decompress: decompressWithin(maxLookupBytes) })
    return {
      address: broker.address,
      clusterId: broker.clusterId,
      get load() {
        return broker.load
      },
      close: () => broker.close().finally(closeWorld),
    }
  } catch (error) {
    await closeWorld()
    throw error
  }
}

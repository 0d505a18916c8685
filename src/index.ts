import { channel } from 'node:diagnostics_channel'
import { hostname } from 'node:os'
import { resolve } from 'node:path'
import type { BrokerLoad } from './broker/broker.ts'
import { type EncodeOptions, encodeReady } from './engine/encodeInput.ts'
import { Engine, type EngineOptions } from './engine/engine.ts'
import type { EngineChannels } from './engine/events.ts'
import type { RecordInput } from './engine/logRecord.ts'
import { Node } from './engine/node.ts'
import type { NodeChannels } from './engine/nodeEvents.ts'
import type { NodeOptions } from './engine/nodeOptions.ts'
import { EngineError } from './model/errors.ts'
import type { FlushPolicy } from './model/flushPolicy.ts'
import { type Logger, silentLogger } from './model/logger.ts'
import type { Address } from './runtime/network.ts'
import { nodeClock } from './runtime/node/clock.ts'
import { crc32c } from './runtime/node/crc32c.ts'
import type { Runtime } from './runtime/runtime.ts'
import { batchCodecs, decompressWithin } from './zerocopy/codecs.ts'
import { createRuntime } from './zerocopy/nativeRuntime.ts'

export type { BrokerLoad } from './broker/broker.ts'
export type { Ack, DurableAck, RelaxedAck } from './engine/ack.ts'
export type { AppendOptions } from './engine/appender.ts'
export type { ReadOptions } from './engine/batchReader.ts'
export type { AppendInput, EncodeOptions, ProducerTags } from './engine/encodeInput.ts'
export type { Engine, EngineOptions } from './engine/engine.ts'
export type { EngineLog } from './engine/engineLog.ts'
export type {
  AppendEvent,
  DamageEvent,
  FlushEvent,
  LogOfflineEvent,
  RecoveryEvent,
  RetentionEvent,
} from './engine/events.ts'
export type { LogBatch } from './engine/logBatch.ts'
export type { LogRecord, RecordInput } from './engine/logRecord.ts'
export type { Compression, LogSettings } from './engine/logSettings.ts'
export type { Node, NodeStatus } from './engine/node.ts'
export type { MachineState } from './engine/nodeChunks.ts'
export type { AlarmEvent, LeadershipEvent, SnapshotEvent, VotersEvent } from './engine/nodeEvents.ts'
export type {
  ApplyContext,
  MachineOptions,
  MachineReadOptions,
  NodeMachine,
  ProposeOptions,
  StateMachine,
} from './engine/nodeMachine.ts'
export type { NodeOptions } from './engine/nodeOptions.ts'
export type {
  NodeAck,
  NodeAppendOptions,
  NodePartition,
  PartitionStatus,
} from './engine/nodePartition.ts'
export type { PartitionSettings } from './engine/nodePlacement.ts'
export type { NodeReadOptions } from './engine/nodeReader.ts'
export { CorruptionError, EngineError, type EngineErrorName } from './model/errors.ts'
export type { DurableFlush, FlushBounds, FlushPolicy, Survives } from './model/flushPolicy.ts'
export type { LogFields, Logger } from './model/logger.ts'
export type { NodeAddress } from './replica/nodes/nodeAddress.ts'
export type { Address } from './runtime/network.ts'
export type { Runtime } from './runtime/runtime.ts'
export type { HeaderInput } from './segment/batchWriter.ts'
export type { RecordHeader } from './segment/records.ts'

const channels: EngineChannels = {
  append: channel('cordwood:append'),
  flush: channel('cordwood:flush'),
  recovery: channel('cordwood:recovery'),
  logOffline: channel('cordwood:log-offline'),
  retention: channel('cordwood:retention'),
  damage: channel('cordwood:damage'),
}

/**
 * Opens a data directory, recovering what a crash left. `close()` it when done, or use `await using`. What goes on inside
 * is told on `node:diagnostics_channel`: `cordwood:append`, `cordwood:flush`, `cordwood:recovery`, `cordwood:log-offline`,
 * `cordwood:retention`, `cordwood:damage`.
 *
 * Rejects with an `EngineError` whose message says what to do: `invalidConfig` (a setting that does not exist, has a wrong
 * value or contradicts another), `directoryLocked` (somebody has it open), `directoryForeign` (a broker's),
 * `permissionDenied`, `diskFull`, `corruptLog` (the journal is gone, or damaged beyond use).
 */
export async function openEngine<F extends FlushPolicy = 'journal'>(
  options: EngineOptions<F>,
): Promise<Engine<F>> {
  if (typeof options !== 'object' || options === null) {
    throw new EngineError('invalidConfig', "openEngine takes an object such as { directory: './data' }")
  }
  const { logger = silentLogger, runtime } = options
  const world = runtime ?? createRuntime({ onFallback: (why) => logger.warn(why) })
  // Where things are stays the same when the program changes its directory.
  const absolute = (path: unknown): boolean =>
    runtime === undefined && typeof path === 'string' && path !== ''
  const { directory, journalDirectory } = options
  const paths = {
    directory: absolute(directory) ? resolve(directory) : directory,
    journalDirectory: absolute(journalDirectory) ? resolve(journalDirectory!) : journalDirectory,
  }
  const close = async (): Promise<void> => {
    if (runtime === undefined) await closeRuntime(world)
  }
  try {
    return await Engine.open(
      { ...options, ...paths },
      { runtime: world, codecs: batchCodecs, channels, close },
    )
  } catch (error) {
    await close()
    throw error
  }
}

const nodeChannels: NodeChannels = {
  leadership: channel('cordwood:leadership'),
  voters: channel('cordwood:voters'),
  snapshot: channel('cordwood:snapshot'),
  alarm: channel('cordwood:alarm'),
  repair: channel('cordwood:repair'),
}

/**
 * Starts a node of a cluster: a replica of everything that the cluster keeps. It listens once this resolves, and need not wait
 * for the others. `close()` it when done, or use `await using`. What goes on inside is told on `node:diagnostics_channel`:
 * `cordwood:leadership`, `cordwood:voters`, `cordwood:snapshot`, `cordwood:alarm`.
 *
 * Rejects with an `EngineError` whose message says what to do: `invalidConfig`, `directoryLocked`, `directoryForeign` (another
 * node's, another cluster's, or an engine's), `addressInUse`, `permissionDenied`, `diskFull`, `corruptLog` (the journal, the
 * metadata log or its snapshot is damaged beyond use).
 */
export async function startNode(options: NodeOptions): Promise<Node> {
  const { logger = silentLogger, runtime, directory, journalDirectory } = options
  const world = runtime ?? createRuntime({ onFallback: (why) => logger.warn(why) })
  const absolute = (path: unknown): boolean =>
    runtime === undefined && typeof path === 'string' && path !== ''
  const paths = {
    directory: absolute(directory) ? resolve(directory) : directory,
    ...(journalDirectory === undefined
      ? {}
      : { journalDirectory: absolute(journalDirectory) ? resolve(journalDirectory) : journalDirectory }),
  }
  const close = async (): Promise<void> => {
    if (runtime === undefined) await closeRuntime(world)
  }
  try {
    return await Node.start(
      { ...options, ...paths },
      { runtime: world, codecs: batchCodecs, channels: nodeChannels, close },
    )
  } catch (error) {
    await close()
    throw error
  }
}

/** One batch of `records` that `EngineLog.append` takes as it is, once or, with `producer`, repeatedly without harm. */
export function encodeRecords(records: readonly RecordInput[], options: EncodeOptions = {}): Uint8Array {
  return encodeReady(records, options, {
    nowMs: nodeClock.wallMs(),
    checksum: { crc32c },
    codecs: batchCodecs,
  })
}

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
  // Who only opens an engine does not load the broker.
  const { Broker } = await import('./broker/broker.ts')
  const { brokerConfig } = await import('./broker/brokerConfig.ts')
  const config = brokerConfig(settings, { hostName: hostname(), absolute: resolve })
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

async function closeRuntime({ compute, disk }: Runtime): Promise<void> {
  await compute.close()
  await disk.close()
}

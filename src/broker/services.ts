import type { ClusterNode } from '../controller/clusterNode.ts'
import type { Metadata } from '../controller/metadata.ts'
import type { ProducerIds } from '../controller/producerIds.ts'
import type { GroupCoordinator } from '../coordinator/groupCoordinator.ts'
import { EngineError } from '../model/errors.ts'
import type { Logger } from '../model/logger.ts'
import type { RateLimitedLog } from '../runtime/rateLimitedLog.ts'
import type { Runtime } from '../runtime/runtime.ts'
import type { LogDirectory } from '../segment/logDirectory.ts'
import type { BrokerConfig } from './brokerConfig.ts'
import type { DiskGate } from './diskGate.ts'
import type { Exchange } from './exchange.ts'
import type { Limiter } from './limiter.ts'
import type { Nodes } from './nodes.ts'
import type { Partitions } from './partitions.ts'
import type { Purgatory } from './purgatory.ts'
import type { TopicCreator } from './topicCreator.ts'

/** Where clients find this broker. */
export interface AdvertisedNode {
  readonly nodeId: number
  readonly host: string
  readonly port: number
}

/** Everything that request handlers work with. */
export interface Services {
  readonly runtime: Runtime
  readonly config: BrokerConfig
  readonly logger: Logger
  readonly log: RateLimitedLog
  readonly directory: LogDirectory
  readonly controller: Metadata
  readonly producerIds: ProducerIds
  readonly coordinator: GroupCoordinator
  readonly partitions: Partitions
  readonly purgatory: Purgatory
  readonly diskGate: DiskGate
  /** For lookups by time: each holds a whole batch in memory. */
  readonly lookups: Limiter
  readonly topicCreator: TopicCreator
  readonly node: AdvertisedNode
  readonly nodes: Nodes
  /** Null for a broker that stands alone. */
  readonly cluster: ClusterNode | null
}

/** One request on its way through a handler. */
export interface RequestContext {
  readonly exchange: Exchange
  readonly apiVersion: number
  readonly clientId: string | null
}

/** What a client is told of an error. */
export interface WireError {
  readonly errorCode: number
  readonly errorMessage: string
}

/**
 * The number and text for a client: an `EngineError` says both itself. Anything else is a bug, which is logged
 * with its stack and answered as `unknownServerError`.
 */
export function wireError(services: Pick<Services, 'log'>, error: unknown): WireError {
  if (error instanceof EngineError) return { errorCode: error.kafka, errorMessage: error.message }
  const text = error instanceof Error ? (error.stack ?? error.message) : String(error)
  // What it says may come from the client; where it was thrown cannot.
  const place = /\n +at (.*)/.exec(text)?.[1] ?? ''
  services.log.error(`bug:${place}`, 'a request failed in a way that it should not', { error: text })
  return { errorCode: -1, errorMessage: 'The broker failed; its log says how.' }
}

import type { Logger } from '../model/logger.ts'
import type { LogConfig } from './logConfig.ts'

/** Kafka's default of `producer.id.expiration.ms`: a day. */
export const defaultProducerIdExpirationMs = 86_400_000

/** What `LogDirectory.open` needs to know. */
export interface LogDirectoryOptions {
  /** Made if it is not there. */
  readonly directory: string
  readonly logger: Logger
  readonly nodeId: number
  /** Taken from the directory, or made, when absent. */
  readonly clusterId?: string
  /** Where the journal is, perhaps on another disk; `.journal` in the directory by default. */
  readonly journalDirectory?: string
  /** How large the journal may become; 1 GiB by default. */
  readonly journalBytes?: number
  /** How large each of its files is; 16 MiB by default. */
  readonly journalFileBytes?: number
  /** The configuration that a found log is opened with. */
  configFor(topicName: string): LogConfig
  readonly producerIdExpirationMs?: number
  /** For timestamps inside compressed batches. */
  readonly decompress?: (codec: number, body: Uint8Array) => Uint8Array
}

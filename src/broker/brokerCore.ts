import type { ClusterNode } from '../controller/clusterNode.ts'
import type { Metadata } from '../controller/metadata.ts'
import type { GroupCoordinator } from '../coordinator/groupCoordinator.ts'
import type { Logger } from '../model/logger.ts'
import type { GroupObserver } from '../replica/observer.ts'
import type { Runtime } from '../runtime/runtime.ts'
import type { LogDirectory } from '../segment/logDirectory.ts'
import type { LogDirectoryOptions } from '../segment/logDirectoryOptions.ts'
import type { BrokerConfig } from './brokerConfig.ts'
import type { Nodes } from './nodes.ts'
import type { Partitions } from './partitions.ts'
import type { AdvertisedNode } from './services.ts'

/** What a core is opened with. */
export interface CoreOptions {
  readonly runtime: Runtime
  readonly config: BrokerConfig
  readonly logger: Logger
  /** How the directory is opened. */
  readonly logs: Omit<LogDirectoryOptions, 'nodeId' | 'clusterId' | 'logger'>
  /** Where clients find this broker; the port is set once it is known. */
  readonly node: AdvertisedNode
  /** Sees what the replicas do, in a cluster. */
  readonly observer?: GroupObserver
}

/** What is different between a broker that stands alone and one of a cluster: where its metadata and partitions come from. */
export interface BrokerCore {
  readonly directory: LogDirectory
  readonly metadata: Metadata
  readonly partitions: Partitions
  readonly coordinator: GroupCoordinator
  readonly nodes: Nodes
  /** Null for a broker that stands alone. */
  readonly cluster: ClusterNode | null
  /** Tells clients of this broker, which listens by now; resolves once they may come. */
  announce(): Promise<void>
  /** Gives to others what others can do, before clients are turned away. */
  handOver(): Promise<void>
  /** Closes all of it; the coordinator has been closed before. */
  close(): Promise<void>
}

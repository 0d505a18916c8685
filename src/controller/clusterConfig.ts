import type { Address } from '../runtime/network.ts'

/** Where a node of the cluster is. */
export interface QuorumVoter extends Address {
  readonly id: number
}

/** A listener of a node. */
export interface NamedListener {
  /** Its name, such as PLAINTEXT or CONTROLLER. */
  readonly name: string
  readonly listen: Address
  /** What others are told; port 0 stands for the port that the listener got. */
  readonly advertised: Address
}

/** The settings of a node in a cluster, checked. */
export interface ClusterConfig {
  /** Whether the node serves clients, and whether it is to vote on the metadata. At least one of them. */
  readonly isBroker: boolean
  readonly isController: boolean
  /** `controller.listener.names`: on which nodes reach each other, controllers or not. */
  readonly nodeListener: NamedListener
  /** The name of the listener for clients; empty where there is none. */
  readonly clientListenerName: string
  /** `controller.quorum.voters`; empty where bootstrap servers are given. */
  readonly voters: readonly QuorumVoter[]
  /** `controller.quorum.bootstrap.servers`; empty where voters are given. */
  readonly bootstrapServers: readonly Address[]
  /** `controller.quorum.auto.join.enable`: whether a controller that is no voter asks to become one. */
  readonly autoJoin: boolean
  /** `broker.rack`. */
  readonly rack: string | null
  /** `broker.heartbeat.interval.ms`. */
  readonly heartbeatIntervalMs: number
  /** `broker.session.timeout.ms`: a broker that is not heard of for so long is fenced. */
  readonly sessionTimeoutMs: number
}

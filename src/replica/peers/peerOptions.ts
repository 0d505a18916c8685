import type { Logger } from '../../model/logger.ts'
import type { Endpoint } from '../../raft.ts'
import type { Runtime } from '../../runtime/runtime.ts'

/** What connections between nodes are made of. */
export type PeerRuntime = Pick<Runtime, 'network' | 'clock' | 'random' | 'checksum'>

/** The bounds and times of connections between nodes. */
export interface PeerLimits {
  /** Within which a connection is there, and its first exchange done. */
  readonly connectTimeoutMs: number
  /** Within which a request is answered, beside what it waits for on purpose. */
  readonly requestTimeoutMs: number
  /** How long a leader may keep a session's Fetch when no group has anything. */
  readonly sessionWaitMs: number
  /** Before the second attempt to connect; doubles with every further one. */
  readonly minBackoffMs: number
  readonly maxBackoffMs: number
  /** Records in one answer of a session; at least one group's always go. */
  readonly maxAnswerBytes: number
  /** Groups in one message. */
  readonly maxGroups: number
  /** The largest frame that is taken, without its size. */
  readonly maxFrameBytes: number
  /** Requests of one connection that may wait for an answer before no more are read. */
  readonly maxInFlight: number
  /** The same for calls, which take as long as they take. */
  readonly maxCallsInFlight: number
  /** Bytes on their way to one connection above which no more requests are read from it, or sent to it. */
  readonly maxUnsentBytes: number
  /** Connections that may be open to this node. */
  readonly maxConnections: number
}

/** What a transport is made with. */
export interface PeerOptions {
  readonly nodeId: number
  readonly clusterId: string | null
  readonly logger: Logger
  /** Which of a node's endpoints is meant; by default its first. */
  readonly listenerName?: string
  /** Where this node is reached, as others are told; by default where it listens. */
  readonly endpoints?: readonly Endpoint[]
  readonly limits?: Partial<PeerLimits>
}

/** The bounds where nothing else is asked for. */
export const defaultPeerLimits: PeerLimits = {
  connectTimeoutMs: 1000,
  requestTimeoutMs: 400,
  sessionWaitMs: 200,
  minBackoffMs: 20,
  maxBackoffMs: 500,
  maxAnswerBytes: 8 * 1024 * 1024,
  maxGroups: 500,
  maxFrameBytes: 256 * 1024 * 1024,
  maxInFlight: 64,
  maxCallsInFlight: 4096,
  maxUnsentBytes: 16 * 1024 * 1024,
  maxConnections: 1000,
}

/** A frame of whoever has not said who it is. */
export const strangerFrameBytes = 16 * 1024

/**
 * What a connection is for: so that votes never stand behind records, nor either behind what takes seconds. Answers on `calls`
 * may overtake each other, those of all others come in the order of their requests.
 */
export const channelNames = ['control', 'fetch', 'voters', 'calls'] as const

/** One of `channelNames`. */
export type ChannelName = (typeof channelNames)[number]

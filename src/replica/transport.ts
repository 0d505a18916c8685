import type { EngineError } from '../model/errors.ts'
import type { SendPart } from '../model/fileRange.ts'
import type { Uuid } from '../model/uuid.ts'
import type { Endpoint, RaftRequest, RaftResponse } from '../raft.ts'

/** Names a group: its topic id and partition, `ID/N`. */
export type GroupKey = string

/** The group that a message is about. */
export interface GroupRef {
  readonly topicId: Uuid
  /** The topic's name, which some of Kafka's messages carry in place of its id. */
  readonly topic: string
  readonly partition: number
}

/** The key of a group. */
export function groupKey({ topicId, partition }: Pick<GroupRef, 'topicId' | 'partition'>): GroupKey {
  return `${topicId}/${partition}`
}

/**
 * Carries the core's messages between nodes. Every request that is sent is answered by exactly one `response` or `failed`
 * of the handler, never during `send`. What is sent in one turn to one node travels together. A Fetch stays with the leader
 * for as long as that has nothing to bring, whatever `maxWaitMs` says: the transport itself finds out when the leader is gone.
 */
export interface Transport {
  /** Sends a request of the core. A node without an endpoint fails at once. */
  send(to: number, group: GroupRef, requestId: number, request: RaftRequest): void
  /**
   * The group does not fetch from anybody any more; what it has sent is of no use. To be called whenever a replica's state or
   * leader changes, before what it sends next: a Fetch that stays behind would count as a sign of life at a former leader.
   */
  forget(group: GroupRef): void
  /** Where a node is, in place of what was known. */
  know(node: number, endpoints: readonly Endpoint[]): void
  /**
   * When `node` last proved (monotonic milliseconds) that it lives and has the group's waiting Fetch: proof of life of a leader.
   * Minus infinity while no Fetch of the group waits there.
   */
  leaderContactMs(node: number, group: GroupRef): number
  /**
   * When `node` last proved that it lives and follows this node in the group: its Fetch waits here, or it has been answered and
   * the node has not said that it does not follow any more. Minus infinity when it does not follow.
   */
  followerContactMs(node: number, group: GroupRef): number
  /**
   * When `node` last proved that it lives, in the session in which it serves this node's Fetches (`leader`) or has its own served
   * here (`follower`), whatever the group. Without this nothing but the groups' own signs of life counts.
   */
  sessionContactMs?(node: number, role: 'leader' | 'follower'): number
  /** The node has so many groups that answers may take `slackMs` longer than usual before the other node counts as gone. */
  expect?(slackMs: number): void
  /**
   * Has `TransportHandler.call` of another node carried out with `payload`; resolves with what that returned. What does not come
   * back may have been carried out all the same. Rejects with `networkException` when the node is gone, with `requestTimedOut`
   * after `timeoutMs`, with what the other node rejected; where the call was never sent, with `brokerNotAvailable` or the reason
   * why that node refuses this one (such as `inconsistentClusterId`), and with `queueFull` when too much waits already.
   */
  call(to: number, payload: Uint8Array, timeoutMs: number): Promise<Uint8Array>
  /** Fails what is under way, then closes every connection. */
  close(): Promise<void>
}

/** Whoever has the groups. */
export interface TransportHandler {
  /**
   * A request of another node, of a group that need not be here. `reply` is to be called once, now or later; what comes too
   * late is dropped. `records` are file ranges or bytes that belong into the answer to a Fetch.
   */
  request(
    from: number,
    group: GroupRef,
    request: RaftRequest,
    reply: (response: RaftResponse, records: readonly SendPart[]) => void,
  ): void
  /** The answer to a request. Records of a Fetch are in its batches, as they came, and valid during the call: see `LeasedMemory`. */
  response(from: number, group: GroupRef, requestId: number, response: RaftResponse): void
  /** A request got no answer, or one whose records are no sound batches: `damage` says why. */
  failed(group: GroupRef, requestId: number, damage?: EngineError): void
  /** A call of another node; `payload` is its own. Without this, calls are refused. */
  call?(from: number, payload: Uint8Array): Promise<Uint8Array>
  /**
   * A request of somebody who is no node, as it came: the frame that answers it, or null to close the connection. Null in place of a
   * promise: it is not one for this, and goes the way of requests between nodes. Without this, they all do.
   */
  administer?(
    remoteHost: string,
    apiKey: number,
    request: Uint8Array,
  ): Promise<readonly SendPart[] | null> | null
  /** The connection to a node that had been reached broke, or one to fetch from it cannot be made. Follows the `failed` of what was under way there. */
  connectionLost(node: number): void
}

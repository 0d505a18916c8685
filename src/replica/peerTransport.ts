import type { Endpoint, RaftRequest } from '../raft.ts'
import type { Address } from '../runtime/network.ts'
import { Peer, type PeerContext } from './peers/peer.ts'
import { PeerListener } from './peers/peerListener.ts'
import {
  defaultPeerLimits,
  type PeerLimits,
  type PeerOptions,
  type PeerRuntime,
} from './peers/peerOptions.ts'
import type { GroupRef, Transport, TransportHandler } from './transport.ts'

/** So much of the slack a message of a session may wait longer: well below what a follower, or a leader, waits longer for the other. */
const waitShare = 0.25

/** `Transport` over a network, in Kafka's messages. Reads no file and no clock but those of its runtime. */
export class PeerTransport implements Transport {
  readonly #context: PeerContext
  readonly #peers = new Map<number, Peer>()
  readonly #listener: PeerListener
  readonly #limits: { -readonly [K in keyof PeerLimits]: PeerLimits[K] }
  /** The limits as they are without slack. */
  readonly #usual: PeerLimits
  #endpoints: readonly Endpoint[]
  #isClosed = false

  constructor(runtime: PeerRuntime, options: PeerOptions, handler: TransportHandler) {
    const { nodeId, clusterId, logger, listenerName = null, endpoints = [], limits } = options
    this.#endpoints = endpoints
    this.#limits = { ...defaultPeerLimits, ...limits }
    this.#usual = { ...this.#limits }
    this.#context = {
      runtime,
      limits: this.#limits,
      logger,
      clusterId,
      self: nodeId,
      listenerName,
      endpoints: () => this.#endpoints,
      handler,
    }
    this.#listener = new PeerListener(
      this.#context,
      (node, learned) => this.know(node, learned),
      (node) => this.#peers.get(node)?.retryNow(),
    )
  }

  /** Listens for other nodes; resolves with the address, its port the real one. Rejects with `addressInUse` or `permissionDenied`. */
  async listen(address: Address): Promise<Address> {
    const bound = await this.#listener.listen(address)
    const name = this.#context.listenerName ?? 'CONTROLLER'
    if (this.#endpoints.length === 0) this.#endpoints = [{ name, ...bound }]
    return bound
  }

  send(to: number, group: GroupRef, requestId: number, request: RaftRequest): void {
    this.#peer(to).send(group, requestId, request)
  }

  forget(group: GroupRef): void {
    for (const peer of this.#peers.values()) peer.forget(group)
  }

  know(node: number, endpoints: readonly Endpoint[]): void {
    if (node !== this.#context.self) this.#peer(node).know(endpoints)
  }

  leaderContactMs(node: number, group: GroupRef): number {
    return this.#peers.get(node)?.contactMs(group) ?? Number.NEGATIVE_INFINITY
  }

  followerContactMs(node: number, group: GroupRef): number {
    return this.#listener.contactMs(node, group)
  }

  sessionContactMs(node: number, role: 'leader' | 'follower'): number {
    if (role === 'follower') return this.#listener.lastAskedMs(node)
    return this.#peers.get(node)?.lastAnswerMs ?? Number.NEGATIVE_INFINITY
  }

  expect(slackMs: number): void {
    this.#limits.requestTimeoutMs = this.#usual.requestTimeoutMs + slackMs
    // Whoever may be silent for longer has to show less often that it is there.
    this.#limits.sessionWaitMs = this.#usual.sessionWaitMs + Math.floor(slackMs * waitShare)
  }

  call(to: number, payload: Uint8Array, timeoutMs: number): Promise<Uint8Array> {
    return this.#peer(to).call(payload, timeoutMs)
  }

  async close(): Promise<void> {
    if (this.#isClosed) return
    this.#isClosed = true
    for (const peer of this.#peers.values()) peer.close()
    await this.#listener.close()
  }

  #peer(node: number): Peer {
    let peer = this.#peers.get(node)
    if (peer === undefined) {
      peer = new Peer(this.#context, node)
      if (this.#isClosed) peer.close()
      this.#peers.set(node, peer)
    }
    return peer
  }
}

import type { Timer } from '../../runtime/clock.ts'
import type { Address, Connection, Listener } from '../../runtime/network.ts'
import { RateLimitedLog } from '../../runtime/rateLimitedLog.ts'
import type { GroupRef } from '../transport.ts'
import { type AcceptContext, AcceptedPeer } from './acceptedPeer.ts'
import type { PeerContext } from './peer.ts'

/** How long a stranger may take to say who it is. */
const introduceMs = 10_000

/** The port on which other nodes reach this one, and their connections. */
export class PeerListener {
  readonly #context: AcceptContext
  readonly #connections = new Set<AcceptedPeer>()
  /** By node, the connection with its session. */
  readonly #sessions = new Map<number, AcceptedPeer>()
  readonly #timers = new Map<AcceptedPeer, Timer>()
  #listener: Listener | null = null
  #isClosed = false

  readonly #met: (node: number) => void

  /** `learn` is told where leaders say that they listen, `met` that a node has connected. */
  constructor(context: PeerContext, learn: AcceptContext['learn'], met: (node: number) => void) {
    this.#met = met
    const { runtime, limits, handler, clusterId, self, logger } = context
    this.#context = {
      runtime,
      limits,
      handler,
      clusterId,
      self,
      learn,
      log: new RateLimitedLog(runtime.clock, logger),
      introduced: (connection) => this.#introduced(connection),
      gone: (connection) => this.#gone(connection),
    }
  }

  /** Open connections. */
  get connectionCount(): number {
    return this.#connections.size
  }

  /** Listens; resolves with the address, its port the real one. Rejects with `addressInUse` or `permissionDenied`. */
  async listen(address: Address): Promise<Address> {
    const { network } = this.#context.runtime
    const listener = await network.listen(address, (socket) => this.#accept(socket))
    if (this.#isClosed) await listener.close()
    else this.#listener = listener
    return listener.address
  }

  /** When a node asked last in its session here. */
  lastAskedMs(node: number): number {
    return this.#sessions.get(node)?.session?.lastAskedMs ?? Number.NEGATIVE_INFINITY
  }

  /** See `Transport.followerContactMs`. */
  contactMs(node: number, group: GroupRef): number {
    return this.#sessions.get(node)?.session?.contactMs(group) ?? Number.NEGATIVE_INFINITY
  }

  /** Accepts no more, and closes every connection. */
  async close(): Promise<void> {
    this.#isClosed = true
    for (const connection of [...this.#connections]) connection.destroy()
    await this.#listener?.close()
  }

  #accept(socket: Connection): void {
    const { limits, log, runtime } = this.#context
    if (this.#isClosed || this.#connections.size >= limits.maxConnections) {
      if (!this.#isClosed) log.warn('peer:many', 'refused a connection between nodes: there are too many')
      socket.destroy()
      return
    }
    const connection = new AcceptedPeer(socket, this.#context)
    this.#connections.add(connection)
    const timer = runtime.clock.setTimer(introduceMs, () => {
      this.#timers.delete(connection)
      if (connection.isLate) connection.destroy()
    })
    this.#timers.set(connection, timer)
    connection.start()
  }

  /** A node has one session: a new connection for it takes the place of the old, which the node has given up. */
  #introduced(connection: AcceptedPeer): void {
    this.#timers.get(connection)?.cancel()
    this.#timers.delete(connection)
    this.#met(connection.node)
    if (connection.channel !== 'fetch') return
    const old = this.#sessions.get(connection.node)
    this.#sessions.set(connection.node, connection)
    old?.destroy()
  }

  #gone(connection: AcceptedPeer): void {
    this.#connections.delete(connection)
    this.#timers.get(connection)?.cancel()
    this.#timers.delete(connection)
    if (this.#sessions.get(connection.node) === connection) this.#sessions.delete(connection.node)
  }
}

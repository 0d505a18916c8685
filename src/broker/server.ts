import type { Logger } from '../model/logger.ts'
import type { Clock, Timer } from '../runtime/clock.ts'
import type { Disk } from '../runtime/disk.ts'
import type { Address, Connection, Listener, Network } from '../runtime/network.ts'
import type { RateLimitedLog } from '../runtime/rateLimitedLog.ts'
import type { BrokerConfig } from './brokerConfig.ts'
import { ClientConnection, type ConnectionLimits } from './connection.ts'
import type { Exchange, RequestStream } from './exchange.ts'
import { RequestPool } from './requestPool.ts'

const sweepMs = 1000
/** Connections open at the same time, where nothing is configured and the network cannot tell. */
const defaultMaxConnections = 10_000
/** Free request buffers are given back after so long without a request. */
const trimAfterMs = 10_000

/** What a server needs. */
export interface ServerOptions {
  readonly network: Network
  readonly clock: Clock
  readonly logger: Logger
  readonly log: RateLimitedLog
  readonly config: BrokerConfig
  /** Memory of large requests; see `Disk.lend`. */
  readonly lend: Disk['lend']
  /** Carries out one request; `stream` has carried out some of it, if it is not null. */
  dispatch(exchange: Exchange, stream: RequestStream | null): void
  /** Begins with a request that is arriving, where that is possible. */
  begin(exchange: Exchange, arrivedBytes: number): RequestStream | null
}

/** The listening socket and its connections. */
export class Server {
  readonly pool: RequestPool
  readonly #options: ServerOptions
  readonly #connections = new Set<ClientConnection>()
  readonly #limits: ConnectionLimits
  readonly #maxConnections: number
  #listener: Listener | null = null
  #sweep: Timer | null = null
  #whenEmpty: (() => void) | null = null
  #isClosed = false
  #usedMs = 0

  constructor(options: ServerOptions) {
    const { config, network, lend = null } = options
    this.#options = options
    this.#maxConnections = config.statics.has('max.connections')
      ? config.number('max.connections')
      : (network.maxConnections ?? defaultMaxConnections)
    this.pool = new RequestPool(config.number('queued.max.request.bytes'), undefined, lend)
    this.#limits = {
      maxRequestBytes: config.number('socket.request.max.bytes'),
      maxInFlight: 100,
      maxUnsentBytes: 1024 * 1024,
      maxIdleMs: config.number('connections.max.idle.ms'),
      headerMs: 10_000,
      stallMs: 60_000,
      minBytesPerMs: 64,
    }
  }

  /** Open connections. */
  get connectionCount(): number {
    return this.#connections.size
  }

  /** Requests of all connections that have no answer yet. */
  get requestsInFlight(): number {
    let count = 0
    for (const connection of this.#connections) count += connection.inFlight
    return count
  }

  /**
   * Listens; resolves with the address, its port the real one. `ready` is awaited before the first connection
   * is read from. Rejects with `addressInUse` or `permissionDenied`.
   */
  async listen(address: Address, ready: Promise<void>): Promise<Address> {
    this.#listener = await this.#options.network.listen(address, (socket) => {
      ready.then(
        () => this.#accept(socket),
        () => socket.destroy(),
      )
    })
    return this.#listener.address
  }

  /** Accepts no more, answers what is in flight for up to `graceMs`, then closes every connection. */
  async close(graceMs: number): Promise<void> {
    this.#isClosed = true
    await this.#listener?.close()
    for (const connection of [...this.#connections]) connection.finish()
    if (this.#connections.size > 0) {
      const timer = { cancel(): void {} } as { cancel(): void }
      await new Promise<void>((resolve) => {
        this.#whenEmpty = resolve
        const grace = this.#options.clock.setTimer(graceMs, resolve)
        timer.cancel = () => grace.cancel()
      })
      timer.cancel()
    }
    for (const connection of [...this.#connections]) connection.destroy()
    this.#sweep?.cancel()
    this.pool.trim()
  }

  #accept(socket: Connection): void {
    const { log, clock, dispatch, begin } = this.#options
    if (this.#isClosed) {
      socket.destroy()
      return
    }
    if (this.#connections.size >= this.#maxConnections) {
      log.warn('maxConnections', 'refused a connection: there are max.connections already', {
        remote: socket.remote.host,
        maxConnections: this.#maxConnections,
      })
      socket.destroy()
      return
    }
    const connection = new ClientConnection(socket, {
      clock,
      log,
      pool: this.pool,
      limits: this.#limits,
      dispatch,
      begin,
      gone: (gone) => this.#gone(gone),
    })
    this.#connections.add(connection)
    connection.start()
    this.#scheduleSweep()
  }

  #gone(connection: ClientConnection): void {
    this.#connections.delete(connection)
    if (this.#connections.size === 0) this.#whenEmpty?.()
  }

  /** One timer for all connections, and none for none. */
  #scheduleSweep(): void {
    if (this.#sweep || this.#isClosed) return
    this.#sweep = this.#options.clock.setTimer(sweepMs, () => {
      this.#sweep = null
      const nowMs = this.#options.clock.monotonicMs()
      for (const connection of [...this.#connections]) connection.check(nowMs)
      if (this.pool.usedBytes > 0) this.#usedMs = nowMs
      else if (nowMs - this.#usedMs > trimAfterMs) this.pool.trim()
      if (this.#connections.size > 0 || this.pool.freeBytes > 0) this.#scheduleSweep()
    })
  }
}

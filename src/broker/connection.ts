import type { SendPart } from '../model/fileRange.ts'
import type { Clock } from '../runtime/clock.ts'
import type { Connection, ConnectionHandler } from '../runtime/network.ts'
import type { RateLimitedLog } from '../runtime/rateLimitedLog.ts'
import { Exchange, type ExchangeOwner, type FailureKind, type RequestStream } from './exchange.ts'
import { whatIsIt } from './frames.ts'
import type { RequestBytes, RequestPool } from './requestPool.ts'
import { RequestReader, type RequestReaderOwner } from './requestReader.ts'

/** The bounds of one connection. */
export interface ConnectionLimits {
  /** `socket.request.max.bytes`: the largest request, without its size field. */
  readonly maxRequestBytes: number
  /** Requests that may wait for their answer before the next one is read. */
  readonly maxInFlight: number
  /** Response bytes in memory that the client has not taken, above which nothing more is read from it. */
  readonly maxUnsentBytes: number
  /** `connections.max.idle.ms`. */
  readonly maxIdleMs: number
  /** Within which a frame's size must arrive once its first byte has, and a client that said goodbye must go. */
  readonly headerMs: number
  /** The longest pause inside a frame. */
  readonly stallMs: number
  /** How fast a frame must arrive while others wait for memory. */
  readonly minBytesPerMs: number
}

/** What all connections of a broker share. */
export interface ConnectionServices {
  readonly clock: Clock
  readonly log: RateLimitedLog
  readonly pool: RequestPool
  readonly limits: ConnectionLimits
  /** Carries out one request; settles the exchange now or later and never throws. */
  dispatch(exchange: Exchange, stream: RequestStream | null): void
  /**
   * Begins with a large request of which `arrivedBytes` are there; null for one that is carried out when it is whole.
   */
  begin(exchange: Exchange, arrivedBytes: number): RequestStream | null
  /** Called once, when the connection is gone. */
  gone(connection: ClientConnection): void
}

/** Response bytes that wait for the end of a chunk, to leave together. */
const corkedBytes = 64 * 1024

/** Why nothing is read at the moment; a set of bits. */
const Blocked = { held: 1, pool: 2, inFlight: 4, unsent: 8 } as const

/**
 * One client: cuts the stream into requests, hands them on in order, sends the responses in that same order.
 * Requests may overlap (a produce request is appended while the one before it is being flushed) unless one
 * holds the others back. What it keeps in memory is bounded: requests by the shared pool and `maxInFlight`,
 * responses by `maxUnsentBytes`, and one chunk that arrived before reading could be stopped.
 */
export class ClientConnection implements ConnectionHandler, ExchangeOwner, RequestReaderOwner {
  readonly remoteHost: string
  readonly #socket: Connection
  readonly #services: ConnectionServices
  readonly #reader: RequestReader
  /** The request that is carried out while it arrives. */
  #arriving: { readonly exchange: Exchange; readonly stream: RequestStream } | null = null
  /** When the request that is arriving got its memory. */
  #requestMs = 0
  /** What arrived while nothing could be read. */
  #stash: Uint8Array | null = null
  readonly #exchanges: Exchange[] = []
  #blocked = 0
  #holds = 0
  #isPaused = false
  #isParsing = false
  #unsentMemoryBytes = 0
  /** Memory of the responses that are not sent yet. */
  #corkedBytes = 0
  #seenUnsentBytes = 0
  #state: 'open' | 'ending' | 'closed' = 'open'
  #activeMs: number
  #endingMs = 0

  constructor(socket: Connection, services: ConnectionServices) {
    this.#socket = socket
    this.#services = services
    this.#reader = new RequestReader(services.pool, services.limits.maxRequestBytes, this)
    this.remoteHost = socket.remote.host
    this.#activeMs = services.clock.monotonicMs()
  }

  /** Begins to read. */
  start(): void {
    this.#socket.start(this)
  }

  /** Requests without an answer yet. */
  get inFlight(): number {
    return this.#exchanges.length
  }

  memory(): Uint8Array | null {
    const canRead = this.#state === 'open' && this.#blocked === 0 && this.#stash === null
    return canRead ? this.#reader.memory : null
  }

  data(chunk: Uint8Array): void {
    if (this.#state !== 'open') return
    this.#activeMs = this.#services.clock.monotonicMs()
    if (this.#blocked !== 0 || this.#isParsing || this.#stash) {
      this.#stash = this.#stash ? Buffer.concat([this.#stash, chunk]) : Buffer.from(chunk)
      if (this.#blocked !== 0) this.#pause()
      return
    }
    const read = this.#parse(chunk)
    if (read < chunk.length && this.#state === 'open') {
      this.#stash = Buffer.from(chunk.subarray(read))
      this.#pause()
    }
  }

  /** The client says goodbye: what it still waits for is answered at once, then the connection ends. */
  end(): void {
    this.#finish()
  }

  drain(): void {
    this.#activeMs = this.#services.clock.monotonicMs()
    this.#unsentMemoryBytes = 0
    this.#unblock(Blocked.unsent)
  }

  close(_error: Error | null): void {
    if (this.#state === 'closed') return
    this.#state = 'closed'
    this.#dropArriving()
    this.#services.gone(this)
    for (const exchange of [...this.#exchanges]) exchange.close()
  }

  /** Closes now; requests that are being carried out are, but nobody hears of it. */
  destroy(): void {
    this.#socket.destroy()
    this.close(null)
  }

  /** Takes no more requests, answers those it has, then closes. */
  finish(): void {
    this.#finish()
  }

  /** Closes a connection that is idle, or slow in a way that only an attacker or a dead client is. */
  check(nowMs: number): void {
    const { limits, log } = this.#services
    if (this.#state === 'ending') {
      if (nowMs - this.#endingMs > limits.headerMs) this.destroy()
      return
    }
    const unsentBytes = this.#socket.unsentBytes
    if (unsentBytes !== this.#seenUnsentBytes) {
      // A slow reader is alive as long as it takes something.
      this.#seenUnsentBytes = unsentBytes
      this.#activeMs = nowMs
    }
    const quietMs = nowMs - this.#activeMs
    if ((this.#blocked & ~Blocked.unsent) !== 0) return
    if (this.#reader.isInsideSize && quietMs > limits.headerMs) {
      log.warn('slowHeader', 'closed a connection that did not finish the size of a request', this.#who())
      this.destroy()
    } else if (this.#reader.arrivedBytes >= 0 && (quietMs > limits.stallMs || this.#isHoggingAt(nowMs))) {
      log.warn('slowRequest', 'closed a connection that stopped in the middle of a request', this.#who())
      this.destroy()
    } else if (quietMs > limits.maxIdleMs && this.#exchanges.length === 0) {
      this.destroy()
    }
  }

  /** Whether others wait for memory that this one has got and does not fill. */
  #isHoggingAt(nowMs: number): boolean {
    const { pool, limits } = this.#services
    const elapsedMs = nowMs - this.#requestMs
    if (pool.waiting === 0 || elapsedMs < limits.headerMs) return false
    return this.#reader.arrivedBytes < limits.minBytesPerMs * elapsedMs
  }

  settled(exchange: Exchange): void {
    if (exchange.parts) for (const part of exchange.parts) this.#corkedBytes += memoryBytes(part)
    if (!this.#isParsing || this.#corkedBytes > corkedBytes) this.#sendSettled()
  }

  held(): void {
    this.#holds += 1
    this.#blocked |= Blocked.held
  }

  proceeded(): void {
    this.#holds -= 1
    if (this.#holds === 0) this.#unblock(Blocked.held)
  }

  fail(kind: FailureKind, reason: string): void {
    if (this.#state === 'closed') return
    this.#services.log.warn(kind, `closed a connection: ${reason}`, this.#who())
    this.destroy()
  }

  #who(): { readonly remote: string } {
    return { remote: `${this.remoteHost}:${this.#socket.remote.port}` }
  }

  /** Takes requests out of `chunk` as far as it may; returns the number of bytes used up. */
  #parse(chunk: Uint8Array): number {
    this.#isParsing = true
    let position = 0
    while (this.#blocked === 0 && this.#state === 'open' && position < chunk.length) {
      position = this.#reader.read(chunk, position)
    }
    this.#isParsing = false
    this.#sendSettled()
    return position
  }

  arriving(request: RequestBytes, arrivedBytes: number): boolean {
    if (this.#arriving === null) {
      const exchange = new Exchange(this, request)
      const stream = this.#services.begin(exchange, arrivedBytes)
      if (stream === null) return false
      this.#arriving = { exchange, stream }
      this.#exchanges.push(exchange)
    }
    this.#arriving.stream.arrived(arrivedBytes)
    return true
  }

  abandoned(): void {
    const exchange = this.#arriving?.exchange
    this.#arriving = null
    exchange?.skip()
  }

  complete(request: RequestBytes): void {
    const arriving = this.#arriving
    this.#arriving = null
    const exchange = arriving?.exchange ?? new Exchange(this, request)
    if (arriving === null) this.#exchanges.push(exchange)
    if (this.#exchanges.length >= this.#services.limits.maxInFlight) this.#blocked |= Blocked.inFlight
    this.#services.dispatch(exchange, arriving?.stream ?? null)
    if (this.#exchanges[0]?.isSettled) this.#sendSettledSoon()
  }

  /** While many requests of one chunk are answered at once, their responses leave together. */
  #sendSettledSoon(): void {
    if (this.#exchanges.length >= this.#services.limits.maxInFlight) this.#sendSettled()
  }

  refused(sizeField: Uint8Array, lengthBytes: number, isFirst: boolean): void {
    const { limits, log } = this.#services
    const { answer, description } = whatIsIt(sizeField, lengthBytes, limits.maxRequestBytes)
    log.warn(`size:${answer !== null}`, `closed a connection: ${description}`, this.#who())
    if (!answer || !isFirst) {
      this.destroy()
      return
    }
    this.#socket.send([answer])
    this.#finish()
  }

  starved(): void {
    this.#blocked |= Blocked.pool
  }

  opened(): void {
    this.#requestMs = this.#activeMs
  }

  fed(): void {
    this.#activeMs = this.#services.clock.monotonicMs()
    this.#requestMs = this.#activeMs
    this.#unblock(Blocked.pool)
  }

  #sendSettled(): void {
    const exchanges = this.#exchanges
    if (!exchanges[0]?.isSettled) return
    let parts: readonly SendPart[] | null = null
    let count = 0
    while (count < exchanges.length && exchanges[count]!.isSettled) {
      const next = exchanges[count]!.parts
      if (next) parts = parts ? [...parts, ...next] : next
      count += 1
    }
    exchanges.splice(0, count)
    if (exchanges.length === 0) this.#corkedBytes = 0
    if (this.#state === 'closed') return
    if (parts) this.#send(parts)
    if (this.#state === 'ending' && exchanges.length === 0) this.#socket.end()
    else if (exchanges.length < this.#services.limits.maxInFlight) this.#unblock(Blocked.inFlight)
  }

  #send(parts: readonly SendPart[]): void {
    this.#activeMs = this.#services.clock.monotonicMs()
    this.#socket.send(parts)
    if (this.#socket.unsentBytes === 0) {
      this.#unsentMemoryBytes = 0
      return
    }
    for (const part of parts) this.#unsentMemoryBytes += memoryBytes(part)
    if (this.#unsentMemoryBytes > this.#services.limits.maxUnsentBytes) this.#blocked |= Blocked.unsent
  }

  #unblock(bit: number): void {
    if ((this.#blocked & bit) === 0) return
    this.#blocked &= ~bit
    if (this.#blocked !== 0 || this.#isParsing || this.#state !== 'open') return
    while (this.#stash && this.#blocked === 0 && this.#state === 'open') {
      const stash: Uint8Array = this.#stash
      // Parsing may hand over control to code that ends up here again; nothing may be read twice.
      this.#stash = null
      const read = this.#parse(stash)
      if (read < stash.length) this.#stash = this.#rest(stash.subarray(read))
    }
    if (this.#blocked === 0 && this.#isPaused && this.#state === 'open') {
      this.#isPaused = false
      this.#socket.resume()
    }
  }

  #rest(unread: Uint8Array): Uint8Array {
    const later: Uint8Array | null = this.#stash
    return later ? Buffer.concat([unread, later]) : unread
  }

  #pause(): void {
    if (this.#isPaused) return
    this.#isPaused = true
    this.#socket.pause()
  }

  #finish(): void {
    if (this.#state !== 'open') return
    this.#state = 'ending'
    this.#endingMs = this.#services.clock.monotonicMs()
    this.#dropArriving()
    for (const exchange of [...this.#exchanges]) exchange.close()
    if (this.#exchanges.length === 0) this.#socket.end()
  }

  #dropArriving(): void {
    this.#socket.forgetMemory?.()
    this.#reader.drop()
    this.#stash = null
  }
}

/** File ranges are not memory. */
function memoryBytes(part: SendPart): number {
  return part instanceof Uint8Array ? part.length : 0
}

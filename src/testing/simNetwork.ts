import { EngineError } from '../model/errors.ts'
import type { Address, Connection, Listener, Network } from '../runtime/network.ts'
import { EventKind } from './eventKinds.ts'
import type { EventQueue } from './eventQueue.ts'
import { Links } from './links.ts'
import { type RangeReader, SimConnection } from './simConnection.ts'
import type { SimRandom } from './simRandom.ts'

/** The first wait of a side that gets no answer to its wish to connect; it doubles. Source: RFC 6298, section 2. */
const firstRetryMs = 1000

/** Bytes that are on their way or unread in one direction of a connection at most. */
const defaultWindowBytes = 64 << 10

/** Who listens at an address. */
interface ListeningSocket {
  readonly host: SimHost
  accept: ((connection: Connection) => void) | null
}

/** How a `SimNetwork` is to be. */
export interface SimNetworkOptions {
  readonly linkMs?: readonly [min: number, max: number]
  readonly windowBytes?: number
  /** The share of sends that arrive in two pieces. */
  readonly splitShare?: number
  /** Whether bytes are copied as they are sent; otherwise they are their sender's until there is room for them. */
  readonly keepsNothing?: boolean
  /** Told of every chunk that arrives. */
  readonly onDelivery?: (from: number, to: number, chunk: Uint8Array) => void
}

/** All hosts and what lies between them. Everything that happens is an event of the queue. */
export class SimNetwork {
  readonly queue: EventQueue
  readonly random: SimRandom
  readonly links: Links
  readonly windowBytes: number
  readonly splitShare: number
  readonly keepsNothing: boolean
  readonly onDelivery: ((from: number, to: number, chunk: Uint8Array) => void) | null
  readonly #listening = new Map<string, ListeningSocket>()
  readonly #hosts = new Map<string, SimHost>()
  readonly #resets = new Map<number, number>()
  /** Open connections, each once, by the side that made them. */
  readonly connections: Set<SimConnection> = new Set()
  #lastPort = 40_000

  constructor(queue: EventQueue, random: SimRandom, options: SimNetworkOptions = {}) {
    this.queue = queue
    this.random = random
    this.links = new Links(random, options.linkMs ?? [0.2, 0.6])
    this.windowBytes = options.windowBytes ?? defaultWindowBytes
    this.splitShare = options.splitShare ?? 0
    this.keepsNothing = options.keepsNothing ?? true
    this.onDelivery = options.onDelivery ?? null
  }

  /** A machine of this network; `name` is what others call it by. */
  addHost(id: number, name: string): SimHost {
    const host = new SimHost(this, id, name)
    this.#hosts.set(name, host)
    return host
  }

  /** The network as one process on `host` sees it. */
  networkFor(host: SimHost, readRange: RangeReader): Network {
    const { session } = host
    return {
      listen: (address, accept) => this.#listen(host, address, accept),
      connect: (address, timeoutMs) => this.#connect(host, session, address, timeoutMs, readRange),
    }
  }

  nextPort(): number {
    return ++this.#lastPort
  }

  /** The process on `host` is gone: nobody listens, and its connections end as the system ends them. */
  endProcess(host: SimHost, how: 'kill' | 'crash'): void {
    host.session++
    host.isUp = how === 'kill'
    for (const [where, { host: owner }] of this.#listening) if (owner === host) this.#listening.delete(where)
    for (const connection of [...this.connections]) {
      for (const side of [connection, connection.peer]) if (side.host === host) side.processEnded(how)
    }
  }

  /** The connections that node `from` made to node `to`. */
  between(from: number, to: number): SimConnection[] {
    return [...this.connections].filter(({ host, peer }) => host.id === from && peer.host.id === to)
  }

  /** Has the connections between two nodes reset once so many more bytes have come from one to the other. */
  resetAfter(from: number, to: number, bytes: number): void {
    this.#resets.set(from * 4096 + to, bytes)
  }

  /** How many of `bytes` that arrive are let through before a reset; null for all. */
  bytesBeforeReset(from: number, to: number, bytes: number): number | null {
    const key = from * 4096 + to
    const left = this.#resets.get(key)
    if (left === undefined) return null
    if (left < bytes) {
      this.#resets.delete(key)
      return left
    }
    this.#resets.set(key, left - bytes)
    return null
  }

  /** Everything is as it should be; connections that one side alone believes in are ended. */
  heal(): void {
    this.links.heal()
    this.#resets.clear()
    for (const host of this.#hosts.values()) host.acceptDelayMs = 0
    for (const connection of [...this.connections]) connection.endIfOneSided()
  }

  async #listen(
    host: SimHost,
    { host: name, port: wanted }: Address,
    accept: (c: Connection) => void,
  ): Promise<Listener> {
    host.onCall?.()
    const port = wanted === 0 ? this.nextPort() : wanted
    const where = `${host.name}:${port}`
    if (this.#listening.has(where)) throw new EngineError('addressInUse', `cannot listen on ${name}:${port}`)
    const socket: ListeningSocket = { host, accept }
    this.#listening.set(where, socket)
    return {
      address: { host: isLocal(name) ? name : host.name, port },
      close: async () => {
        socket.accept = null
        if (this.#listening.get(where) === socket) this.#listening.delete(where)
      },
    }
  }

  #connect(
    host: SimHost,
    session: number,
    address: Address,
    timeoutMs: number,
    readRange: RangeReader,
  ): Promise<Connection> {
    host.onCall?.()
    const where = `${address.host}:${address.port}`
    const target = isLocal(address.host) ? host : this.#hosts.get(address.host)
    return new Promise((resolve, reject) => {
      let isDone = false
      const later = (delayMs: number, run: () => void): void => {
        this.queue.add(delayMs, EventKind.connection, host.id, () => {
          if (!isDone && host.session === session) run()
        })
      }
      const fail = (text: string): void => {
        isDone = true
        reject(new EngineError('networkException', `cannot reach ${where}${text}`))
      }
      later(timeoutMs, () => fail(` within ${timeoutMs} ms`))
      if (target === undefined) return
      const attempt = (retryMs: number): void => {
        const isCut = this.links.isCut(host.id, target.id) || this.links.isCut(target.id, host.id)
        if (isCut || !target.isUp) {
          later(retryMs, () => attempt(retryMs * 2))
          return
        }
        const socket = this.#listening.get(`${target.name}:${address.port}`)
        if (socket?.accept == null) {
          later(this.links.delayMs(target.id, host.id), () => fail(': connection refused'))
          return
        }
        isDone = true
        const [mine, theirs] = SimConnection.pair(this, host, target, this.nextPort(), address)
        mine.readRange = readRange
        theirs.readRange = target.readRange
        // The system takes the connection; the process hears of it when it gets to it.
        this.queue.add(target.acceptDelayMs, EventKind.connection, target.id, () => {
          if (socket.accept === null || theirs.isClosed) theirs.destroy()
          else socket.accept(theirs)
        })
        this.queue.add(this.links.delayMs(target.id, host.id), EventKind.connection, host.id, () => {
          if (host.session === session) resolve(mine)
        })
      }
      later(this.links.delayMs(host.id, target.id), () => attempt(firstRetryMs))
    })
  }
}

/** One machine of a `SimNetwork`. */
export class SimHost {
  readonly network: SimNetwork
  readonly id: number
  readonly name: string
  /** Counts the processes that there were. */
  session = 0
  /** Whether the machine answers at all. */
  isUp = true
  acceptDelayMs = 0
  /** Reads what of a file is to be sent, for the process that is running. */
  readRange: RangeReader = () => Promise.reject(new EngineError('notFound', 'this host has no disk'))
  /** Told of each call of the network that the process makes. */
  onCall: (() => void) | null = null

  constructor(network: SimNetwork, id: number, name: string) {
    this.network = network
    this.id = id
    this.name = name
  }
}

function isLocal(name: string): boolean {
  return name === '127.0.0.1' || name === 'localhost' || name === '::1'
}

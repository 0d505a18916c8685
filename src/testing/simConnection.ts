import { EngineError, toEngineError } from '../model/errors.ts'
import { type FileHandle, partBytes, type SendPart } from '../model/fileRange.ts'
import type { Address, Connection, ConnectionHandler } from '../runtime/network.ts'
import { EventKind } from './eventKinds.ts'
import type { SimHost, SimNetwork } from './simNetwork.ts'

/** How long a closed stream waits for the other side to read what is on its way to it. */
const lingerMs = 1000
/** Bytes of a file that are read at once to be sent. */
const readBytes = 16 << 10

/** Reads a stretch of a file of the process that sends it. */
export type RangeReader = (file: FileHandle, target: Uint8Array, position: number) => Promise<number>

/** Bytes on their way, or the end of the stream. */
type Chunk = Uint8Array | null

/**
 * One side of a stream. What the system has taken is on its way even when the process dies; what has not found room waits
 * with the process.
 */
export class SimConnection implements Connection {
  readonly network: SimNetwork
  readonly host: SimHost
  readonly remote: Address
  peer!: SimConnection
  readRange: RangeReader = () => Promise.reject(new EngineError('notFound', 'there is no disk'))
  /** Whether this side is closed for its process. */
  isClosed = false
  /** This side has gone without a trace: what arrives here gets no answer. */
  isSilent = false
  /** What is on its way waits until this moment of the queue. */
  heldUntilMs = 0
  readonly #session: number
  #handler: ConnectionHandler | null = null
  #isPaused = false
  #hasEnded = false
  #finSent = false
  #finReceived = false
  #isClosedTold = false
  #closeError: Error | null = null
  #waiting: SendPart[] = []
  /** How much of the first of `#waiting` has been taken. */
  #taken = 0
  #unsentBytes = 0
  #owesDrain = false
  #isReading = false
  /** Bytes on their way and unread at the other side. */
  #usedBytes = 0
  readonly #flight: Chunk[] = []
  #lastArrivalMs = 0
  #arrivals = 0
  #isStalled = false
  #unread: Chunk[] = []

  private constructor(network: SimNetwork, host: SimHost, remote: Address) {
    this.network = network
    this.host = host
    this.remote = remote
    this.#session = host.session
  }

  /** Both sides of a new connection: of the one who connects to `address`, and of the one who listens. */
  static pair(
    network: SimNetwork,
    from: SimHost,
    to: SimHost,
    fromPort: number,
    address: Address,
  ): [SimConnection, SimConnection] {
    const mine = new SimConnection(network, from, address)
    const theirs = new SimConnection(network, to, {
      host: from === to ? address.host : from.name,
      port: fromPort,
    })
    mine.peer = theirs
    theirs.peer = mine
    network.connections.add(mine)
    return [mine, theirs]
  }

  get keepsNothing(): boolean {
    return this.network.keepsNothing
  }

  get unsentBytes(): number {
    return this.isClosed ? 0 : this.#unsentBytes
  }

  start(handler: ConnectionHandler): void {
    this.#handler = handler
    if (this.isClosed || this.#unread.length > 0) this.#soon(() => this.#readOn())
  }

  pause(): void {
    this.#isPaused = true
  }

  resume(): void {
    if (!this.#isPaused) return
    this.#isPaused = false
    if (this.#unread.length > 0) this.#soon(() => this.#readOn())
  }

  send(parts: readonly SendPart[]): void {
    this.host.onCall?.()
    if (this.#hasEnded || this.isClosed) return
    for (const part of parts) {
      this.#waiting.push(this.keepsNothing && part instanceof Uint8Array ? copyOf(part) : part)
      this.#unsentBytes += partBytes(part)
    }
    this.#pump()
    if (this.#unsentBytes > 0) this.#owesDrain = true
  }

  end(): void {
    if (this.#hasEnded || this.isClosed) return
    this.#hasEnded = true
    this.#pump()
  }

  destroy(): void {
    if (this.isClosed) return
    const isUnread = this.#unread.some((chunk) => chunk !== null)
    this.#close(null)
    if (isUnread) this.#tellReset(this.peer)
    else this.#sendFin()
    this.#soon(() => this.#tellClosed())
  }

  /** The connection broke, as far as this side is told. */
  abort(error: Error): void {
    if (this.isClosed) return
    this.#close(error)
    this.#tellClosed()
  }

  /** The process of this side is gone. */
  processEnded(how: 'kill' | 'crash'): void {
    const isUnread = this.#unread.some((chunk) => chunk !== null)
    const wasClosed = this.isClosed
    this.#isClosedTold = true
    this.#close(null)
    if (wasClosed || how === 'crash') return
    if (isUnread) this.#tellReset(this.peer)
    else this.#sendFin()
  }

  /** Ends what only one side still believes in. */
  endIfOneSided(): void {
    for (const side of [this, this.peer]) {
      if (side.isClosed && !side.peer.isClosed && (side.isSilent || !side.#finSent))
        side.#tellReset(side.peer)
    }
  }

  /** Hands to the system what it has room for. */
  #pump(): void {
    const { windowBytes } = this.network
    while (!this.#isReading && this.#waiting.length > 0) {
      const part = this.#waiting[0]!
      const left = partBytes(part) - this.#taken
      const count = Math.min(left, windowBytes - this.#usedBytes)
      if (left > 0 && count <= 0) return
      if (left === 0) {
        this.#waiting.shift()
        this.#taken = 0
      } else if (part instanceof Uint8Array) {
        const bytes = part.subarray(this.#taken, this.#taken + count)
        this.#take(this.keepsNothing ? bytes : copyOf(bytes))
      } else {
        this.#isReading = true
        void this.#takeFromFile(part.file, part.position + this.#taken, Math.min(count, readBytes))
      }
    }
    if (this.#waiting.length > 0) return
    if (this.#owesDrain) {
      this.#owesDrain = false
      this.#soon(() => this.isClosed || this.#handler?.drain())
    }
    if (this.#hasEnded && !this.#finSent) {
      this.#sendFin()
      this.#linger()
    }
  }

  #linger(): void {
    if (this.#finReceived) this.destroy()
    else this.network.queue.add(lingerMs, EventKind.connection, this.host.id, () => this.destroy())
  }

  #take(bytes: Uint8Array): void {
    this.#taken += bytes.length
    this.#unsentBytes -= bytes.length
    const { network } = this
    if (bytes.length > 1 && network.random.chance(network.splitShare)) {
      const at = 1 + network.random.below(bytes.length - 1)
      this.#fly(bytes.subarray(0, at))
      this.#fly(bytes.subarray(at))
    } else this.#fly(bytes)
  }

  async #takeFromFile(file: FileHandle, position: number, count: number): Promise<void> {
    const bytes = new Uint8Array(count)
    try {
      const found = await this.readRange(file, bytes, position)
      if (found === 0) throw new EngineError('diskFailed', `${file.path} ends before byte ${position}`)
      this.#isReading = false
      if (this.isClosed) return
      this.#take(bytes.subarray(0, found))
      this.#pump()
    } catch (error) {
      this.#isReading = false
      if (this.isClosed) return
      this.#close(toEngineError(error, 'diskFailed', `cannot read ${file.path}`))
      this.#sendFin()
      this.#soon(() => this.#tellClosed())
    }
  }

  #sendFin(): void {
    if (this.#finSent) return
    this.#finSent = true
    this.#fly(null)
  }

  #fly(chunk: Chunk): void {
    const { network, host, peer } = this
    if (chunk !== null) this.#usedBytes += chunk.length
    this.#flight.push(chunk)
    const { nowMs } = network.queue
    const atMs = Math.max(this.#lastArrivalMs, nowMs + network.links.delayMs(host.id, peer.host.id))
    this.#lastArrivalMs = atMs
    network.queue.add(atMs - nowMs, EventKind.delivery, peer.host.id, () => {
      this.#arrivals++
      if (!this.#isStalled) this.#arrive()
    })
  }

  /** Delivers what has come to the other side, if the way there is open. */
  #arrive(): void {
    const { network, host, peer } = this
    const { nowMs } = network.queue
    const again = (): void => {
      this.#isStalled = false
      this.#arrive()
    }
    if (nowMs < this.heldUntilMs) {
      this.#isStalled = true
      network.queue.add(this.heldUntilMs - nowMs, EventKind.delivery, peer.host.id, again)
      return
    }
    if (network.links.isCut(host.id, peer.host.id)) {
      this.#isStalled = true
      network.links.whenWhole(host.id, peer.host.id, () => {
        const delayMs = network.links.delayMs(host.id, peer.host.id)
        network.queue.add(delayMs, EventKind.delivery, peer.host.id, again)
      })
      return
    }
    for (; this.#arrivals > 0 && this.#flight.length > 0; this.#arrivals--)
      peer.#receive(this.#flight.shift()!)
  }

  #receive(chunk: Chunk): void {
    const { network, host, peer } = this
    if (chunk !== null) {
      network.onDelivery?.(peer.host.id, host.id, chunk)
      const passed = network.bytesBeforeReset(peer.host.id, host.id, chunk.length)
      if (passed !== null) {
        if (passed > 0) this.#receive(chunk.subarray(0, passed))
        this.#tellReset(peer)
        this.abort(resetError(this.remote))
        return
      }
    }
    if (this.isClosed) {
      // Where nobody is the system says so, unless the machine is down or one side was forgotten.
      if (chunk !== null && !this.isSilent && host.isUp) this.#tellReset(peer)
      return
    }
    this.#unread.push(chunk)
    this.#readOn()
  }

  /** Hands what has come to the process, unless it does not read. */
  #readOn(): void {
    while (!this.isClosed && this.#handler !== null && !this.#isPaused && this.#unread.length > 0) {
      const chunk = this.#unread.shift()!
      if (chunk === null) {
        this.#finReceived = true
        if (this.#finSent) this.destroy()
        else this.#handler.end()
        continue
      }
      this.peer.#read(chunk.length)
      if (this.#hasEnded) continue
      this.#handler.data(chunk)
      // Whoever keeps a chunk beyond the call shall notice.
      chunk.fill(0xdb)
    }
    if (this.isClosed) this.#tellClosed()
  }

  /** The other side has read so many bytes: there is room for as many. */
  #read(count: number): void {
    this.#usedBytes -= count
    if (this.#waiting.length > 0 && !this.isClosed) this.#soon(() => this.#pump())
  }

  #close(error: Error | null): void {
    if (this.isClosed) return
    this.isClosed = true
    this.#closeError = error
    this.#waiting = []
    this.#taken = 0
    this.#unsentBytes = 0
    this.#unread = []
    if (this.peer.isClosed) {
      this.network.connections.delete(this)
      this.network.connections.delete(this.peer)
    }
  }

  #tellClosed(): void {
    if (this.#isClosedTold || this.#handler === null) return
    this.#isClosedTold = true
    this.#handler.close(this.#closeError)
  }

  /** Tells `side` after a while that the connection is gone. */
  #tellReset(side: SimConnection): void {
    const { network } = this
    const { host } = side
    const tell = (): void => {
      if (network.links.isCut(side.peer.host.id, host.id)) {
        network.links.whenWhole(side.peer.host.id, host.id, () =>
          network.queue.add(1, EventKind.connection, host.id, tell),
        )
      } else side.abort(resetError(side.remote))
    }
    network.queue.add(network.links.delayMs(side.peer.host.id, host.id), EventKind.connection, host.id, tell)
  }

  /** Calls `run` as an event of its own, unless the process is gone by then. */
  #soon(run: () => void): void {
    const { network, host } = this
    network.queue.add(0, EventKind.connection, host.id, () => {
      if (host.session === this.#session) run()
    })
  }
}

/** Memory of its own; `slice` of a Buffer would be a view. */
function copyOf(bytes: Uint8Array): Uint8Array {
  return Uint8Array.from(bytes)
}

/** What a side is told whose connection broke. */
export function resetError({ host, port }: Address): EngineError {
  return new EngineError('networkException', `the connection with ${host}:${port} broke`)
}

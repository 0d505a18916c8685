import { EngineError, messageOf } from '../model/errors.ts'
import type { SendPart } from '../model/fileRange.ts'
import type { Clock, Timer } from '../runtime/clock.ts'
import type { Address, Connection, Network } from '../runtime/network.ts'
import { formatAddress } from './options.ts'

/** The largest response that is taken: a broker sends at least one whole batch, whatever was asked for. */
const maxFrameBytes = 256 * 1024 * 1024

interface Waiting {
  readonly correlationId: number
  readonly resolve: (frame: Uint8Array) => void
  readonly reject: (error: EngineError) => void
  readonly timer: Timer
}

/**
 * One stream to a broker: frames out, frames in, in order. Requests may be sent before earlier ones are answered.
 * A request that is not answered in time closes the connection, since answers come in the order of requests.
 */
export class ClientConnection {
  readonly address: Address
  readonly #connection: Connection
  readonly #clock: Clock
  #nextCorrelationId = 1
  #waiting: Waiting[] = []
  #closedBy: EngineError | null = null
  /** The frame that is arriving: its length in four bytes, then itself. */
  readonly #length = new Uint8Array(4)
  #lengthFilled = 0
  #frame: Uint8Array | null = null
  #frameFilled = 0

  private constructor(connection: Connection, clock: Clock, address: Address) {
    this.#connection = connection
    this.#clock = clock
    this.address = address
    connection.start({
      data: (chunk) => this.#take(chunk),
      end: () => this.#close(this.#lost('the broker closed the connection')),
      drain: () => {},
      close: (error) => this.#close(this.#lost(error?.message ?? 'the connection was closed')),
    })
  }

  /** Connects. Rejects with `networkException`, and a message that says what to check, when nobody answers. */
  static async open(
    network: Network,
    clock: Clock,
    address: Address,
    timeoutMs: number,
  ): Promise<ClientConnection> {
    try {
      return new ClientConnection(await network.connect(address, timeoutMs), clock, address)
    } catch (error) {
      const why = messageOf(error)
      const where = formatAddress(address)
      throw new EngineError(
        'networkException',
        `cannot reach a broker at ${where} (${why}); is it running, and is --bootstrap right?`,
        { cause: error },
      )
    }
  }

  get isClosed(): boolean {
    return this.#closedBy !== null
  }

  /** The id to put into the next request. */
  nextCorrelationId(): number {
    const id = this.#nextCorrelationId
    this.#nextCorrelationId = id === 0x7fffffff ? 1 : id + 1
    return id
  }

  /**
   * Sends a whole frame and resolves with the frame that answers it, without its length and beginning with its
   * correlation id. The result is the caller's own. Rejects with `requestTimedOut` after `timeoutMs`, with
   * `networkException` when the connection ends first.
   */
  exchange(correlationId: number, frame: readonly SendPart[], timeoutMs: number): Promise<Uint8Array> {
    return new Promise((resolve, reject) => {
      if (this.#closedBy !== null) return reject(this.#closedBy)
      const timer = this.#clock.setTimer(timeoutMs, () => {
        const waited = `${formatAddress(this.address)} did not answer within ${timeoutMs} ms`
        this.#close(new EngineError('requestTimedOut', waited))
      })
      this.#waiting.push({ correlationId, resolve, reject, timer })
      this.#connection.send(frame)
    })
  }

  /** Sends a frame that has no answer (Produce with acks=0). */
  post(frame: readonly SendPart[]): void {
    if (this.#closedBy !== null) throw this.#closedBy
    this.#connection.send(frame)
  }

  /** Bytes that the kernel has not taken. */
  get unsentBytes(): number {
    return this.#connection.unsentBytes
  }

  /** Sends what is queued, then closes; what waits for an answer is rejected. */
  close(): void {
    if (this.#closedBy !== null) return
    this.#connection.end()
    this.#fail(new EngineError('closed', 'the client was closed'))
  }

  #take(chunk: Uint8Array): void {
    let at = 0
    while (at < chunk.length && this.#closedBy === null) {
      if (this.#frame === null) {
        this.#length[this.#lengthFilled++] = chunk[at++]!
        if (this.#lengthFilled < 4) continue
        const lengthBytes = new DataView(this.#length.buffer).getInt32(0)
        if (lengthBytes < 4 || lengthBytes > maxFrameBytes) {
          const where = formatAddress(this.address)
          this.#close(new EngineError('malformed', `${where} does not speak Kafka's protocol (or needs TLS)`))
          return
        }
        this.#lengthFilled = 0
        this.#frame = new Uint8Array(lengthBytes)
        this.#frameFilled = 0
      }
      const taken = chunk.subarray(at, at + this.#frame.length - this.#frameFilled)
      this.#frame.set(taken, this.#frameFilled)
      this.#frameFilled += taken.length
      at += taken.length
      if (this.#frameFilled === this.#frame.length) {
        const frame = this.#frame
        this.#frame = null
        this.#answer(frame)
      }
    }
  }

  #answer(frame: Uint8Array): void {
    const correlationId = new DataView(frame.buffer).getInt32(0)
    const waiting = this.#waiting.shift()
    if (waiting === undefined || waiting.correlationId !== correlationId) {
      if (waiting !== undefined) this.#waiting.unshift(waiting)
      this.#close(new EngineError('malformed', `${formatAddress(this.address)} answered out of order`))
      return
    }
    waiting.timer.cancel()
    waiting.resolve(frame)
  }

  #lost(why: string): EngineError {
    return new EngineError(
      'networkException',
      `lost the connection to ${formatAddress(this.address)}: ${why}`,
    )
  }

  #close(error: EngineError): void {
    if (this.#closedBy !== null) return
    this.#connection.destroy()
    this.#fail(error)
  }

  #fail(error: EngineError): void {
    this.#closedBy = error
    for (const { timer, reject } of this.#waiting) {
      timer.cancel()
      reject(error)
    }
    this.#waiting = []
  }
}

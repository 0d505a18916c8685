import { EngineError, type EngineErrorName } from '../../model/errors.ts'
import { kafkaErrorName } from '../../model/kafkaErrors.ts'
import { type ApiName, apiKeys } from '../../protocol/apiKeys.ts'
import { decodeCorrelationId, decodeResponse, encodeRequest } from '../../protocol/headers.ts'
import type { Infer, InferInput } from '../../protocol/schema.ts'
import type { Clock, Timer } from '../../runtime/clock.ts'
import type { Address, Connection, Network } from '../../runtime/network.ts'

/** The body of a request; fields left out are at their default. */
export type RequestOf<N extends ApiName> = InferInput<(typeof apiKeys)[N]['request']>
/** The body of a response. */
export type ResponseOf<N extends ApiName> = Infer<(typeof apiKeys)[N]['response']>

interface Waiting {
  readonly correlationId: number
  readonly resolve: (frame: Uint8Array) => void
  readonly reject: (error: EngineError) => void
  readonly timer: Timer
}

/**
 * A client of Kafka's protocol on a machine of its own: one connection for each node, answers in the order of the requests. Knows
 * no metadata and tries nothing twice.
 */
export class SimKafka {
  readonly #network: Network
  readonly #clock: Clock
  readonly #addressOf: (node: number) => Address
  readonly #clientId: string
  readonly #streams = new Map<number, Promise<Stream>>()

  constructor(network: Network, clock: Clock, clientId: string, addressOf: (node: number) => Address) {
    this.#network = network
    this.#clock = clock
    this.#clientId = clientId
    this.#addressOf = addressOf
  }

  /** Asks a node, in the latest version. Rejects with `networkException` or `requestTimedOut` when nobody knows what became of it. */
  async request<N extends ApiName>(
    node: number,
    name: N,
    body: RequestOf<N>,
    timeoutMs: number,
  ): Promise<ResponseOf<N>> {
    const api = apiKeys[name]
    const version = api.max
    const stream = await this.#stream(node, timeoutMs)
    const frame = await stream.exchange(
      (correlationId) => encodeRequest(api, version, correlationId, this.#clientId, body),
      timeoutMs,
    )
    return decodeResponse(api, version, frame) as ResponseOf<N>
  }

  #stream(node: number, timeoutMs: number): Promise<Stream> {
    const known = this.#streams.get(node)
    if (known !== undefined) return known
    const opened = this.#network.connect(this.#addressOf(node), timeoutMs).then(
      (connection) => new Stream(connection, this.#clock, () => this.#streams.delete(node)),
      (error: unknown) => {
        this.#streams.delete(node)
        throw error
      },
    )
    this.#streams.set(node, opened)
    return opened
  }
}

/** One connection: frames out, frames in. */
class Stream {
  readonly #connection: Connection
  readonly #clock: Clock
  readonly #closed: () => void
  #nextId = 1
  #waiting: Waiting[] = []
  #bytes: Uint8Array = new Uint8Array(0)
  #isClosed = false

  constructor(connection: Connection, clock: Clock, closed: () => void) {
    this.#connection = connection
    this.#clock = clock
    this.#closed = closed
    connection.start({
      data: (chunk) => this.#take(chunk),
      end: () => this.#close(),
      drain: () => {},
      close: () => this.#close(),
    })
  }

  exchange(
    encode: (correlationId: number) => Parameters<Connection['send']>[0],
    timeoutMs: number,
  ): Promise<Uint8Array> {
    return new Promise((resolve, reject) => {
      if (this.#isClosed) {
        reject(lost())
        return
      }
      const correlationId = this.#nextId++
      const timer = this.#clock.setTimer(timeoutMs, () => {
        reject(new EngineError('requestTimedOut', `no answer within ${timeoutMs} ms`))
        this.#close()
      })
      this.#waiting.push({ correlationId, resolve, reject, timer })
      this.#connection.send(encode(correlationId))
    })
  }

  #take(chunk: Uint8Array): void {
    const bytes = new Uint8Array(this.#bytes.length + chunk.length)
    bytes.set(this.#bytes)
    bytes.set(chunk, this.#bytes.length)
    let at = 0
    while (at + 4 <= bytes.length) {
      const end = at + 4 + new DataView(bytes.buffer).getInt32(at)
      if (end > bytes.length) break
      this.#answer(bytes.slice(at + 4, end))
      at = end
    }
    this.#bytes = bytes.subarray(at)
  }

  #answer(frame: Uint8Array): void {
    const waiting = this.#waiting.shift()
    if (waiting === undefined) return
    const id = decodeCorrelationId(frame)
    if (waiting.correlationId !== id) {
      throw new Error(`the broker answers request ${id} where ${waiting.correlationId} waits`)
    }
    waiting.timer.cancel()
    waiting.resolve(frame)
  }

  #close(): void {
    if (this.#isClosed) return
    this.#isClosed = true
    this.#closed()
    this.#connection.destroy()
    for (const { timer, reject } of this.#waiting.splice(0)) {
      timer.cancel()
      reject(lost())
    }
  }
}

/** The error that a number in a response stands for; null for none. */
export function errorOf(code: number, more: object = {}): EngineError | null {
  if (code === 0) return null
  const name: EngineErrorName = kafkaErrorName(code)
  return Object.assign(new EngineError(name, `the broker says ${name}`), more)
}

function lost(): EngineError {
  return new EngineError('networkException', 'the connection broke')
}

import { connect, type Socket } from 'node:net'
import { onTestFinished } from 'vitest'
import { Broker, type BrokerOptions } from '../../../src/broker/broker.ts'
import { brokerConfig } from '../../../src/broker/brokerConfig.ts'
import type { Logger } from '../../../src/model/logger.ts'
import { type AnyApi, apiKeys } from '../../../src/protocol/apiKeys.ts'
import { decodeResponse, encodeRequest } from '../../../src/protocol/headers.ts'
import type { Infer, InferInput } from '../../../src/protocol/schema.ts'
import { createNodeRuntime } from '../../../src/runtime/node/nodeRuntime.ts'
import type { Runtime } from '../../../src/runtime/runtime.ts'
import { temporaryDirectory } from '../../support/temporaryDirectory.ts'
import { LineLogger } from './fakes.ts'

/** What a test may choose. */
export interface RunOptions extends BrokerOptions {
  readonly directory?: string
  readonly settings?: Readonly<Record<string, string>>
  readonly logger?: Logger
  readonly runtime?: Runtime
}

/** A broker on a free port that is closed when the test ends. */
export async function runBroker(options: RunOptions = {}): Promise<{
  broker: Broker
  directory: string
  logger: LineLogger
  runtime: Runtime
  close: () => Promise<void>
}> {
  const directory = options.directory ?? temporaryDirectory()
  const logger = new LineLogger()
  const runtime = options.runtime ?? createNodeRuntime()
  const config = brokerConfig(
    {
      listeners: 'PLAINTEXT://127.0.0.1:0',
      'log.dirs': directory,
      'group.initial.rebalance.delay.ms': '0',
      'group.min.session.timeout.ms': '100',
      'offsets.topic.num.partitions': '3',
      'cordwood.flush.policy': 'none',
      ...options.settings,
    },
    { hostName: 'localhost' },
  )
  const broker = await Broker.start(runtime, config, options.logger ?? logger, options)
  let closing: Promise<void> | null = null
  const close = (): Promise<void> => {
    closing ??= broker.close().then(() => runtime.disk.close())
    return closing
  }
  onTestFinished(close)
  return { broker, directory, logger, runtime, close }
}

/** A socket on which a test sends what it likes. */
export class RawClient {
  readonly socket: Socket
  #received = Buffer.alloc(0)
  #closed = false
  #wake: (() => void) | null = null
  #correlationId = 0

  private constructor(socket: Socket) {
    this.socket = socket
    socket.on('data', (chunk) => {
      this.#received = Buffer.concat([this.#received, chunk])
      this.#wake?.()
    })
    socket.on('error', () => {})
    socket.on('close', () => {
      this.#closed = true
      this.#wake?.()
    })
  }

  static async connect(broker: Pick<Broker, 'address'>): Promise<RawClient> {
    const socket = connect(broker.address.port, '127.0.0.1')
    const client = new RawClient(socket)
    await new Promise<void>((resolve, reject) => {
      socket.once('connect', resolve)
      socket.once('error', reject)
    })
    onTestFinished(() => void socket.destroy())
    return client
  }

  write(bytes: Uint8Array): void {
    this.socket.write(bytes)
  }

  /** Sends a request and takes its response. */
  async request<A extends AnyApi>(
    api: A,
    version: number,
    body: InferInput<A['request']>,
  ): Promise<Infer<A['response']>> {
    this.send(api, version, body)
    return this.response(api, version)
  }

  /** Sends a request; its correlation id. */
  send<A extends AnyApi>(api: A, version: number, body: InferInput<A['request']>): number {
    this.#correlationId += 1
    this.write(requestFrame(api, version, body, this.#correlationId))
    return this.#correlationId
  }

  /** The next response, without its size. Rejects when the broker closes the connection first. */
  async frame(): Promise<Uint8Array> {
    for (;;) {
      const received = this.#received
      if (received.length >= 4) {
        const end = 4 + received.readInt32BE(0)
        if (received.length >= end) {
          this.#received = received.subarray(end)
          return received.subarray(4, end)
        }
      }
      if (this.#closed) throw new Error('the broker closed the connection')
      await this.#somethingNew()
    }
  }

  async response<A extends AnyApi>(api: A, version: number): Promise<Infer<A['response']>> {
    return decodeResponse(api, version, await this.frame())
  }

  /** Everything received until the broker closes the connection. */
  async untilClosed(): Promise<Uint8Array> {
    while (!this.#closed) await this.#somethingNew()
    return this.#received
  }

  #somethingNew(): Promise<void> {
    return new Promise((resolve) => {
      this.#wake = resolve
    })
  }
}

/** A request with its size, as bytes. */
export function requestFrame<A extends AnyApi>(
  api: A,
  version: number,
  body: InferInput<A['request']>,
  correlationId = 1,
): Uint8Array {
  return Buffer.concat(encodeRequest(api, version, correlationId, 'test', body) as Uint8Array[])
}

/** Asks a fresh connection for ApiVersions: throws unless the broker answers as it should. */
export async function expectAlive(broker: Broker): Promise<void> {
  const client = await RawClient.connect(broker)
  const answer = await client.request(apiKeys.apiVersions, 0, {})
  if (answer.errorCode !== 0 || answer.apiKeys.length === 0) throw new Error('the broker does not answer')
  client.socket.destroy()
}

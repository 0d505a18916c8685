import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { EngineError } from '../../model/errors.ts'
import type { Address } from '../../runtime/network.ts'
import { formatAddress } from '../options.ts'
import type { Family } from './families.ts'

/** What the server asks of the broker beside it. */
export interface MetricsSource {
  /** Null while there is nothing to tell. */
  families(): Promise<readonly Family[] | null>
  /** Why clients should not be sent here yet, one reason each; empty when they should. */
  notReady(): readonly string[]
}

interface Answer {
  readonly status: number
  readonly text: string
  readonly contentType: string
}

/** How long a client may take for its request, and a connection may be idle. */
const clientMs = 10_000
const plainText = 'text/plain; charset=utf-8'

/**
 * `/metrics` for Prometheus, `/healthz` (this process answers) and `/readyz` (it serves clients; 503 with the reasons while not),
 * over HTTP. Answers scrapes one at a time: those that come meanwhile get the same text.
 */
export class MetricsServer {
  readonly #server: Server
  readonly #source: MetricsSource
  #scrape: Promise<Answer> | null = null
  #textOf: ((families: readonly Family[]) => Promise<Answer>) | null = null

  private constructor(source: MetricsSource) {
    this.#source = source
    this.#server = createServer({ requestTimeout: clientMs, headersTimeout: clientMs }, (request, response) =>
      this.#answer(request).then((answer) => send(response, answer)),
    )
    this.#server.keepAliveTimeout = clientMs
    this.#server.maxConnections = 64
  }

  /** Listens. Rejects with `addressInUse`, `permissionDenied` or `networkException`. */
  static async listen(address: Address, source: MetricsSource): Promise<MetricsServer> {
    const server = new MetricsServer(source)
    await new Promise<void>((resolve, reject) => {
      server.#server.once('error', (cause: NodeJS.ErrnoException) => {
        const codes: Record<string, EngineError['code']> = {
          EADDRINUSE: 'addressInUse',
          EACCES: 'permissionDenied',
        }
        const code = codes[cause.code ?? ''] ?? 'networkException'
        const text = `cannot serve metrics on ${formatAddress(address)}: ${cause.message.replace(/^listen (\w+): (.*) \S+$/, '$2')}; choose another --metrics`
        reject(new EngineError(code, text, { cause }))
      })
      server.#server.listen(address.port, address.host, resolve)
    })
    return server
  }

  /** Where it listens, with the real port. */
  get address(): Address {
    const { address, port } = this.#server.address() as AddressInfo
    return { host: address, port }
  }

  /** Ends every connection. */
  close(): Promise<void> {
    return new Promise((resolve) => {
      this.#server.close(() => resolve())
      this.#server.closeAllConnections()
    })
  }

  async #answer(request: IncomingMessage): Promise<Answer> {
    const path = (request.url ?? '/').replace(/\?.*$/s, '')
    if (request.method !== 'GET' && request.method !== 'HEAD') return plain(405, 'GET only\n')
    if (path === '/healthz') return plain(200, 'alive\n')
    if (path === '/readyz') {
      const reasons = this.#source.notReady()
      return reasons.length === 0 ? plain(200, 'ready\n') : plain(503, `${reasons.join('\n')}\n`)
    }
    if (path !== '/metrics') return plain(404, 'There are /metrics, /healthz and /readyz.\n')
    this.#scrape ??= this.#collect().finally(() => {
      this.#scrape = null
    })
    try {
      return await this.#scrape
    } catch (error) {
      return plain(500, `${(error as Error).message}\n`)
    }
  }

  async #collect(): Promise<Answer> {
    const families = await this.#source.families()
    if (families === null) return plain(503, 'starting\n')
    if (this.#textOf === null) {
      // The first scrape pays for loading the library; a broker that nobody scrapes does not.
      const { MetricsText } = await import('./registry.ts')
      const writer = new MetricsText()
      this.#textOf = async (all) => ({
        status: 200,
        text: await writer.text(all),
        contentType: writer.contentType,
      })
    }
    return this.#textOf(families)
  }
}

function plain(status: number, text: string): Answer {
  return { status, text, contentType: plainText }
}

function send(response: ServerResponse, { status, text, contentType }: Answer): void {
  response.writeHead(status, { 'content-type': contentType, 'content-length': Buffer.byteLength(text) })
  response.end(text)
}

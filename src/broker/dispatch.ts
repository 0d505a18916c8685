import { EngineError, messageOf } from '../model/errors.ts'
import type { SendPart } from '../model/fileRange.ts'
import { type AnyApi, apiKeys } from '../protocol/apiKeys.ts'
import {
  decodeRequestBody,
  decodeRequestHeader,
  encodeResponse,
  type RequestHeader,
  unsupportedApiVersionsResponse,
} from '../protocol/headers.ts'
import { type Infer, type InferInput, inRange } from '../protocol/schema.ts'
import type { Exchange, RequestStream } from './exchange.ts'
import { RequestStats } from './requestStats.ts'
import { type RequestContext, type Services, wireError } from './services.ts'

/** What a handler gives back: the body of the response, or null for none at all. */
export type Answer<A extends AnyApi> = InferInput<A['response']> | null

/** Carries out the requests of one API. */
export type Handler<A extends AnyApi> = (
  services: Services,
  context: RequestContext,
  request: Infer<A['request']>,
) => Answer<A> | Promise<Answer<A>>

/** A request of one API whose first parts are carried out while the rest of it arrives. */
export interface Stream<A extends AnyApi> extends RequestStream {
  /** All of it is there and is well-formed. */
  complete(request: Infer<A['request']>): Answer<A> | Promise<Answer<A>>
}

/** When a request has taken too long, and what is answered then in place of what its handler will say. */
export interface Deadline<A extends AnyApi> {
  afterMs(request: Infer<A['request']>): number
  answer(request: Infer<A['request']>, context: RequestContext): Answer<A>
}

/** An API and who carries it out. */
export interface Route<A extends AnyApi = AnyApi> {
  readonly api: A
  readonly handle: Handler<A>
  /**
   * Whether the next request of the same connection may begin before this one is answered. Otherwise a promise
   * holds it back, so that a client finds the effect of what it asked for before.
   */
  readonly overlaps: boolean
  /** Null for handlers that see to it themselves, or do not wait for the disk. */
  readonly deadline: Deadline<A> | null
  /** For requests so large that it pays to begin before they are whole; `bodyPosition` is where the body begins. */
  readonly begin: ((services: Services, context: RequestContext, bodyPosition: number) => Stream<A>) | null
}

/** One entry of the dispatch table. */
export function route<A extends AnyApi>(
  api: A,
  handle: Handler<A>,
  options: { overlaps?: boolean; deadline?: Deadline<NoInfer<A>>; begin?: Route<NoInfer<A>>['begin'] } = {},
): Route {
  const { overlaps = false, deadline = null, begin = null } = options
  return { api, handle, overlaps, deadline, begin } as unknown as Route
}

/** A request that is being carried out. */
interface Served {
  readonly exchange: Exchange
  readonly api: AnyApi
  readonly header: RequestHeader
  readonly stats: RequestStats
  /** When the whole of it was there, by the monotonic clock. */
  readonly beganMs: number
}

/** Finds the handler of each request and sends what it answers. */
export class Dispatcher {
  readonly #services: Services
  readonly #routes = new Map<number, { readonly route: Route; readonly stats: RequestStats }>()

  constructor(services: Services, routes: readonly Route[]) {
    this.#services = services
    for (const each of routes) this.#routes.set(each.api.key, { route: each, stats: new RequestStats() })
  }

  /** What has become of the requests so far, by the number of their API. */
  *stats(): IterableIterator<readonly [apiKey: number, RequestStats]> {
    for (const [key, { stats }] of this.#routes) yield [key, stats]
  }

  /**
   * Begins with a request of which the first `arrivedBytes` are there; null where that is not done for its API, and for one that
   * `dispatch` will refuse. The stream is to be given to `dispatch` once the request is whole.
   */
  begin(exchange: Exchange, arrivedBytes: number): RequestStream | null {
    try {
      // What lies behind them is of another request.
      const arrived = exchange.requestBytes.subarray(0, arrivedBytes)
      const { apiKey, apiVersion, clientId, bodyPosition } = decodeRequestHeader(arrived)
      const route = this.#routes.get(apiKey)?.route
      if (!route?.begin || apiVersion < route.api.min || apiVersion > route.api.max) return null
      return route.begin(this.#services, { exchange, apiVersion, clientId }, bodyPosition)
    } catch {
      return null
    }
  }

  /**
   * Carries out the request of `exchange`; settles it now or later, whatever happens. `stream` is what `begin` gave for it, and
   * has carried out some of it.
   */
  dispatch(exchange: Exchange, stream: RequestStream | null = null): void {
    let header: RequestHeader
    try {
      header = decodeRequestHeader(exchange.requestBytes)
    } catch (error) {
      exchange.fail('malformed', `its request header is malformed: ${messageOf(error)}`)
      return
    }
    const entry = this.#routes.get(header.apiKey)
    const found = entry?.route
    const version = header.apiVersion
    if (!entry || !found || version < found.api.min || version > found.api.max) {
      this.#refuse(exchange, header)
      return
    }
    let request: Infer<AnyApi['request']>
    try {
      request = decodeRequestBody(found.api, header, exchange.requestBytes)
    } catch (error) {
      exchange.fail(
        'malformed',
        `its request (API ${header.apiKey}, version ${version}) is malformed: ${messageOf(error)}`,
      )
      return
    }
    const { stats } = entry
    const beganMs = this.#services.runtime.clock.monotonicMs()
    stats.began(exchange.requestBytes.length)
    const served: Served = { exchange, api: found.api, header, stats, beganMs }
    const context = { exchange, apiVersion: version, clientId: header.clientId }
    let answer: Answer<AnyApi> | Promise<Answer<AnyApi>>
    try {
      answer =
        stream === null
          ? found.handle(this.#services, context, request)
          : (stream as Stream<AnyApi>).complete(request)
    } catch (error) {
      this.#failed(served, error)
      return
    }
    if (!(answer instanceof Promise)) {
      this.#respond(served, answer)
      return
    }
    if (!found.overlaps) exchange.hold()
    const { deadline } = found
    if (deadline)
      answer = this.#within(answer, deadline.afterMs(request), () => deadline.answer(request, context))
    answer.then(
      (late) => this.#respond(served, late),
      (error) => this.#failed(served, error),
    )
  }

  /** The answer, or after so long the one that says that it takes too long. */
  #within(
    answer: Promise<Answer<AnyApi>>,
    afterMs: number,
    late: () => Answer<AnyApi>,
  ): Promise<Answer<AnyApi>> {
    return new Promise((resolve, reject) => {
      const timer = this.#services.runtime.clock.setTimer(afterMs, () => resolve(late()))
      answer.then(resolve, reject).finally(() => timer.cancel())
    })
  }

  #respond(served: Served, answer: Answer<AnyApi>): void {
    const { exchange, api, header, stats } = served
    const timeMs = this.#services.runtime.clock.monotonicMs() - served.beganMs
    if (answer === null) {
      stats.ended(timeMs, null)
      exchange.skip()
      return
    }
    if (exchange.isSettled) return
    let parts: SendPart[]
    try {
      parts = encodeResponse(api, header.apiVersion, header.correlationId, answer)
    } catch (error) {
      wireError(
        this.#services,
        error instanceof EngineError ? new Error(error.message, { cause: error }) : error,
      )
      exchange.fail(
        'failed',
        `the answer to it (API ${api.key}, version ${header.apiVersion}) cannot be encoded`,
      )
      return
    }
    stats.ended(timeMs, parts)
    exchange.answer(parts)
  }

  /** A handler threw: the last resort, since most errors concern one of several things asked for. */
  #failed(served: Served, error: unknown): void {
    const { exchange, api, header } = served
    served.stats.hasFailed()
    const { errorCode } = wireError(this.#services, error)
    const field = api.response.fields.errorCode
    if (field && inRange(field.versions, header.apiVersion)) {
      this.#respond(served, { errorCode } as Answer<AnyApi>)
    } else {
      exchange.fail('failed', `a request of API ${api.key} failed: ${messageOf(error)}`)
    }
  }

  #refuse(exchange: Exchange, header: RequestHeader): void {
    const { apiVersions } = apiKeys
    if (header.apiKey === apiVersions.key) {
      exchange.answer(encodeResponse(apiVersions, 0, header.correlationId, unsupportedApiVersionsResponse))
    } else {
      exchange.fail(
        'notImplemented',
        `it asked for API ${header.apiKey} in version ${header.apiVersion}, which is not implemented`,
      )
    }
  }
}

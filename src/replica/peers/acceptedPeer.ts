import { EngineError } from '../../model/errors.ts'
import type { SendPart } from '../../model/fileRange.ts'
import type { AnyApi } from '../../protocol/apiKeys.ts'
import {
  decodeRequestBody,
  decodeRequestHeader,
  encodeResponse,
  type RequestHeader,
  unsupportedApiVersionsResponse,
} from '../../protocol/headers.ts'
import { quorumApis } from '../../protocol/quorumApis.ts'
import type { Infer, InferInput, Message } from '../../protocol/schema.ts'
import type { Connection } from '../../runtime/network.ts'
import { errorNumber } from '../wire/common.ts'
import { FrameReader } from './frameReader.ts'
import { LeaderSession } from './leaderSession.ts'
import { Outgoing } from './outgoing.ts'
import { type ChannelName, channelNames, strangerFrameBytes } from './peerOptions.ts'
import { type RequestContext, routes } from './requests.ts'

/** What all accepted connections of a node share. */
export interface AcceptContext extends RequestContext {
  readonly clusterId: string | null
  readonly self: number
  /** Another node has proved who it is. */
  introduced(connection: AcceptedPeer): void
  /** Called once, when the connection is gone. */
  gone(connection: AcceptedPeer): void
}

/** A request and the place of its answer in the order of answers. */
interface Exchange {
  parts: readonly SendPart[] | null
}

/**
 * A connection that another node, or an administrator, has made to this one: requests in, answers out in the same order. Only
 * a node that has introduced itself may take part in quorums; others may change voters.
 */
export class AcceptedPeer {
  /** Which node it is; -1 while it has not said. */
  node = -1
  channel: ChannelName | null = null
  session: LeaderSession | null = null
  readonly #socket: Connection
  readonly #context: AcceptContext
  readonly #outgoing: Outgoing
  readonly #reader: FrameReader
  #exchanges: Exchange[] = []
  /** What arrived while nothing may be read. */
  #stash: Uint8Array[] = []
  /** Requests that have arrived and are not looked at yet. */
  #held: Uint8Array[] = []
  #isAdministrator = false
  #isPaused = false
  #isResuming = false
  #isClosed = false

  constructor(socket: Connection, context: AcceptContext) {
    this.#socket = socket
    this.#outgoing = new Outgoing(socket)
    this.#context = context
    this.#reader = new FrameReader(
      strangerFrameBytes,
      (frame) => this.#frame(frame),
      (size) => this.#refuse('size', `it announced a request of ${size} bytes`),
    )
  }

  /** Begins to read. */
  start(): void {
    this.#socket.start({
      data: (chunk) => this.#data(chunk),
      end: () => this.destroy(),
      drain: () => this.#resume(),
      close: () => this.#gone(),
    })
  }

  /** Closes now. Answers that come later are dropped. */
  destroy(): void {
    if (this.#isClosed) return
    this.#gone()
    this.#outgoing.destroy()
  }

  /** Whether it has begun to say something that it has not finished, or never said who it is. */
  get isLate(): boolean {
    if (this.#isAdministrator) return this.#reader.isInside
    return this.node < 0 && (this.#reader.isInside || this.#exchanges.length === 0)
  }

  #gone(): void {
    if (this.#isClosed) return
    this.#isClosed = true
    this.#reader.stop()
    this.#stash = []
    this.#held = []
    this.session?.close()
    this.#context.gone(this)
  }

  #data(chunk: Uint8Array): void {
    if (this.#isClosed) return
    // The chunk is only valid during the call; `slice` of a Buffer would be a view of it.
    if (this.#isPaused) this.#stash.push(Uint8Array.from(chunk))
    else this.#reader.take(chunk)
  }

  /** Takes a request, or keeps it for when there is room: one chunk may have more of them than may be open. */
  #frame(frame: Uint8Array): void {
    if (this.#held.length > 0 || this.#isFull) this.#held.push(frame)
    else this.#carryOut(frame)
  }

  #carryOut(frame: Uint8Array): void {
    if (this.#isClosed) return
    let header: RequestHeader
    let body: Infer<Message>
    let api: AnyApi | undefined
    try {
      header = decodeRequestHeader(frame)
      api = apisByKey.get(header.apiKey)
      const isKnown = api !== undefined && header.apiVersion >= api.min && header.apiVersion <= api.max
      if (api === undefined || !isKnown) {
        if (this.node < 0 && this.#administer(header.apiKey, frame, null)) return
        this.#refuseVersion(header)
        return
      }
      body = decodeRequestBody(api, header, frame)
    } catch (error) {
      if (!(error instanceof EngineError)) throw error
      this.#refuse('malformed', `its request is malformed: ${error.message}`)
      return
    }
    if (this.node < 0 && this.#administer(api.key, frame, body)) return
    if (api.key === quorumApis.apiVersions.key) this.#introduce(header, body as Introduction)
    else this.#handle(api, header, body)
  }

  /** Hands on what is asked by somebody who does not say that it is a node; whether anybody takes it. */
  #administer(apiKey: number, frame: Uint8Array, body: Infer<Message> | null): boolean {
    const { handler } = this.#context
    if (apiKey === quorumApis.apiVersions.key && body !== null && (body as Introduction).peer !== null) {
      return false
    }
    const answer = handler.administer?.(this.#socket.remote.host, apiKey, frame) ?? null
    if (answer === null) return false
    this.#isAdministrator = true
    const exchange = this.#expect()
    answer.then(
      (parts) => {
        if (parts === null) this.destroy()
        else this.#settle(exchange, parts)
      },
      () => this.destroy(),
    )
    return true
  }

  #handle(api: AnyApi, header: RequestHeader, body: Infer<Message>): void {
    const route = routes.get(api.key)!
    if (this.node < 0 && !route.isForAll) {
      this.#refuse('stranger', `it asked for API ${api.key} without having said who it is`)
      return
    }
    // A message that waits on purpose does not keep what comes after it from being answered.
    if (api.key !== quorumApis.fetch.key) this.session?.letGo()
    const exchange = this.#expect()
    const fault = route.handle(this.#context, this, body, (answer) =>
      this.#answer(exchange, api, header, answer),
    )
    if (fault !== null) this.#refuse('impostor', fault)
  }

  /** The session of this connection, which begins with the first Fetch. */
  sessionOf(): LeaderSession {
    const { runtime, limits, handler } = this.#context
    this.session ??= new LeaderSession(runtime, limits, this.node, handler)
    return this.session
  }

  #introduce(header: RequestHeader, body: Introduction): void {
    const { clusterId, self } = this.#context
    const exchange = this.#expect()
    const { apiVersions } = quorumApis
    const answer = (errorCode: number): void =>
      this.#answer(exchange, apiVersions, header, {
        errorCode,
        apiKeys: offered,
        peer: { clusterId, nodeId: self },
      })
    const fault = this.#faultOf(body)
    if (fault !== null) {
      this.#context.log.warn(`peer:${fault.error}`, `refused a connection: ${fault.reason}`, this.#who())
      answer(errorNumber(fault.error))
      this.#reader.stop()
      this.#outgoing.end()
      return
    }
    if (body.peer !== null && this.node < 0) {
      this.node = body.peer.nodeId
      this.channel = body.peer.channel as ChannelName
      this.#reader.maxFrameBytes = this.#context.limits.maxFrameBytes
      this.#context.introduced(this)
    }
    answer(0)
  }

  #faultOf({ clusterId, nodeId, peer }: Introduction) {
    const { self, clusterId: own } = this.#context
    if (clusterId !== null && own !== null && clusterId !== own) {
      return {
        error: 'inconsistentClusterId',
        reason: `it looks for cluster ${clusterId}, this is ${own}`,
      } as const
    }
    if (nodeId !== -1 && nodeId !== self) {
      return { error: 'rebootstrapRequired', reason: `it looks for node ${nodeId}, this is ${self}` } as const
    }
    if (peer === null) return null
    const isSound =
      peer.nodeId >= 0 && peer.nodeId !== self && channelNames.includes(peer.channel as ChannelName)
    const isSame = this.node < 0 || (peer.nodeId === this.node && peer.channel === this.channel)
    if (isSound && isSame) return null
    return { error: 'invalidRequest', reason: `it says that it is node ${peer.nodeId}` } as const
  }

  #expect(): Exchange {
    const exchange: Exchange = { parts: null }
    this.#exchanges.push(exchange)
    this.#pauseIfFull()
    return exchange
  }

  #answer(
    exchange: Exchange,
    api: AnyApi,
    { apiVersion, correlationId }: RequestHeader,
    body: InferInput<Message>,
  ): void {
    if (this.#isClosed || exchange.parts !== null) return
    this.#settle(exchange, encodeResponse(api, apiVersion, correlationId, body))
  }

  #settle(exchange: Exchange, parts: readonly SendPart[]): void {
    if (this.#isClosed || exchange.parts !== null) return
    exchange.parts = parts
    if (this.channel === 'calls' && this.#exchanges[0] !== exchange) {
      this.#exchanges.splice(this.#exchanges.indexOf(exchange), 1)
      this.#outgoing.send(exchange.parts)
      this.#resume()
      return
    }
    let count = 0
    while (count < this.#exchanges.length && this.#exchanges[count]!.parts !== null) count++
    const answered = this.#exchanges.splice(0, count)
    for (const { parts } of answered) this.#outgoing.send(parts!)
    this.#resume()
  }

  get #isFull(): boolean {
    const { maxInFlight, maxCallsInFlight, maxUnsentBytes } = this.#context.limits
    const most = this.channel === 'calls' ? maxCallsInFlight : maxInFlight
    return this.#exchanges.length >= most || this.#outgoing.unsentBytes > maxUnsentBytes
  }

  /** Reads no more while too much waits here, or on its way out. */
  #pauseIfFull(): void {
    if (this.#isPaused || !this.#isFull) return
    this.#isPaused = true
    this.#socket.pause()
  }

  /** Goes on with what was left, as far as there is room. */
  #resume(): void {
    if (!this.#isPaused || this.#isResuming) return
    this.#isResuming = true
    while (!this.#isClosed && !this.#isFull && this.#held.length + this.#stash.length > 0) {
      if (this.#held.length > 0) this.#carryOut(this.#held.shift()!)
      else this.#reader.take(this.#stash.shift()!)
    }
    this.#isResuming = false
    if (this.#isClosed || this.#isFull) return
    this.#isPaused = false
    this.#socket.resume()
  }

  #refuseVersion(header: RequestHeader): void {
    if (header.apiKey !== quorumApis.apiVersions.key) {
      this.#refuse('notImplemented', `it asked for API ${header.apiKey} in version ${header.apiVersion}`)
      return
    }
    const exchange = this.#expect()
    const plain = { ...header, apiVersion: 0 }
    this.#answer(exchange, quorumApis.apiVersions, plain, unsupportedApiVersionsResponse)
  }

  #refuse(kind: string, reason: string): void {
    if (this.#isClosed) return
    this.#context.log.warn(`peer:${kind}`, `closed a connection between nodes: ${reason}`, this.#who())
    this.destroy()
  }

  #who(): { readonly remote: string; readonly node: number } {
    const { host, port } = this.#socket.remote
    return { remote: `${host}:${port}`, node: this.node }
  }
}

type Introduction = Infer<typeof quorumApis.apiVersions.request>

const apisByKey = new Map<number, AnyApi>(Object.values(quorumApis).map((api) => [api.key, api as AnyApi]))

const offered = Object.values(quorumApis).map(({ key, min, max }) => ({
  apiKey: key,
  minVersion: min,
  maxVersion: max,
}))

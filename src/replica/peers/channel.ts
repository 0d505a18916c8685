import { EngineError, type EngineErrorName, messageOf } from '../../model/errors.ts'
import type { Api } from '../../protocol/apiKeys.ts'
import { decodeResponse, encodeRequest } from '../../protocol/headers.ts'
import { quorumApis } from '../../protocol/quorumApis.ts'
import type { Infer, InferInput, Message } from '../../protocol/schema.ts'
import type { Timer } from '../../runtime/clock.ts'
import type { Address, Connection } from '../../runtime/network.ts'
import { replicaMemory } from '../leasedMemory.ts'
import { errorName } from '../wire/common.ts'
import { FrameReader } from './frameReader.ts'
import { Outgoing } from './outgoing.ts'
import { type ChannelName, type PeerLimits, type PeerRuntime, strangerFrameBytes } from './peerOptions.ts'

/** What a channel tells whoever sends through it. */
export interface ChannelOwner {
  /** Where the node is at the moment; null when nobody knows. */
  address(): Address | null
  /** Requests may be sent. */
  opened(): void
  /** The node could not be reached, or is not the one that was meant; `reason` says how. */
  unreachable(reason: string): void
  /** An open connection is gone: it broke, or (`silent`) an answer took too long. Nothing that was sent is answered. */
  broke(reason: string, silent: boolean): void
}

/** How long what has arrived may take to be read. */
const lastChanceMs = 20

/** Who talks to whom. */
export interface ChannelEnds {
  readonly clusterId: string | null
  readonly self: number
  readonly remote: number
  readonly name: ChannelName
}

interface Waiting {
  readonly timeoutMs: number
  decode(frame: Uint8Array): unknown
  answered(body: unknown): void
}

type State = 'idle' | 'connecting' | 'open' | 'closed'

const software = { clientSoftwareName: 'cordwood', clientSoftwareVersion: '0.1.0' }

/**
 * One connection for requests to another node, made when it is needed and again after it broke. Nothing is sent before both
 * sides have proved who they are: cluster, node asked for, node that asks. Answers come in the order of the requests; one
 * that takes too long ends the connection.
 */
export class Channel {
  readonly #runtime: PeerRuntime
  readonly #limits: PeerLimits
  readonly #ends: ChannelEnds
  readonly #owner: ChannelOwner
  #state: State = 'idle'
  #outgoing: Outgoing | null = null
  #reader: FrameReader | null = null
  /** By correlation id, the oldest first. */
  #waiting = new Map<number, Waiting>()
  #correlationId = 0
  /** Since when the oldest of them could have been answered. */
  #oldestMs = 0
  #heardMs = 0
  #failures = 0
  #retryAtMs = 0
  #retry: Timer | null = null
  #watch: Timer | null = null
  /** Tells a connection from those before it. */
  #generation = 0

  constructor(runtime: PeerRuntime, limits: PeerLimits, ends: ChannelEnds, owner: ChannelOwner) {
    this.#runtime = runtime
    this.#limits = limits
    this.#ends = ends
    this.#owner = owner
  }

  get isOpen(): boolean {
    return this.#state === 'open'
  }

  /** Whether so much is on its way that no more should be sent now. */
  get isFull(): boolean {
    return (this.#outgoing?.unsentBytes ?? 0) > this.#limits.maxUnsentBytes
  }

  /** Makes the connection unless it is there or being made; waits first if the last attempt was a moment ago. */
  open(): void {
    if (this.#state !== 'idle' || this.#retry !== null) return
    const delayMs = this.#retryAtMs - this.#runtime.clock.monotonicMs()
    if (delayMs > 0) {
      this.#retry = this.#runtime.clock.setTimer(delayMs, () => {
        this.#retry = null
        this.#connect()
      })
    } else this.#connect()
  }

  /** The node lives, as it has shown elsewhere: what waits for another attempt waits no longer. */
  retryNow(): void {
    this.#failures = 0
    this.#retryAtMs = 0
    if (this.#retry === null) return
    this.#retry.cancel()
    this.#retry = null
    this.#connect()
  }

  /**
   * Sends a request; the result takes the question back. `answered` gets the body of the answer; it is not called when the
   * connection breaks first. An answer that does not come within `timeoutMs`, or cannot be read, breaks it.
   */
  request<Req extends Message, Res extends Message>(
    api: Api<Req, Res>,
    body: InferInput<Req>,
    timeoutMs: number,
    answered: (body: Infer<Res>) => void,
  ): () => void {
    const correlationId = (this.#correlationId = (this.#correlationId + 1) | 0)
    if (this.#waiting.size === 0) this.#oldestMs = this.#runtime.clock.monotonicMs()
    this.#waiting.set(correlationId, {
      timeoutMs,
      decode: (frame) => decodeResponse(api, api.max, frame),
      answered: (answer) => answered(answer as Infer<Res>),
    })
    this.#watchOldest()
    this.#outgoing!.send(encodeRequest(api, api.max, correlationId, software.clientSoftwareName, body))
    const generation = this.#generation
    return () => {
      if (generation === this.#generation) this.#waiting.delete(correlationId)
    }
  }

  /** Why the other side did not take this node for one of its cluster when it was last reached; null when it did. */
  refusal: EngineErrorName | null = null

  /** When something came last, in monotonic milliseconds. */
  get heardMs(): number {
    return this.#heardMs
  }

  /** Gives the connection up, as if it had not answered. */
  giveUp(reason: string): void {
    this.#break(reason, true)
  }

  /** Sends what is queued, then closes for good. Nobody is told. */
  close(): void {
    this.#state = 'closed'
    this.#generation++
    this.#retry?.cancel()
    this.#watch?.cancel()
    this.#waiting.clear()
    this.#outgoing?.end()
    this.#outgoing = null
  }

  #connect(): void {
    if (this.#state !== 'idle') return
    this.#state = 'connecting'
    this.refusal = null
    const address = this.#owner.address()
    if (address === null) {
      this.#break('nobody knows where it is', false)
      return
    }
    const generation = ++this.#generation
    this.#runtime.network.connect(address, this.#limits.connectTimeoutMs).then(
      (socket) => {
        if (generation === this.#generation && this.#state === 'connecting') this.#connected(socket)
        else socket.destroy()
      },
      (error) => {
        if (generation === this.#generation) this.#break(messageOf(error), false)
      },
    )
  }

  #connected(socket: Connection): void {
    const generation = this.#generation
    const isCurrent = (): boolean => generation === this.#generation
    const reader = new FrameReader(
      strangerFrameBytes,
      (frame) => this.#frame(frame),
      (size) => this.#break(`it announced an answer of ${size} bytes`, false),
      // Of the answers there only records of a Fetch are views, which have leases where they are kept.
      this.#ends.name === 'fetch' ? replicaMemory : null,
    )
    this.#outgoing = new Outgoing(socket)
    this.#reader = reader
    this.#correlationId = 0
    socket.start({
      data: (chunk) => {
        if (isCurrent()) reader.take(chunk)
      },
      end: () => {
        if (isCurrent()) this.#break('the other side closed the connection', false)
      },
      drain: () => {
        if (isCurrent() && this.isOpen) this.#owner.opened()
      },
      close: (error) => {
        if (isCurrent()) this.#break(error?.message ?? 'the connection was closed', false)
      },
    })
    if (isCurrent()) this.#introduce()
  }

  /** The first exchange: who is meant, who asks, and whether that is whom it reached. */
  #introduce(): void {
    const { clusterId, self, remote, name } = this.#ends
    const request = { ...software, clusterId, nodeId: remote, peer: { nodeId: self, channel: name } }
    this.request(quorumApis.apiVersions, request, this.#limits.connectTimeoutMs, (answer) => {
      const refusal = this.#refusalOf(answer)
      if (refusal !== null) {
        this.#break(refusal, false)
        return
      }
      this.#state = 'open'
      this.#failures = 0
      this.#reader!.maxFrameBytes = this.#limits.maxFrameBytes
      this.#owner.opened()
    })
  }

  #refusalOf(answer: Infer<typeof quorumApis.apiVersions.response>): string | null {
    const { clusterId, remote } = this.#ends
    const { errorCode, peer } = answer
    this.refusal = errorCode === 0 ? null : errorName(errorCode)
    if (errorCode !== 0) return `it refused the connection: ${errorName(errorCode)}`
    if (peer === null) return 'it is no node of this project'
    if (peer.clusterId !== clusterId && peer.clusterId !== null && clusterId !== null) {
      this.refusal = 'inconsistentClusterId'
      return `it belongs to cluster ${peer.clusterId} and not to ${clusterId}`
    }
    if (peer.nodeId !== remote) return `it is node ${peer.nodeId} and not ${remote}`
    const offered = new Map(answer.apiKeys.map((versions) => [versions.apiKey, versions]))
    const missing = Object.entries(quorumApis).find(([, { key, max }]) => {
      const versions = offered.get(key)
      return versions === undefined || max < versions.minVersion || max > versions.maxVersion
    })
    return missing ? `it does not offer ${missing[0]} in version ${missing[1].max}` : null
  }

  #frame(frame: Uint8Array): void {
    this.#oldestMs = this.#heardMs = this.#runtime.clock.monotonicMs()
    const { waiting, mayOvertake } = this.#waitingFor(frame)
    if (waiting === null) {
      // Calls are taken back when they take too long: their late answers are nobody's.
      if (!mayOvertake) this.#break('it answered what was not asked', false)
      return
    }
    let body: unknown
    try {
      body = waiting.decode(frame)
    } catch (error) {
      if (!(error instanceof EngineError)) throw error
      this.#break(`its answer is malformed: ${error.message}`, false)
      return
    }
    waiting.answered(body)
  }

  /** Whom an answer belongs to; in order it is the oldest, or nobody. */
  #waitingFor(frame: Uint8Array): { readonly waiting: Waiting | null; readonly mayOvertake: boolean } {
    const mayOvertake = this.#ends.name === 'calls' && this.isOpen
    if (frame.length < 4) return { waiting: null, mayOvertake: false }
    const correlationId = new DataView(frame.buffer, frame.byteOffset).getInt32(0)
    const waiting = this.#waiting.get(correlationId) ?? null
    if (!mayOvertake && waiting !== this.#oldest) return { waiting: null, mayOvertake }
    this.#waiting.delete(correlationId)
    return { waiting, mayOvertake }
  }

  get #oldest(): Waiting | null {
    for (const waiting of this.#waiting.values()) return waiting
    return null
  }

  /**
   * One timer for all requests: it looks at the oldest, since answers come in order. A request's time begins when the one
   * before it is answered.
   */
  #watchOldest(): void {
    const leftMs = this.#leftMs()
    if (this.#watch !== null || leftMs === Number.POSITIVE_INFINITY) return
    this.#watch = this.#runtime.clock.setTimer(Math.max(1, Math.ceil(leftMs)), () => {
      this.#watch = null
      if (this.#leftMs() > 0) this.#watchOldest()
      else this.#lookOnceMore()
    })
  }

  /** Gives up, unless the answer is there and just not read: this process itself may have stood still. */
  #lookOnceMore(): void {
    const heardMs = this.#heardMs
    this.#watch = this.#runtime.clock.setTimer(lastChanceMs, () => {
      this.#watch = null
      if (this.#heardMs > heardMs) this.#watchOldest()
      else this.#break('it did not answer in time', true)
    })
  }

  /** How long the oldest request may still take; infinite when there is none. */
  #leftMs(): number {
    const timeoutMs = this.#oldest?.timeoutMs ?? Number.POSITIVE_INFINITY
    return this.#oldestMs + timeoutMs - this.#runtime.clock.monotonicMs()
  }

  #break(reason: string, silent: boolean): void {
    if (this.#state === 'closed' || this.#state === 'idle') return
    const wasOpen = this.#state === 'open'
    this.#state = 'idle'
    this.#generation++
    this.#waiting.clear()
    this.#watch?.cancel()
    this.#watch = null
    this.#reader?.stop()
    this.#outgoing?.destroy()
    this.#outgoing = null
    const { minBackoffMs, maxBackoffMs } = this.#limits
    const backoffMs = Math.min(maxBackoffMs, minBackoffMs * 2 ** Math.min(this.#failures++, 20))
    const half = Math.ceil(backoffMs / 2)
    this.#retryAtMs = this.#runtime.clock.monotonicMs() + half + this.#runtime.random.below(half + 1)
    if (wasOpen) this.#owner.broke(reason, silent)
    else this.#owner.unreachable(reason)
  }
}

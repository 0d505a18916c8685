import type { SendPart } from '../model/fileRange.ts'
import type { RequestBytes } from './requestPool.ts'

/** Somebody who carries out the first parts of a request while the rest of it arrives. */
export interface RequestStream {
  /** So many bytes of the request are there. */
  arrived(bytes: number): void
}

/** Why a request cannot be answered. */
export type FailureKind = 'malformed' | 'notImplemented' | 'unacknowledged' | 'failed'

/** What an exchange tells the connection that it belongs to. */
export interface ExchangeOwner {
  /** For messages: who sent the request. */
  readonly remoteHost: string
  /** The exchange has its answer, or needs none. */
  settled(exchange: Exchange): void
  /** No further request of the connection may be looked at before `proceeded`. */
  held(): void
  proceeded(): void
  /** Gives the connection up. `kind` is one of a few, so that the log can leave out repetitions. */
  fail(kind: FailureKind, reason: string): void
}

/**
 * One request of a connection and the place of its response in the order of responses. Whatever happens, it is
 * settled exactly once: by `answer`, `skip` or `fail`; later calls do nothing.
 */
export class Exchange {
  readonly #owner: ExchangeOwner
  readonly #request: RequestBytes
  #held = false
  #closed = false
  /** Who still looks at the request's bytes, whatever becomes of the exchange. */
  #borrowers = 0
  #isReleased = false
  #onClose: (() => void) | null = null
  /** The whole response frame; null before there is one, and for a request that gets none. */
  parts: readonly SendPart[] | null = null
  isSettled = false

  constructor(owner: ExchangeOwner, request: RequestBytes) {
    this.#owner = owner
    this.#request = request
  }

  /** The request without its size: valid until `releaseRequest`. */
  get requestBytes(): Uint8Array {
    return this.#request.bytes
  }

  /** See `RequestBytes.isLent`. */
  get isRequestLent(): boolean {
    return this.#request.isLent
  }

  /** The host that the request came from. */
  get remoteHost(): string {
    return this.#owner.remoteHost
  }

  /** Whether the client has gone. Its requests are still carried out, but waiting for anything is pointless. */
  get isClosed(): boolean {
    return this.#closed
  }

  /**
   * Gives the request's memory to the next one as soon as nobody has borrowed it: nothing decoded from it may be looked at
   * afterwards.
   */
  releaseRequest(): void {
    this.#isReleased = true
    if (this.#borrowers === 0) this.#request.release()
  }

  /** Keeps the request's memory as it is, whatever becomes of the exchange, until as many calls of `returnRequest`. */
  borrowRequest(): void {
    this.#borrowers += 1
  }

  /** Ends one `borrowRequest`. */
  returnRequest(): void {
    this.#borrowers -= 1
    if (this.#isReleased) this.releaseRequest()
  }

  /** Makes later requests of this connection wait until `proceed`, or until this one is settled. */
  hold(): void {
    if (this.#held || this.isSettled) return
    this.#held = true
    this.#owner.held()
  }

  /** Ends `hold`. */
  proceed(): void {
    if (!this.#held) return
    this.#held = false
    this.#owner.proceeded()
  }

  /** Calls `listener` (one at a time; null takes it away) when the client goes before this is settled. */
  onClose(listener: (() => void) | null): void {
    this.#onClose = listener
    if (listener && this.#closed) this.close()
  }

  /** Called by the connection when the client has gone. */
  close(): void {
    this.#closed = true
    const listener = this.#onClose
    this.#onClose = null
    listener?.()
  }

  /** Settles with the response frame, size included. */
  answer(parts: readonly SendPart[]): void {
    if (this.isSettled) return
    this.parts = parts
    this.#settle()
  }

  /** Settles without a response (`acks=0`). */
  skip(): void {
    this.#settle()
  }

  /** Settles by giving the connection up, for requests that cannot be answered. */
  fail(kind: FailureKind, reason: string): void {
    if (this.isSettled) return
    this.#owner.fail(kind, reason)
    this.#settle()
  }

  #settle(): void {
    if (this.isSettled) return
    this.isSettled = true
    this.#onClose = null
    this.releaseRequest()
    this.#owner.settled(this)
    this.proceed()
  }
}

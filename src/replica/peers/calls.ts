import { EngineError, type EngineErrorName } from '../../model/errors.ts'
import { quorumApis } from '../../protocol/quorumApis.ts'
import type { Timer } from '../../runtime/clock.ts'
import { errorName } from '../wire/common.ts'
import type { Channel } from './channel.ts'
import type { PeerLimits, PeerRuntime } from './peerOptions.ts'

/** A call that has no answer yet. */
interface Call {
  readonly payload: Uint8Array
  readonly resolve: (answer: Uint8Array) => void
  readonly reject: (error: EngineError) => void
  readonly timer: Timer
  /** Takes it back once it was sent. */
  takeBack: (() => void) | null
}

/** The calls to one node: requests of whoever runs above the groups, each answered when it is done. */
export class Calls {
  readonly #runtime: PeerRuntime
  readonly #limits: PeerLimits
  readonly #channel: Channel
  readonly #open = new Set<Call>()
  #queue = new Set<Call>()
  #queuedBytes = 0

  constructor(runtime: PeerRuntime, limits: PeerLimits, channel: Channel) {
    this.#runtime = runtime
    this.#limits = limits
    this.#channel = channel
  }

  /** See `Transport.call`. */
  add(payload: Uint8Array, timeoutMs: number): Promise<Uint8Array> {
    if (this.#queuedBytes > this.#limits.maxUnsentBytes) {
      return Promise.reject(new EngineError('queueFull', 'too many calls wait to be sent to one node'))
    }
    const { clock } = this.#runtime
    const sinceMs = clock.monotonicMs()
    return new Promise((resolve, reject) => {
      const timer = clock.setTimer(timeoutMs, () => {
        this.#open.delete(call)
        this.#dequeue(call)
        call.takeBack?.()
        reject(new EngineError('requestTimedOut', `a call was not answered within ${timeoutMs} ms`))
        // Nothing at all has come since: the connection may be one that nobody holds at the other end.
        if (call.takeBack !== null && this.#channel.heardMs <= sinceMs)
          this.#channel.giveUp('no call was answered')
      })
      const call: Call = { payload, resolve, reject, timer, takeBack: null }
      this.#queue.add(call)
      this.#queuedBytes += payload.length
      this.flush()
    })
  }

  /** Sends what may be sent. */
  flush(): void {
    if (this.#queue.size === 0) return
    if (!this.#channel.isOpen) {
      this.#channel.open()
      return
    }
    for (const call of this.#queue) {
      if (this.#channel.isFull) return
      this.#send(call)
    }
  }

  /** See `Channel.retryNow`. */
  retryNow(): void {
    this.#channel.retryNow()
  }

  /** The connection is gone, and nobody knows what became of what was sent. */
  lose(reason: string): void {
    this.#channel.giveUp(reason)
    const sent = [...this.#open]
    const unsent = [...this.#queue]
    this.#open.clear()
    this.#queue.clear()
    this.#queuedBytes = 0
    const fail = ({ timer, reject }: Call, code: EngineErrorName): void => {
      timer.cancel()
      reject(new EngineError(code, `the node that was called is not reached: ${reason}`))
    }
    for (const call of sent) fail(call, 'networkException')
    // What was not sent is not done: whoever called may do so again.
    for (const call of unsent) fail(call, this.#channel.refusal ?? 'brokerNotAvailable')
  }

  /** Sends what is queued, fails the rest, and closes. */
  close(): void {
    this.#channel.close()
    this.lose('the transport was closed')
  }

  #send(call: Call): void {
    this.#dequeue(call)
    this.#open.add(call)
    const request = { requestData: call.payload, requestPrincipal: null }
    call.takeBack = this.#channel.request(
      quorumApis.envelope,
      request,
      Number.POSITIVE_INFINITY,
      ({ errorCode, responseData }) => {
        this.#open.delete(call)
        call.timer.cancel()
        if (errorCode === 0 && responseData !== null) call.resolve(responseData)
        else {
          const code = errorCode === 0 ? 'malformed' : errorName(errorCode)
          call.reject(new EngineError(code, `a call was refused: ${code}`))
        }
      },
    )
  }

  #dequeue(call: Call): void {
    if (!this.#queue.delete(call)) return
    this.#queuedBytes -= call.payload.length
  }
}

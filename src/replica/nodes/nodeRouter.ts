import { EngineError } from '../../model/errors.ts'
import type { Clock } from '../../runtime/clock.ts'
import type { GroupListener } from '../groupTypes.ts'
import { NotLeaderError } from '../notLeader.ts'
import {
  type CallKindNumber,
  type CallRequest,
  type CallResponse,
  decodeAnswer,
  encodeCall,
} from './nodeCalls.ts'

/** What finding a leader needs of a group. */
export interface LedGroup {
  readonly leaderId: number
  watch(listener: GroupListener): () => void
  /** The node that was taken for the leader has refused a call, or could not be asked. */
  missed?(asked: number, error: unknown): void
}

/** A call of a leader, here or elsewhere. */
export interface LeaderCall<T> {
  readonly group: LedGroup
  /** For messages. */
  readonly name: string
  readonly signal?: AbortSignal | undefined
  /** Whether it does no harm to be carried out twice: then a broken connection is no reason to give up. */
  readonly repeatable: boolean
  /** Done here, where this node leads. */
  local(): Promise<T>
  /** Asked of another node. */
  readonly request: Partial<CallRequest> & { readonly kind: CallKindNumber }
  /** What its answer means. */
  result(answer: CallResponse): T
}

/** What the router needs of the node. */
export interface RouterOptions {
  readonly nodeId: number
  readonly clusterId: string
  readonly clock: Clock
  readonly timeoutMs: number
  call(to: number, payload: Uint8Array, timeoutMs: number): Promise<Uint8Array>
}

/** After how long a node that is not the leader any more is asked again, if nothing is heard. */
const backoffMs = 50

/** Takes calls to whoever leads, waiting for a leader for as long as calls may take. */
export class NodeRouter {
  readonly #options: RouterOptions
  /** Why another node will not have this one: the better reason where a call waits in vain. */
  complaint: EngineError | null = null
  #closed: EngineError | null = null
  readonly #sleeping = new Set<() => void>()

  constructor(options: RouterOptions) {
    this.#options = options
  }

  /** This node. */
  get nodeId(): number {
    return this.#options.nodeId
  }

  /** How long a call may wait. */
  get timeoutMs(): number {
    return this.#options.timeoutMs
  }

  /** The monotonic clock. */
  get nowMs(): number {
    return this.#options.clock.monotonicMs()
  }

  /**
   * Rejects with `leaderNotAvailable` when nobody leads in time, with what the call says, with the signal's reason. Where a
   * leader was lost after it had taken something that may not be repeated, with `networkException` or
   * `notEnoughReplicasAfterAppend`: nobody knows whether it is done.
   */
  async run<T>(call: LeaderCall<T>): Promise<T> {
    const { clock, nodeId, timeoutMs } = this.#options
    const { group, name, repeatable, signal } = call
    const endMs = clock.monotonicMs() + timeoutMs
    for (;;) {
      if (this.#closed !== null) throw this.#closed
      signal?.throwIfAborted()
      const leftMs = endMs - clock.monotonicMs()
      if (leftMs <= 0) throw this.complaint ?? noLeader(name, timeoutMs)
      const { leaderId } = group
      try {
        if (leaderId === nodeId) return await call.local()
        if (leaderId >= 0) return call.result(await this.#askLeader(leaderId, call, leftMs))
      } catch (error) {
        if (leaderId !== nodeId) group.missed?.(leaderId, error)
        if (!mayGoOn(error, repeatable)) throw error
        // The one that was asked may know better, or nobody has noticed yet.
      }
      await this.#change(group, leaderId, Math.min(backoffMs, endMs - clock.monotonicMs()), signal)
    }
  }

  /** Asks one node. Throws what it answers, `networkException`, `requestTimedOut`. */
  async ask(
    to: number,
    request: Partial<CallRequest> & { readonly kind: CallKindNumber },
    timeoutMs: number,
  ): Promise<CallResponse> {
    const { clusterId, nodeId } = this.#options
    const bytes = encodeCall({ clusterId, nodeId, ...request })
    return decodeAnswer(await this.#options.call(to, bytes, timeoutMs))
  }

  /**
   * Asks the leader. What may be repeated waits for its answer until another one leads: the way to it may be dead without a word,
   * and its answer would not come before the call times out.
   */
  async #askLeader<T>(
    leaderId: number,
    { group, request, repeatable }: LeaderCall<T>,
    timeoutMs: number,
  ): Promise<CallResponse> {
    const answer = this.ask(leaderId, request, timeoutMs)
    if (!repeatable) return answer
    let unwatch = (): void => {}
    const replaced = new Promise<never>((_, reject) => {
      unwatch = group.watch({
        leadership: (_state, _epoch, id) => {
          if (id >= 0 && id !== leaderId) reject(new NotLeaderError(id))
        },
      })
    })
    try {
      return await Promise.race([answer, replaced])
    } finally {
      unwatch()
    }
  }

  /** Whether `close` was called: then nothing waits any more. */
  get isClosed(): boolean {
    return this.#closed !== null
  }

  /** Waits for `delayMs`, or until the router is closed. */
  async pause(delayMs: number): Promise<void> {
    await this.#sleep(delayMs, () => () => {})
  }

  /** Ends every call that waits. */
  close(error: EngineError): void {
    this.#closed = error
    for (const wake of [...this.#sleeping]) wake()
  }

  /** Resolves when another node leads than `leaderId`, or `delayMs` are over. */
  #change(
    group: LedGroup,
    leaderId: number,
    delayMs: number,
    signal: AbortSignal | undefined,
  ): Promise<void> {
    return this.#sleep(delayMs, (wake) => {
      signal?.addEventListener('abort', wake, { once: true })
      const unwatch = group.watch({
        leadership: (_state, _epoch, id) => {
          if (id !== leaderId && id >= 0) wake()
        },
      })
      return () => {
        unwatch()
        signal?.removeEventListener('abort', wake)
      }
    })
  }

  #sleep(delayMs: number, listen: (wake: () => void) => () => void): Promise<void> {
    if (this.#closed !== null) return Promise.resolve()
    return new Promise((resolve) => {
      const wake = (): void => {
        if (!this.#sleeping.delete(wake)) return
        timer.cancel()
        stop()
        resolve()
      }
      this.#sleeping.add(wake)
      const stop = listen(wake)
      const timer = this.#options.clock.setTimer(Math.max(0, delayMs), wake)
    })
  }
}

function mayGoOn(error: unknown, repeatable: boolean): boolean {
  if (error instanceof NotLeaderError) return true
  if (!(error instanceof EngineError)) return false
  // It was never sent.
  if (error.code === 'brokerNotAvailable') return true
  if (!repeatable) return false
  return (
    error.code === 'networkException' ||
    error.code === 'requestTimedOut' ||
    error.code === 'leaderNotAvailable' ||
    error.code === 'notEnoughReplicasAfterAppend'
  )
}

/** What `promise` gives, unless `signal` is aborted before: then its reason. */
export async function abortable<T>(promise: Promise<T>, signal: AbortSignal | undefined): Promise<T> {
  if (signal === undefined) return promise
  signal.throwIfAborted()
  let onAbort = (): void => {}
  const aborted = new Promise<never>((_, reject) => {
    onAbort = () => reject(signal.reason)
    signal.addEventListener('abort', onAbort, { once: true })
  })
  try {
    return await Promise.race([promise, aborted])
  } finally {
    signal.removeEventListener('abort', onAbort)
  }
}

/** Said to whoever waits in vain. */
function noLeader(name: string, waitedMs: number): EngineError {
  return new EngineError('leaderNotAvailable', `nobody has led ${name} for ${waitedMs} ms`)
}

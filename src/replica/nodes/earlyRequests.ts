import { NotLeaderError } from '../notLeader.ts'
import { isRepairCall } from '../repair/repairCalls.ts'
import { isSnapshotCall } from '../repair/snapshotCalls.ts'
import type { TransportHandler } from '../transport.ts'
import { encodeFailure } from './nodeCalls.ts'

/** Answers those who are no nodes. */
export type Administer = NonNullable<TransportHandler['administer']>

/** Takes what comes in from the moment a node listens, and hands it on once there is somebody to take it. */
export class EarlyRequests implements TransportHandler {
  #handler: TransportHandler | null = null
  #waiting: ((handler: TransportHandler) => void)[] = []
  #answer: ((payload: Uint8Array) => Promise<Uint8Array>) | null = null
  #administer: Administer | null = null

  /** From now on `handler` gets everything. */
  forwardTo(handler: TransportHandler): void {
    this.#handler = handler
    const waiting = this.#waiting
    this.#waiting = []
    for (const each of waiting) each(handler)
  }

  /** From now on calls are answered by `answer`. */
  answerCalls(answer: (payload: Uint8Array) => Promise<Uint8Array>): void {
    this.#answer = answer
  }

  /** From now on whoever is no node is answered by `administer`. */
  answerAdministrators(administer: Administer): void {
    this.#administer = administer
  }

  /** Somebody who is no node asks. */
  administer(...args: Parameters<Administer>): ReturnType<Administer> {
    return this.#administer?.(...args) ?? null
  }

  request(...args: Parameters<TransportHandler['request']>): void {
    this.#do((handler) => handler.request(...args))
  }

  response(...args: Parameters<TransportHandler['response']>): void {
    this.#do((handler) => handler.response(...args))
  }

  failed(...args: Parameters<TransportHandler['failed']>): void {
    this.#do((handler) => handler.failed(...args))
  }

  connectionLost(node: number): void {
    this.#do((handler) => handler.connectionLost(node))
  }

  /** What another node asks of this one. */
  async call(from: number, payload: Uint8Array): Promise<Uint8Array> {
    const isOfHost = isRepairCall(payload) || isSnapshotCall(payload)
    if (isOfHost && this.#handler?.call !== undefined) return this.#handler.call(from, payload)
    if (this.#answer !== null) return this.#answer(payload)
    // It leads nothing yet: who asks may go on looking, and knows that nothing was done.
    return encodeFailure(new NotLeaderError(-1))
  }

  #do(work: (handler: TransportHandler) => void): void {
    if (this.#handler === null) this.#waiting.push(work)
    else work(this.#handler)
  }
}

import { EngineError, failureIn } from '../../model/errors.ts'
import type { BatchHeader } from '../../segment/recordBatch.ts'
import { WriteGroup } from '../../segment/writeGroup.ts'
import type { Exchange } from '../exchange.ts'
import type { Partition } from '../partition.ts'
import { type Services, wireError } from '../services.ts'
import type { ProduceTerms } from './producePrefix.ts'

/** More than a batch takes in the journal beside its bytes. */
const entryBytes = 128

/** Whom to ask in place of this node. */
interface CurrentLeader {
  readonly leaderId: number
  readonly leaderEpoch: number
}

const unknownLeader: CurrentLeader = { leaderId: -1, leaderEpoch: -1 }

/** What becomes of one partition's batch; also its place in the response. */
export class PartitionResult {
  readonly index: number
  errorCode = 0
  baseOffset = -1
  logAppendTimeMs = -1
  logStartOffset = -1
  errorMessage: string | null = null
  currentLeader: CurrentLeader = unknownLeader

  constructor(index: number) {
    this.index = index
  }

  fail(services: Services, error: unknown): void {
    const { errorCode, errorMessage } = wireError(services, error)
    this.errorCode = errorCode
    this.errorMessage = errorMessage
    this.baseOffset = -1
    this.logAppendTimeMs = -1
  }
}

/** A batch that has been checked and then, once `endOffset` is set, appended. */
export class Append {
  readonly partition: Partition
  readonly header: BatchHeader
  readonly bytes: Uint8Array
  readonly result: PartitionResult
  /** Exclusive; what must be durable before the answer. */
  endOffset = -1
  /** It was there before, so it does not depend on this request's write. */
  isDuplicate = false
  /** `Partition.losses` at the time of the append. */
  losses = 0

  constructor(partition: Partition, header: BatchHeader, bytes: Uint8Array, result: PartitionResult) {
    this.partition = partition
    this.header = header
    this.bytes = bytes
    this.result = result
  }

  /** It is not taken, or not acknowledged: the producer is told, and may send it again. */
  fail(services: Services, error: unknown): void {
    this.result.fail(services, error)
    noteRefused(services, this.partition, this.header, error)
  }
}

/**
 * A producer that may try again sends a refused batch again, and those behind it have to wait for that. What a corrupt one says of
 * itself counts for nothing.
 */
export function noteRefused(
  { runtime }: Services,
  partition: Partition,
  header: BatchHeader,
  error: unknown,
): void {
  if (!(error instanceof EngineError && error.retriable) || error.code === 'corruptMessage') return
  partition.refused(header, runtime.clock.monotonicMs())
}

/**
 * Batches of one request that are appended together: waits for room, appends, submits, waits until they are durable. The
 * request's memory is borrowed until it is not needed any more.
 */
export class ProduceRound {
  readonly #services: Services
  readonly #exchange: Exchange
  readonly #terms: ProduceTerms
  readonly #appends: readonly Append[]

  constructor(services: Services, exchange: Exchange, terms: ProduceTerms, appends: readonly Append[]) {
    this.#services = services
    this.#exchange = exchange
    this.#terms = terms
    this.#appends = appends
  }

  /** Resolves when every result is decided, at the latest when the time is up; null when that is so already. */
  run(): Promise<void> | null {
    if (this.#appends.length === 0) return null
    const { diskGate } = this.#services
    let lengthBytes = 0
    for (const { bytes } of this.#appends) lengthBytes += bytes.length + entryBytes
    this.#exchange.borrowRequest()
    if (diskGate.hasRoom(lengthBytes)) return this.#append()
    // Later requests stand in line behind this one, so those of this connection keep their order.
    return new Promise((resolve) => {
      diskGate.wait(lengthBytes, this.#timeoutMs(), (hasRoom) => {
        if (hasRoom) {
          resolve(this.#append() ?? undefined)
          return
        }
        this.#exchange.returnRequest()
        this.#failUndecided('the disk took nothing for as long as the request may take')
        resolve()
      })
    })
  }

  #timeoutMs(): number {
    return Math.max(0, this.#terms.timeoutMs)
  }

  #append(): Promise<void> | null {
    const group = new WriteGroup(this.#services.runtime.disk)
    const nowMs = this.#services.runtime.clock.monotonicMs()
    for (const append of this.#appends) {
      const { partition, header, bytes, result } = append
      try {
        partition.requireEarlier(header, nowMs)
        const appended = partition.append(header, bytes, group)
        result.baseOffset = appended.baseOffset
        result.logAppendTimeMs = appended.logAppendTimeMs
        append.endOffset = appended.lastOffset + 1
        append.isDuplicate = appended.duplicate
        append.losses = partition.losses
      } catch (error) {
        append.fail(this.#services, error)
      }
      result.logStartOffset = partition.log.logStartOffset
    }
    const submitted = group.submit()
    // The journal has its own copy now; the disk has one of what is not in memory that it lends.
    if (this.#exchange.isRequestLent) void group.written.then(() => this.#exchange.returnRequest())
    else this.#exchange.returnRequest()
    if (this.#terms.acks !== 0) return new Promise((resolve) => this.#settle(submitted, resolve))
    // A log that fails says so itself.
    submitted.catch(() => {})
    return null
  }

  /** Settles when everything is durable or has failed, at the latest when the time is up. */
  #settle(submitted: Promise<void>, resolve: () => void): void {
    let isSettled = false
    const settle = (): void => {
      if (isSettled) return
      isSettled = true
      timer.cancel()
      resolve()
    }
    const timer = this.#services.runtime.clock.setTimer(this.#timeoutMs(), () => {
      if (!isSettled) this.#failUndecided('the records were not durable within the time of the request')
      settle()
    })
    let waiting = 1
    const oneLess = (): void => {
      waiting -= 1
      if (waiting > 0 || isSettled) return
      this.#failLost()
      settle()
    }
    const whenWritten = (): void => {
      // A batch seen before may still wait for its first write; a slower group may stand before this one.
      for (const { partition, result, endOffset, losses } of this.#appends) {
        if (result.errorCode !== 0 || partition.losses !== losses) continue
        if (partition.awaitAck(endOffset, this.#terms.acks, oneLess)) waiting += 1
      }
      oneLess()
    }
    submitted.then(whenWritten, (error) => {
      for (const append of this.#appends) {
        const { partition, result, isDuplicate } = append
        const failure = failureIn(error, partition.log.directory)
        if (failure !== null && result.errorCode === 0 && !isDuplicate) append.fail(this.#services, failure)
      }
      whenWritten()
    })
  }

  #failUndecided(message: string): void {
    const error = new EngineError('requestTimedOut', message)
    for (const append of this.#appends) {
      const { partition, result, endOffset } = append
      if (result.errorCode === 0 && (endOffset < 0 || !partition.isAcked(endOffset, this.#terms.acks))) {
        append.fail(this.#services, error)
      }
    }
  }

  /** What is not durable now never will be. */
  #failLost(): void {
    for (const append of this.#appends) {
      const { partition, result, endOffset, losses } = append
      if (result.errorCode !== 0) continue
      if (partition.losses === losses && partition.isAcked(endOffset, this.#terms.acks)) continue
      append.fail(this.#services, partition.whyLost(losses))
    }
  }
}

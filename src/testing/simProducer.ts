import type { EngineError, EngineErrorName } from '../model/errors.ts'
import type { GroupAck } from '../replica/groupTypes.ts'
import type { AppendCall, LogHistory } from './history.ts'

/** How long a producer waits for an answer before it asks somebody else, in milliseconds. */
const answerMs = 400
/** How long it waits before it asks again; twice as long each time. */
const retryMs = 20

/** What tells a producer that its sequence is no good any more: it begins a new epoch. */
export const outOfSequence: ReadonlySet<EngineErrorName> = new Set([
  'outOfOrderSequenceNumber',
  'duplicateSequenceNumber',
  'invalidProducerEpoch',
  'unknownProducerId',
])

/** One append of an idempotent producer. */
export interface ProducerAppend {
  /** The node that is asked first. */
  readonly node: number
  readonly records: number
  /** The one batch of the append. */
  encode(epoch: number, baseSequence: number): Uint8Array
}

/** What a producer needs of the world. */
export interface ProducerWorld {
  readonly nodes: number
  readonly nowMs: number
  after(delayMs: number, run: () => void): void
  /** Who hears of what is sent and acknowledged; null for nobody. */
  history(): LogHistory | null
  hashes(bytes: Uint8Array): readonly number[]
  /** Sends to a node; `done` is called at most once, and never when the node dies. False when it cannot be reached. */
  send(
    node: number,
    bytes: Uint8Array,
    done: (ack: GroupAck | null, error: EngineError | null) => void,
  ): boolean
  /** What became of an append: acknowledged, or nobody knows. */
  ended(ack: GroupAck | null): void
}

/**
 * An idempotent producer of one log, as Kafka's clients are: one append at a time, sent again with the same sequence until it
 * is acknowledged. What it gives up may be in the log; it goes on in a new epoch then. Source: KIP-98, KIP-360.
 */
export class SimProducer {
  readonly #id: number
  readonly #world: ProducerWorld
  readonly #patienceMs: number
  readonly #queue: ProducerAppend[] = []
  #isBusy = false
  #epoch = 0
  #sequence = 0

  constructor(id: number, world: ProducerWorld, patienceMs: number) {
    this.#id = id
    this.#world = world
    this.#patienceMs = patienceMs
  }

  /** Appends once everything that was asked for before is done. */
  append(wanted: ProducerAppend): void {
    this.#queue.push(wanted)
    if (!this.#isBusy) this.#next()
  }

  #next(): void {
    const wanted = this.#queue.shift()
    this.#isBusy = wanted !== undefined
    if (wanted === undefined) return
    const bytes = wanted.encode(this.#epoch, this.#sequence)
    const history = this.#world.history()
    const call = history?.append(this.#world.hashes(bytes), {
      producer: this.#id,
      epoch: this.#epoch,
      sequence: this.#sequence,
    })
    const untilMs = this.#world.nowMs + this.#patienceMs
    this.#attempt(
      { call, bytes, history, records: wanted.records, untilMs, isOver: false },
      wanted.node,
      retryMs,
    )
  }

  #attempt(under: Attempted, node: number, waitMs: number): void {
    if (under.isOver) return
    if (this.#world.nowMs >= under.untilMs) {
      this.#end(under, null)
      return
    }
    const { nodes } = this.#world
    let isAnswered = false
    const again = (next: number, afterMs: number): void => {
      if (isAnswered) return
      isAnswered = true
      this.#world.after(afterMs, () => this.#attempt(under, next, Math.min(waitMs * 2, answerMs)))
    }
    const other = (node % nodes) + 1
    const isSent = this.#world.send(node, under.bytes, (ack, error) => {
      if (ack !== null) {
        this.#end(under, ack)
        return
      }
      if (error !== null && outOfSequence.has(error.code)) {
        if (!isAnswered) this.#end(under, null)
        return
      }
      const leaderId = error !== null && 'leaderId' in error ? (error.leaderId as number) : -1
      again(leaderId > 0 && leaderId <= nodes && leaderId !== node ? leaderId : other, waitMs)
    })
    if (isSent) this.#world.after(answerMs, () => again(other, 0))
    else again(other, waitMs)
  }

  #end(under: Attempted, ack: GroupAck | null): void {
    if (under.isOver) return
    under.isOver = true
    if (ack === null) {
      this.#epoch++
      this.#sequence = 0
    } else {
      this.#sequence += under.records
      if (under.call !== undefined) under.history?.acked(under.call, ack.baseOffset, ack.lastOffset)
    }
    this.#world.ended(ack)
    this.#next()
  }
}

interface Attempted {
  readonly call: AppendCall | undefined
  readonly bytes: Uint8Array
  readonly history: LogHistory | null
  readonly records: number
  readonly untilMs: number
  isOver: boolean
}

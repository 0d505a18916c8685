import { EngineError } from '../../model/errors.ts'
import type { GroupAck } from '../../replica/groupTypes.ts'
import type { AppendCall, LogHistory } from '../history.ts'
import { outOfSequence } from '../simProducer.ts'
import type { PipelinedProducer } from './pipelinedProducer.ts'

/** How long a producer waits before it sends again; twice as long each time. Milliseconds. */
const shortestWaitMs = 20
const longestWaitMs = 400

/** One batch that a producer is to append. */
export interface ProducedBatch {
  /** The node that is asked first while nobody is known to lead. */
  readonly node: number
  readonly records: number
  encode(producerId: number, epoch: number, baseSequence: number): Uint8Array
}

/** The log that a pipeline leads to. */
export interface AppendTarget {
  readonly name: string
  /** Who hears of what is sent and acknowledged; null for nobody. */
  readonly history: LogHistory | null
  /** Who leads according to metadata, -1 for nobody. */
  leader(): number
  hashes(bytes: Uint8Array): readonly number[]
  /** Sends to a node. Requests to one node arrive in order, or are lost with all behind them. */
  send(node: number, bytes: Uint8Array, records: number): Promise<GroupAck>
  /** What became of a batch: acknowledged, or nobody knows. */
  ended(ack: GroupAck | null): void
  /** The broker has answered what it must not. */
  broken(message: string): void
}

/** A batch with a sequence that is not acknowledged. */
interface Flying {
  readonly batch: ProducedBatch
  readonly untilMs: number
  /** How often it was sent. */
  attempts: number
  /** It is not under way, and has to be sent (again). */
  isWaiting: boolean
  sequence: number
  bytes: Uint8Array
  call: AppendCall | undefined
}

/** What an idempotent producer has for one partition: up to five batches under way, in the order of their sequences. */
export class ProducerPartition {
  readonly #producer: PipelinedProducer
  readonly #target: AppendTarget
  /** Without a sequence so far. */
  readonly #queue: { readonly batch: ProducedBatch; readonly untilMs: number }[] = []
  #flying: Flying[] = []
  /** Requests without an answer, by node. */
  readonly #out = new Map<number, number>()
  #leader = -1
  /** Who led by metadata at the last look. */
  #knownLeader = -1
  #epoch: number
  #nextSequence = 0
  /** What follows the last one that was acknowledged. */
  #nextAcked = 0
  /** What follows the last one that was given up, of which nobody knows whether it is stored; -1 for none. */
  #unresolved = -1
  #waitMs = shortestWaitMs
  #isPausing = false

  constructor(producer: PipelinedProducer, target: AppendTarget) {
    this.#producer = producer
    this.#target = target
    this.#epoch = producer.epoch
  }

  get isUnderWay(): boolean {
    return this.#out.size > 0
  }

  /** Whether everything is acknowledged, or given up. */
  get isIdle(): boolean {
    return this.#queue.length === 0 && this.#flying.length === 0 && !this.isUnderWay
  }

  append(batch: ProducedBatch): void {
    const { world, settings } = this.#producer
    this.#queue.push({ batch, untilMs: world.nowMs + settings.patienceMs })
    world.after(settings.patienceMs, () => this.pump())
    this.pump()
  }

  /** Sends what may be sent now. */
  pump(): void {
    this.#giveUp()
    if (this.#epoch !== this.#producer.epoch && this.#flying.length === 0) {
      this.beginEpoch(this.#producer.epoch)
    }
    if (this.#isPausing) return
    for (let next = this.#next(); next !== null; next = this.#next()) this.#send(next)
  }

  /** What is not acknowledged gets a new epoch, and sequences from 0 on. */
  beginEpoch(epoch: number): void {
    this.#epoch = epoch
    this.#nextSequence = 0
    this.#nextAcked = 0
    this.#unresolved = -1
    for (const flying of this.#flying) {
      flying.isWaiting = true
      this.#encode(flying)
    }
  }

  #giveUp(): void {
    const { world, settings } = this.#producer
    const isOver = ({ untilMs }: { readonly untilMs: number }): boolean => world.nowMs >= untilMs
    let isGap = false
    const mayGo = (flying: Flying): boolean =>
      isOver(flying) && (settings.kind === 'java' || flying.isWaiting)
    while (this.#flying.length > 0 && mayGo(this.#flying[0]!)) {
      const { attempts, sequence, batch } = this.#flying.shift()!
      if (attempts > 0) isGap = true
      this.#unresolved = sequence + batch.records
      this.#target.ended(null)
    }
    while (this.#flying.length === 0 && this.#queue.length > 0 && isOver(this.#queue[0]!)) {
      this.#queue.shift()
      this.#target.ended(null)
    }
    if (settings.kind === 'java') this.#resolve()
    else if (isGap) this.#producer.drain()
  }

  /** Java's `maybeResolveSequences`: what was given up is looked at once all behind it is answered. */
  #resolve(): void {
    if (this.#unresolved < 0 || this.#flying.length > 0) return
    this.#unresolved = -1
    if (this.#nextAcked !== this.#nextSequence) this.beginEpoch(this.#producer.nextEpoch())
  }

  /** What is to be sent next; null for nothing yet. */
  #next(): Flying | null {
    const { isDraining, epoch, settings } = this.#producer
    if (isDraining) return null
    const isJava = settings.kind === 'java'
    this.#learnLeader()
    const isElsewhere = [...this.#out.keys()].some((node) => node !== this.#leader)
    if (!isJava && isElsewhere) return null
    const waiting = this.#flying.find(({ isWaiting }) => isWaiting)
    if (waiting !== undefined) return isJava && waiting !== this.#flying[0] ? null : waiting
    const isFull = this.#flying.length >= settings.inFlight
    if (this.#queue.length === 0 || isFull || this.#epoch !== epoch || this.#unresolved >= 0) return null
    const { batch, untilMs } = this.#queue.shift()!
    const bytes = new Uint8Array(0)
    const flying = { batch, untilMs, attempts: 0, isWaiting: true, sequence: 0, bytes, call: undefined }
    this.#flying.push(flying)
    this.#encode(flying)
    return flying
  }

  #learnLeader(): void {
    const leader = this.#target.leader()
    if (leader > 0 && (this.#leader < 0 || leader !== this.#knownLeader)) this.#leader = leader
    this.#knownLeader = leader
  }

  #encode(flying: Flying): void {
    const { history, hashes } = this.#target
    const producer = this.#producer.settings.id
    flying.sequence = this.#nextSequence
    this.#nextSequence += flying.batch.records
    flying.bytes = flying.batch.encode(producer, this.#epoch, flying.sequence)
    const place = { producer, epoch: this.#epoch, sequence: flying.sequence }
    flying.call = history?.append(hashes(flying.bytes), place)
  }

  #send(flying: Flying): void {
    const { world } = this.#producer
    const { batch, bytes, call } = flying
    const node = this.#leader > 0 && this.#leader <= world.nodes ? this.#leader : batch.node
    this.#leader = node
    flying.isWaiting = false
    const attempt = ++flying.attempts
    this.#out.set(node, (this.#out.get(node) ?? 0) + 1)
    const answered = (): void => {
      const left = this.#out.get(node)! - 1
      if (left > 0) this.#out.set(node, left)
      else this.#out.delete(node)
    }
    this.#target.send(node, bytes, batch.records).then(
      (ack) => {
        answered()
        this.#onAck(flying, bytes, call, ack)
        this.#afterAnswer()
      },
      (error: unknown) => {
        if (!(error instanceof EngineError)) throw error
        answered()
        // Of what was sent again since, or was given up, the later answer counts.
        const isLast = flying.attempts === attempt && flying.bytes === bytes
        if (isLast && this.#flying.includes(flying)) this.#onError(flying, node, error)
        this.#afterAnswer()
      },
    )
  }

  #afterAnswer(): void {
    if (!this.isUnderWay) this.#producer.drained()
    this.pump()
  }

  #onAck(flying: Flying, bytes: Uint8Array, call: AppendCall | undefined, ack: GroupAck): void {
    const { name, history, ended, broken } = this.#target
    if (call !== undefined && call.baseOffset < 0) history?.acked(call, ack.baseOffset, ack.lastOffset)
    else if (call !== undefined && call.baseOffset !== ack.baseOffset) {
      broken(`${name}: a batch is acknowledged at ${call.baseOffset}, and again at ${ack.baseOffset}`)
    }
    if (flying.bytes !== bytes || !this.#flying.includes(flying)) return
    this.#flying = this.#flying.filter((other) => other !== flying)
    this.#nextAcked = Math.max(this.#nextAcked, flying.sequence + flying.batch.records)
    this.#waitMs = shortestWaitMs
    ended(ack)
  }

  #onError(flying: Flying, node: number, error: EngineError): void {
    const { world, settings } = this.#producer
    flying.isWaiting = true
    if (settings.kind === 'franz') for (const other of this.#flying) other.isWaiting = true
    if (outOfSequence.has(error.code)) {
      this.#onGap(flying, error)
    } else if (this.#leader === node) {
      const leaderId = 'leaderId' in error ? (error.leaderId as number) : -1
      const isElsewhere = leaderId > 0 && leaderId <= world.nodes && leaderId !== node
      if (isElsewhere) this.#leader = leaderId
      else if (error.code !== 'notEnoughReplicas') this.#leader = (node % world.nodes) + 1
    }
    this.#pause()
  }

  #pause(): void {
    if (this.#isPausing) return
    this.#isPausing = true
    this.#producer.world.after(this.#waitMs, () => {
      this.#isPausing = false
      this.pump()
    })
    this.#waitMs = Math.min(this.#waitMs * 2, longestWaitMs)
  }

  /** What comes behind something that was given up may be told of a gap; all else was sent in order, and is not. */
  #onGap({ sequence }: Flying, { message }: EngineError): void {
    const { settings, isDraining } = this.#producer
    const { name, broken } = this.#target
    const isNext = sequence === this.#nextAcked
    const told = `${name}: producer ${settings.id} (${settings.kind}), epoch ${this.#epoch}, sequence ${sequence}, next to be acknowledged ${this.#nextAcked}: ${message}`
    if (settings.kind === 'java') {
      // Java tries again what does not come next.
      if (this.#unresolved < 0 && isNext) broken(told)
      if (this.#unresolved < 0 ? !isNext : sequence !== this.#unresolved) return
      this.beginEpoch(this.#producer.nextEpoch())
      return
    }
    if (isDraining) return
    broken(told)
    this.#producer.drain()
  }
}

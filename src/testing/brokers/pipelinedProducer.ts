import { type AppendTarget, type ProducedBatch, ProducerPartition } from './producerPartition.ts'

/**
 * What a producer does where Kafka's clients differ. After something went wrong: `java` sends one batch at a time, the lowest,
 * until all that it had sent before is answered; `librdkafka` sends what failed, and only that; `franz` (franz-go) everything
 * that is not acknowledged, whatever it may still hear of it. When the leader is another one: `java` sends new batches there
 * while others are under way to the old one, the others wait for these first. After something was given up, or a gap was told
 * of: `java` gives the one partition a new epoch, once it knows that the gap is there to stay; the others wait for all that is
 * under way and give one to whatever is not acknowledged, in every partition.
 */
export type ProducerKind = 'java' | 'librdkafka' | 'franz'

/** What a producer needs of the world. */
export interface PipelineWorld {
  readonly nodes: number
  readonly nowMs: number
  after(delayMs: number, run: () => void): void
}

/** How a producer is set. */
export interface PipelineSettings {
  readonly id: number
  readonly kind: ProducerKind
  /** How many batches of a partition may be sent and not acknowledged, at most five. */
  readonly inFlight: number
  /** How long a batch is tried before it is given up, in milliseconds. */
  readonly patienceMs: number
}

/** An idempotent producer: one id, one epoch, and for each partition a pipeline of batches. Source: KIP-98, KIP-360. */
export class PipelinedProducer {
  readonly settings: PipelineSettings
  readonly world: PipelineWorld
  readonly #partitions = new Map<string, ProducerPartition>()
  #epoch = 0
  #isDraining = false

  constructor(settings: PipelineSettings, world: PipelineWorld) {
    this.settings = settings
    this.world = world
  }

  get epoch(): number {
    return this.#epoch
  }

  /** Nothing is sent until all that is under way is answered or lost: a new epoch begins then. */
  get isDraining(): boolean {
    return this.#isDraining
  }

  /** Whether everything is acknowledged, or given up. */
  get isIdle(): boolean {
    return [...this.#partitions.values()].every(({ isIdle }) => isIdle)
  }

  /** Appends behind what the partition `key` was to get before; `makeTarget` tells what that is, the first time. */
  append(key: string, makeTarget: () => AppendTarget, batch: ProducedBatch): void {
    let partition = this.#partitions.get(key)
    if (partition === undefined) {
      partition = new ProducerPartition(this, makeTarget())
      this.#partitions.set(key, partition)
    }
    partition.append(batch)
  }

  /** The next epoch begins, for whoever asks. */
  nextEpoch(): number {
    return ++this.#epoch
  }

  /** The next epoch begins for all partitions, as soon as nothing is under way. */
  drain(): void {
    this.#isDraining = true
    this.#endDrain()
  }

  /** Nothing is under way to a partition any more. */
  drained(): void {
    if (this.#isDraining) this.#endDrain()
  }

  #endDrain(): void {
    const partitions = [...this.#partitions.values()]
    if (partitions.some(({ isUnderWay }) => isUnderWay)) return
    this.#isDraining = false
    const epoch = this.nextEpoch()
    for (const partition of partitions) partition.beginEpoch(epoch)
    for (const partition of partitions) partition.pump()
  }
}

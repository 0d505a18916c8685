import { EngineError } from '../model/errors.ts'
import { kafkaErrorName } from '../model/kafkaErrors.ts'
import type { Timer } from '../runtime/clock.ts'
import type { Runtime } from '../runtime/runtime.ts'
import { sequenceAfter } from '../segment/recordBatch.ts'
import { type BatchCompression, encodeBatch, type NewRecord } from '../segment/records.ts'
import { answered, type Client, type TopicMetadata } from './client.ts'
import { UsageError } from './failure.ts'
import { type Partitioner, partitionForKey, StickyPartition } from './partitioners.ts'
import type { InputRecord } from './produceInput.ts'

/** How a producer works. */
export interface ProducerOptions {
  /** 0: nobody answers; 1: the leader has it; -1: every in-sync replica has it. */
  readonly acks: 0 | 1 | -1
  /** Bytes of records, before compression, at which a batch is sent. A larger record goes alone. */
  readonly batchBytes: number
  readonly compression: BatchCompression | null
  readonly partitioner: Partitioner
  /** All records go here, whatever their key; null: by key. */
  readonly partition: number | null
  /** Has the broker drop what a retry sends twice; needs acks -1. */
  readonly idempotent: boolean
  /** How long a record waits for others to share its batch. */
  readonly lingerMs: number
  /** After this a batch that is not acknowledged fails, and the producer with it. */
  readonly deliveryTimeoutMs: number
}

/** What has been acknowledged so far (with acks=0: handed to the system). */
export interface ProducerStats {
  records: number
  /** Keys, values and headers, uncompressed. */
  bytes: number
  batches: number
}

interface Batch {
  readonly partition: number
  readonly encoded: Uint8Array
  readonly records: number
  readonly bytes: number
  readonly giveUpAtMs: number
}

interface PartitionQueue {
  readonly partition: number
  open: NewRecord[]
  openBytes: number
  /** Batches that wait, the first of which is on its way when `inFlight`. */
  readonly sealed: Batch[]
  inFlight: boolean
  nextSequence: number
}

/** Records wait in memory up to this before `room` holds the caller back: a few batches for each partition. */
const maxBufferedBytes = 8 * 1024 * 1024
const retryDelayMs = 100
/** What a record takes beside key and value, roughly. */
const recordOverheadBytes = 16

/**
 * Sends records to one topic in batches. Each partition has one batch on its way at a time, so that a retry
 * cannot reorder; all partitions of a broker share requests. After a failure every method throws it.
 * Source: KIP-98 (idempotence), KIP-480 (sticky partitions).
 */
export class Producer {
  readonly stats: ProducerStats = { records: 0, bytes: 0, batches: 0 }
  readonly #client: Client
  readonly #runtime: Pick<Runtime, 'clock' | 'random' | 'checksum'>
  readonly #options: ProducerOptions
  readonly #sticky: StickyPartition
  #topic: TopicMetadata
  readonly #queues: PartitionQueue[]
  #producer = { producerId: -1, producerEpoch: -1 }
  #bufferedBytes = 0
  #failure: unknown = null
  #linger: Timer | null = null
  #pumpScheduled = false
  #waiting: (() => void)[] = []

  private constructor(
    client: Client,
    runtime: Pick<Runtime, 'clock' | 'random' | 'checksum'>,
    topic: TopicMetadata,
    options: ProducerOptions,
  ) {
    this.#client = client
    this.#runtime = runtime
    this.#options = options
    this.#topic = topic
    this.#sticky = new StickyPartition(options.batchBytes, (bound) => runtime.random.below(bound))
    this.#queues = topic.partitions.map((_, partition) => ({
      partition,
      open: [],
      openBytes: 0,
      sealed: [],
      inFlight: false,
      nextSequence: 0,
    }))
  }

  /** Finds the topic, which the broker may create, and takes a producer id if the options ask for one. */
  static async open(
    client: Client,
    runtime: Pick<Runtime, 'clock' | 'random' | 'checksum'>,
    topicName: string,
    options: ProducerOptions,
  ): Promise<Producer> {
    const topic = await client.topic(topicName, true)
    const producer = new Producer(client, runtime, topic, options)
    if (options.partition !== null) producer.#checkPartition(options.partition)
    if (options.idempotent) producer.#producer = await client.retrying(() => takeProducerId(client))
    return producer
  }

  /** Takes one record. Throws `UsageError` for a partition that the topic does not have. */
  add(record: InputRecord): void {
    if (this.#failure !== null) throw this.#failure
    const { key, value, headers } = record
    let bytes = (key?.length ?? 0) + (value?.length ?? 0)
    for (const header of headers) bytes += header.key.length + (header.value?.length ?? 0)
    const queue = this.#queues[this.#partitionOf(record, bytes)]!
    if (queue.open.length > 0 && queue.openBytes + bytes > this.#options.batchBytes) this.#seal(queue)
    queue.open.push({ key, value, headers, timestampMs: record.timestampMs ?? this.#runtime.clock.wallMs() })
    queue.openBytes += bytes + recordOverheadBytes
    this.#bufferedBytes += bytes + recordOverheadBytes
    if (queue.openBytes >= this.#options.batchBytes) this.#seal(queue)
    else this.#linger ??= this.#runtime.clock.setTimer(this.#options.lingerMs, () => this.#sealAll())
  }

  /** Resolves once there is room for more records: back-pressure. */
  async room(): Promise<void> {
    await this.#until(() => this.#bufferedBytes < maxBufferedBytes)
  }

  /** Sends everything and resolves once all of it is acknowledged. */
  async flush(): Promise<void> {
    this.#sealAll()
    await this.#until(() => this.#bufferedBytes === 0)
  }

  /** Stops timers. What was not flushed is dropped. */
  close(): void {
    this.#linger?.cancel()
    this.#failure ??= new EngineError('closed', 'the producer was closed')
  }

  #partitionOf(record: InputRecord, bytes: number): number {
    const partition = record.partition ?? this.#options.partition
    if (partition !== null) return this.#checkPartition(partition)
    const { length } = this.#queues
    return partitionForKey(this.#options.partitioner, record.key, length) ?? this.#sticky.next(length, bytes)
  }

  #checkPartition(partition: number): number {
    const { length } = this.#queues
    if (partition < length) return partition
    throw new UsageError(
      `topic ${this.#topic.name} has no partition ${partition}; they go from 0 to ${length - 1} ("cordwood topics alter" adds some)`,
    )
  }

  #sealAll(): void {
    this.#linger?.cancel()
    this.#linger = null
    for (const queue of this.#queues) this.#seal(queue)
  }

  #seal(queue: PartitionQueue): void {
    const { open: records, openBytes: bytes, partition } = queue
    if (records.length === 0 || this.#failure !== null) return
    const { compression, deliveryTimeoutMs, idempotent } = this.#options
    try {
      const encoded = encodeBatch(
        {
          records,
          ...this.#producer,
          baseSequence: idempotent ? queue.nextSequence : -1,
          ...(compression === null ? {} : { compression }),
        },
        this.#runtime.checksum,
      )
      const giveUpAtMs = this.#runtime.clock.monotonicMs() + deliveryTimeoutMs
      queue.sealed.push({ partition, encoded, records: records.length, bytes, giveUpAtMs })
    } catch (error) {
      this.#fail(error)
      return
    }
    queue.nextSequence = sequenceAfter(queue.nextSequence, records.length)
    queue.open = []
    queue.openBytes = 0
    if (this.#pumpScheduled) return
    this.#pumpScheduled = true
    queueMicrotask(() => this.#pump())
  }

  /** Sends the first batch of every partition that has none on its way: one request a broker. */
  #pump(): void {
    this.#pumpScheduled = false
    if (this.#failure !== null) return
    const byLeader = new Map<number, Batch[]>()
    for (const queue of this.#queues) {
      const batch = queue.sealed[0]
      if (batch === undefined || queue.inFlight) continue
      queue.inFlight = true
      const leader = this.#topic.partitions[queue.partition]!.leader
      const batches = byLeader.get(leader) ?? []
      batches.push(batch)
      byLeader.set(leader, batches)
    }
    for (const [leader, batches] of byLeader) {
      this.#send(leader, batches).catch((error: unknown) => this.#fail(error))
    }
  }

  async #send(leader: number, batches: readonly Batch[]): Promise<void> {
    const { acks } = this.#options
    const body = {
      transactionalId: null,
      acks,
      timeoutMs: 30_000,
      topicData: [
        {
          name: this.#topic.name,
          topicId: this.#topic.topicId,
          partitionData: batches.map(({ partition, encoded }) => ({ index: partition, records: encoded })),
        },
      ],
    }
    try {
      if (acks === 0) {
        await this.#client.post(body, leader)
        for (const batch of batches) this.#done(batch)
        return this.#pump()
      }
      const { responses } = await this.#client.send('produce', body, { nodeId: leader })
      const answers = new Map(
        responses.flatMap(({ partitionResponses }) =>
          partitionResponses.map((answer) => [answer.index, answer]),
        ),
      )
      const again: EngineError[] = []
      for (const batch of batches) {
        const answer = answers.get(batch.partition)
        const code = kafkaErrorName(answer?.errorCode ?? -1)
        if (code === 'none' || code === 'duplicateSequenceNumber') this.#done(batch)
        else
          again.push(
            this.#mayRetry(
              batch,
              answered(answer?.errorCode ?? -1, this.#subject(batch), answer?.errorMessage),
            ),
          )
      }
      if (again.length > 0) await this.#refresh()
    } catch (error) {
      for (const batch of batches) this.#mayRetry(batch, error)
      await this.#refresh()
    }
    this.#pump()
  }

  /** Returns the error if the batch stays first in its queue, to be sent again; throws it if not. */
  #mayRetry(batch: Batch, error: unknown): EngineError {
    const queue = this.#queues[batch.partition]!
    const isLate = this.#runtime.clock.monotonicMs() >= batch.giveUpAtMs
    if (!(error instanceof EngineError) || !error.retriable || isLate || this.#options.acks === 0) throw error
    assertFirst(queue, batch)
    queue.inFlight = false
    return error
  }

  #done(batch: Batch): void {
    const queue = this.#queues[batch.partition]!
    assertFirst(queue, batch)
    queue.sealed.shift()
    queue.inFlight = false
    this.stats.records += batch.records
    this.stats.batches += 1
    this.stats.bytes += batch.bytes - batch.records * recordOverheadBytes
    this.#bufferedBytes -= batch.bytes
    this.#wake()
  }

  /** Waits a moment and asks again who leads; a failure to ask is left to the next attempt. */
  async #refresh(): Promise<void> {
    await this.#client.pause(retryDelayMs)
    const { topics } = await this.#client.metadata([this.#topic.name]).catch(() => ({ topics: [] }))
    const topic = topics[0]
    if (topic !== undefined && topic.partitions.length >= this.#queues.length) this.#topic = topic
  }

  #subject({ partition }: Batch): string {
    return `${this.#topic.name}-${partition} did not take a batch`
  }

  #fail(error: unknown): void {
    this.#failure ??= error
    this.#linger?.cancel()
    this.#wake()
  }

  #wake(): void {
    const waiting = this.#waiting
    this.#waiting = []
    for (const resume of waiting) resume()
  }

  async #until(holds: () => boolean): Promise<void> {
    for (;;) {
      if (this.#failure !== null) throw this.#failure
      if (holds()) return
      await new Promise<void>((resume) => this.#waiting.push(resume))
    }
  }
}

function assertFirst(queue: PartitionQueue, batch: Batch): void {
  if (queue.sealed[0] !== batch)
    throw new Error('a batch was answered before an earlier one of its partition')
}

async function takeProducerId(client: Client): Promise<{ producerId: number; producerEpoch: number }> {
  const response = await client.send('initProducerId', {
    transactionalId: null,
    transactionTimeoutMs: 0x7fffffff,
  })
  if (response.errorCode !== 0) throw answered(response.errorCode, 'cannot get a producer id')
  return { producerId: response.producerId, producerEpoch: response.producerEpoch }
}

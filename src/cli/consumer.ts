import { EngineError } from '../model/errors.ts'
import { kafkaErrorName } from '../model/kafkaErrors.ts'
import type { Runtime } from '../runtime/runtime.ts'
import { BatchHeader, batchHeaderBytes, checksummedFrom } from '../segment/recordBatch.ts'
import { answered, type Client, type ResponseOf } from './client.ts'
import { unlessAborted } from './interrupt.ts'
import { listOffsets } from './offsets.ts'

/** A partition to read. */
export interface Assignment {
  readonly topic: string
  readonly partition: number
  /** Node id. */
  leader: number
  /** The offset that is read next. */
  position: number
  /** Reading ends before this offset; null: never. */
  readonly endOffset: number | null
}

/** One whole batch that was read; `bytes` holds nothing else and belongs to the receiver. */
export interface FetchedBatch {
  readonly topic: string
  readonly partition: number
  readonly header: BatchHeader
  readonly bytes: Uint8Array
  /** Records below this offset were not asked for: the batch begins before the position. */
  readonly fromOffset: number
}

/** How a consumer reads. */
export interface ConsumerOptions {
  /** The most that one request brings, all partitions together; a larger batch comes whole. */
  readonly maxBytes: number
  readonly partitionMaxBytes: number
  /** How long the broker may wait for the first byte. */
  readonly maxWaitMs: number
  /** Told of what is worth a line for the user. */
  readonly onNote: (text: string) => void
}

type Fetched = ResponseOf<'fetch'>
type FetchedPartition = Fetched['responses'][number]['partitions'][number]

const retryDelayMs = 100
/** Later versions name topics by id, which older brokers do not have. Source: KIP-516. */
const lastVersionWithNames = 12

/**
 * Reads partitions from their positions on, without a group. Offsets of a partition come in order. While a
 * caller works on what came, one further request a broker is on its way and no more: memory is bounded by
 * `maxBytes`, twice, for each broker. Source: KIP-74.
 */
export class Consumer {
  readonly #client: Client
  readonly #runtime: Pick<Runtime, 'checksum'>
  readonly #options: ConsumerOptions
  readonly #assignments: Assignment[]

  constructor(
    client: Client,
    runtime: Pick<Runtime, 'checksum'>,
    assignments: readonly Assignment[],
    options: ConsumerOptions,
  ) {
    this.#client = client
    this.#runtime = runtime
    this.#options = options
    this.#assignments = assignments.map((assignment) => ({ ...assignment }))
  }

  /**
   * Batches as they arrive, until every partition has reached its end or `signal` is aborted. Control batches
   * are left out. Throws `corruptMessage`, with topic, partition and offset, when a checksum does not match.
   */
  async *batches(signal: AbortSignal): AsyncGenerator<FetchedBatch> {
    const running = new Map<number, Promise<{ leader: number; response: Fetched | EngineError }>>()
    while (!signal.aborted) {
      const open = this.#assignments.filter(isOpen)
      if (open.length === 0) return
      for (const leader of new Set(open.map((assignment) => assignment.leader))) {
        if (!running.has(leader)) running.set(leader, this.#fetch(leader, open))
      }
      const fetched = await unlessAborted(signal, Promise.race(running.values()))
      if (fetched === null) return
      running.delete(fetched.leader)
      if (fetched.response instanceof EngineError) {
        await this.#recover(fetched.response)
        continue
      }
      const batches = await this.#accept(fetched.response)
      // The next request goes out before the caller has seen these, unless the caller is done with them all.
      const further = this.#assignments.filter(
        (assignment) => isOpen(assignment) && assignment.leader === fetched.leader,
      )
      if (further.length > 0) running.set(fetched.leader, this.#fetch(fetched.leader, further))
      for (const batch of batches) {
        this.#check(batch)
        yield batch
      }
    }
  }

  async #fetch(
    leader: number,
    open: readonly Assignment[],
  ): Promise<{ leader: number; response: Fetched | EngineError }> {
    const topics = new Map<string, { partition: number; fetchOffset: number; partitionMaxBytes: number }[]>()
    for (const { topic, partition, position, leader: owner } of open) {
      if (owner !== leader) continue
      const partitions = topics.get(topic) ?? []
      partitions.push({
        partition,
        fetchOffset: position,
        partitionMaxBytes: this.#options.partitionMaxBytes,
      })
      topics.set(topic, partitions)
    }
    const { maxWaitMs, maxBytes } = this.#options
    const body = {
      replicaId: -1,
      maxWaitMs,
      minBytes: 1,
      maxBytes,
      isolationLevel: 0,
      topics: [...topics].map(([topic, partitions]) => ({ topic, partitions })),
    }
    const options = { nodeId: leader, maxVersion: lastVersionWithNames }
    try {
      return { leader, response: await this.#client.send('fetch', body, options) }
    } catch (error) {
      if (error instanceof EngineError) return { leader, response: error }
      throw error
    }
  }

  /** Takes in a response: moves positions and returns what is to be handed out. */
  async #accept(response: Fetched): Promise<FetchedBatch[]> {
    if (response.errorCode !== 0) throw answered(response.errorCode, 'the broker refused to be read from')
    const batches: FetchedBatch[] = []
    let failure: EngineError | null = null
    for (const { topic, partitions } of response.responses) {
      for (const fetched of partitions) {
        const assignment = this.#assignments.find(
          (one) => one.topic === topic && one.partition === fetched.partitionIndex,
        )
        if (assignment === undefined) continue
        if (fetched.errorCode === 0) this.#split(assignment, fetched, batches)
        else if (kafkaErrorName(fetched.errorCode) === 'offsetOutOfRange')
          await this.#returnIntoRange(assignment)
        else failure = answered(fetched.errorCode, `cannot read ${topic}-${fetched.partitionIndex}`)
      }
    }
    if (failure !== null) await this.#recover(failure)
    // A partition that brought most waits until the others had their turn, also when a response is full.
    this.#assignments.push(...this.#assignments.splice(0, 1))
    return batches
  }

  /** Appends the whole batches of `fetched`; a tail that was cut off is asked for again. */
  #split(assignment: Assignment, fetched: FetchedPartition, batches: FetchedBatch[]): void {
    const records = fetched.records ?? new Uint8Array(0)
    let at = 0
    while (records.length - at >= batchHeaderBytes && isOpen(assignment)) {
      const header = new BatchHeader(records, at)
      if (header.sizeBytes < batchHeaderBytes) throw this.#corrupt(assignment, 'its length is not true')
      if (header.sizeBytes > records.length - at) break
      const bytes = records.subarray(at, at + header.sizeBytes)
      at += header.sizeBytes
      if (header.magic !== 2)
        throw this.#corrupt(assignment, `message format ${header.magic} is not supported`)
      if (header.lastOffset < assignment.position) continue
      const { topic, partition, position } = assignment
      if (!header.isControl) batches.push({ topic, partition, header, bytes, fromOffset: position })
      assignment.position = header.lastOffset + 1
    }
    const { endOffset, position } = assignment
    // Offsets at the end may belong to nothing any more; a log that ends earlier than it did will not reach them.
    const isAtEnd = records.length === 0 && position >= fetched.highWatermark
    if (endOffset !== null && isAtEnd && position < endOffset) assignment.position = endOffset
  }

  #check({ topic, partition, header, bytes, fromOffset }: FetchedBatch): void {
    if (this.#runtime.checksum.crc32c(bytes.subarray(checksummedFrom)) === header.crc) return
    const position = Math.max(fromOffset, header.baseOffset)
    throw this.#corrupt({ topic, partition, position }, 'the checksum does not match the bytes')
  }

  #corrupt(
    { topic, partition, position }: Pick<Assignment, 'topic' | 'partition' | 'position'>,
    why: string,
  ): EngineError {
    return new EngineError('corruptMessage', `${topic}-${partition} is damaged at offset ${position}: ${why}`)
  }

  /** What was asked for has been deleted, or was never written: goes on at the nearest offset that exists. */
  async #returnIntoRange(assignment: Assignment): Promise<void> {
    const { topic, partition, position } = assignment
    const [first] = await listOffsets(this.#client, [assignment], 'earliest')
    const [end] = await listOffsets(this.#client, [assignment], 'latest')
    if (first === undefined || end === undefined) return
    assignment.position = Math.min(Math.max(position, first.offset), end.offset)
    this.#options.onNote(
      `${topic}-${partition} has no offset ${position} (it has ${first.offset} to ${end.offset - 1}); going on at ${assignment.position}`,
    )
  }

  /** After an error that may pass: waits a moment and asks who leads. Throws any other. */
  async #recover(error: EngineError): Promise<void> {
    if (!error.retriable && error.code !== 'networkException') throw error
    await this.#client.pause(retryDelayMs)
    const names = [...new Set(this.#assignments.map(({ topic }) => topic))]
    const { topics } = await this.#client.metadata(names)
    for (const assignment of this.#assignments) {
      const topic = topics.find(({ name }) => name === assignment.topic)
      if (topic === undefined)
        throw new EngineError('unknownTopicOrPartition', `topic ${assignment.topic} was deleted`)
      const leader = topic.partitions[assignment.partition]?.leader ?? -1
      if (leader >= 0) assignment.leader = leader
    }
  }
}

function isOpen({ endOffset, position }: Assignment): boolean {
  return endOffset === null || position < endOffset
}

import { EngineError, type EngineErrorName } from '../../model/errors.ts'
import type { RecordsRanges } from '../../protocol/recordsRanges.ts'
import type { GroupAck } from '../../replica/groupTypes.ts'
import { nodeChecksum } from '../../runtime/node/nodeChecksum.ts'
import { encodeBatch, type NewBatch } from '../../segment/records.ts'
import { factsOfBytes } from '../checkFacts.ts'
import type { Checks } from '../checks.ts'
import type { LogHistory } from '../history.ts'
import { SimRandom } from '../simRandom.ts'
import { administer } from './brokerAdmin.ts'
import type { BrokerCounts } from './brokerCounts.ts'
import { type BrokerLink, type KnownTopic, patienceMs, requestMs, retryMs } from './brokerLink.ts'
import { type BrokerOperation, churnTopic } from './brokerOperations.ts'
import { groupNameOf } from './brokerWatcher.ts'
import { OffsetsClient } from './offsetsClient.ts'
import { PipelinedProducer } from './pipelinedProducer.ts'
import type { AppendTarget } from './producerPartition.ts'
import { errorOf } from './simKafka.ts'

/** One client on a machine of its own: it learns who leads, asks again, and remembers every answer. */
export class BrokerClient {
  readonly id: number
  readonly link: BrokerLink
  readonly #checks: Checks
  readonly #counts: BrokerCounts
  /** Where the next read of a partition begins. */
  readonly #positions = new Map<string, number>()
  readonly #offsets: OffsetsClient
  readonly #random: SimRandom
  /** By id: a request for the next one may be under way while others still write with the one before. */
  readonly #producers = new Map<number, PipelinedProducer>()
  #producerId: Promise<number> | null = null
  #placed = 0
  #underWay = 0

  constructor(link: BrokerLink, id: number, checks: Checks, counts: BrokerCounts) {
    this.id = id
    this.link = link
    this.#checks = checks
    this.#counts = counts
    this.#random = new SimRandom((link.world.seed ^ 0x510e_527f) + id)
    this.#offsets = new OffsetsClient(link, `group-${id}`, checks)
  }

  /** Begins an operation; what goes wrong with it is the client's to bear. */
  begin(operation: BrokerOperation): void {
    this.#underWay++
    this.#run(operation)
      .catch((error: unknown) => {
        if (!(error instanceof EngineError)) throw error
        this.#counts.unknown++
      })
      .finally(() => this.#underWay--)
  }

  /** Whether everything that it was to do is done, or given up. */
  get isIdle(): boolean {
    return this.#underWay === 0 && [...this.#producers.values()].every(({ isIdle }) => isIdle)
  }

  /** Writes one record; whether that was acknowledged. */
  async write(operation: BrokerOperation): Promise<boolean> {
    const { acked } = this.#counts
    try {
      await this.#produce(operation)
    } catch (error) {
      if (!(error instanceof EngineError)) throw error
    }
    return this.#counts.acked > acked
  }

  /** Asks for the offset that it has committed last, if there is one; whether it has its answer. */
  async readsOffset(): Promise<boolean> {
    try {
      return !this.#offsets.hasAsked || (await this.#offsets.fetch())
    } catch (error) {
      if (!(error instanceof EngineError)) throw error
      return false
    }
  }

  async #run(operation: BrokerOperation): Promise<void> {
    switch (operation.kind) {
      case 'produce':
        return this.#produce(operation)
      case 'fetch':
        return this.#fetch(operation)
      case 'listEnd':
        return this.#listEnd(operation)
      case 'commitOffset':
        return this.#offsets.commit()
      case 'fetchOffset':
        await this.#offsets.fetch()
        return
      default:
        return administer(this.link, this.#checks, this.#counts, operation)
    }
  }

  async #produce(operation: BrokerOperation): Promise<void> {
    const { number, records, valueBytes, isIdempotent, batches, node } = operation
    const place = await this.#place(operation)
    if (place === null) return
    const { topic, index, history } = place
    // What is written by name may be in a topic that was made anew.
    const written = operation.topic === churnTopic ? null : history
    const timestampMs = Math.floor(1_700_000_000_000 + this.link.world.nowMs)
    const encode = (more: Partial<NewBatch>, batch = 0): Uint8Array => {
      const values = Array.from({ length: records }, (_, record) => ({
        key: null,
        value: Buffer.from(`${number}.${batch}.${record} `.padEnd(valueBytes, 'x')),
        timestampMs,
      }))
      return encodeBatch({ records: values, ...more }, nodeChecksum)
    }
    const first = leaderOr(topic, index, node)
    if (isIdempotent) {
      // Now and then it is another producer.
      if (number % 16 === 0) this.#producerId = null
      const producer = this.#producer(await this.#ownProducerId())
      const key = groupNameOf(topic.name, index, topic.id)
      for (let batch = 0; batch < batches; batch++) {
        producer.append(key, () => this.#target(topic, index, written), {
          node: first,
          records,
          encode: (producerId, producerEpoch, baseSequence) =>
            encode({ producerId, producerEpoch, baseSequence }, batch),
        })
      }
      return
    }
    const untilMs = this.link.world.nowMs + patienceMs
    for (let target = first, attempt = 0; ; attempt++) {
      // Other bytes each time: of an earlier attempt nobody may know what became of it.
      const bytes = encode({}, attempt)
      const call = written?.append(hashesOf(bytes))
      try {
        const ack = await this.#sendBatch(topic, index, target, bytes, records)
        this.#counts.acked++
        if (call !== undefined) written?.acked(call, ack.baseOffset, ack.lastOffset)
        return
      } catch (error) {
        if (!(error instanceof EngineError)) throw error
        if (refusals.has(error.code)) {
          this.#counts.refused++
          if (call !== undefined) written?.refused(call)
        } else this.#counts.unknown++
        if (error.code === 'networkException' || this.link.world.nowMs >= untilMs) return
        target = this.#nextOf(error, target)
      }
      await this.link.pause(retryMs)
    }
  }

  async #sendBatch(
    topic: KnownTopic,
    index: number,
    node: number,
    records: Uint8Array,
    count: number,
  ): Promise<GroupAck> {
    const topicData = [{ topicId: topic.id, partitionData: [{ index, records }] }]
    const body = { acks: -1, timeoutMs: requestMs, topicData }
    const { responses } = await this.link.kafka.request(node, 'produce', body, requestMs)
    const answer = responses[0]!.partitionResponses[0]!
    const { baseOffset, errorCode, currentLeader } = answer
    const error = errorOf(errorCode, { leaderId: currentLeader.leaderId })
    if (error !== null) throw error
    this.link.world.note(baseOffset * 4096 + count)
    return { baseOffset, lastOffset: baseOffset + count - 1, leaderEpoch: -1, duplicate: false }
  }

  /** Where the producer's batches for a partition go. */
  #target(topic: KnownTopic, index: number, history: LogHistory | null): AppendTarget {
    return {
      name: groupNameOf(topic.name, index, topic.id),
      history,
      leader: () => {
        const known = this.link.topics.get(topic.name)
        return known?.id === topic.id ? (known.partitions[index]?.leader ?? -1) : -1
      },
      hashes: hashesOf,
      send: (node, bytes, records) => this.#sendBatch(topic, index, node, bytes, records),
      ended: (ack) => {
        if (ack === null) this.#counts.unknown++
        else this.#counts.acked++
      },
      broken: (message) => this.#checks.fail('I13', message),
    }
  }

  /** The producer of an id that was handed out. */
  #producer(id: number): PipelinedProducer {
    let producer = this.#producers.get(id)
    if (producer === undefined) {
      const { world } = this.link
      const kind = this.#random.pick(['java', 'java', 'librdkafka', 'franz'] as const)
      const inFlight = 1 + this.#random.below(5)
      producer = new PipelinedProducer(
        { id, kind, inFlight, patienceMs },
        {
          nodes: world.nodes.size,
          get nowMs() {
            return world.nowMs
          },
          after: (delayMs, run) => world.after(delayMs, run),
        },
      )
      this.#producers.set(id, producer)
    }
    return producer
  }

  #ownProducerId(): Promise<number> {
    this.#producerId ??= this.link
      .patiently(async (node) => {
        const answer = await this.link.kafka.request(
          node,
          'initProducerId',
          { transactionalId: null, transactionTimeoutMs: 60_000 },
          requestMs,
        )
        const error = errorOf(answer.errorCode)
        if (error !== null) throw error
        const { producerId } = answer
        if (this.#counts.producerIds.has(producerId)) {
          this.#checks.fail('I13', `producer id ${producerId} is handed out twice`)
        }
        this.#counts.producerIds.add(producerId)
        return producerId
      })
      .catch((error: unknown) => {
        this.#producerId = null
        throw error
      })
    return this.#producerId
  }

  async #fetch(operation: BrokerOperation): Promise<void> {
    const place = await this.#place(operation)
    if (place === null || (operation.topic === churnTopic && this.#counts.deletions > 0)) return
    const { topic, index, history } = place
    const { leader, epoch } = topic.partitions[index]!
    const key = groupNameOf(topic.name, index, topic.id)
    const from = this.#positions.get(key) ?? 0
    const call = history.readEnd(this.id, false)
    const partition = {
      partition: index,
      fetchOffset: from,
      currentLeaderEpoch: epoch,
      partitionMaxBytes: 2000,
    }
    const body = { maxWaitMs: 200, minBytes: 1, topics: [{ topicId: topic.id, partitions: [partition] }] }
    const node = leader > 0 ? leader : operation.node
    const { errorCode, responses } = await this.link.kafka.request(node, 'fetch', body, requestMs)
    const answer = responses[0]?.partitions[0]
    const error = errorOf(errorCode) ?? errorOf(answer?.errorCode ?? 0)
    if (error !== null) {
      if (error.code === 'offsetOutOfRange') {
        this.#checks.fail('I7', `${key}: ${from} was read up to, and is out of range for node ${node}`)
      }
      this.link.learn(topic, index, answer?.currentLeader)
      return
    }
    if (answer === undefined) return
    this.#counts.read++
    history.endRead(call, answer.highWatermark)
    const facts = answer.records === null ? [] : factsOfBytes(bytesOf(answer.records), null, null)
    if (facts.length === 0) return
    history.read(from, facts)
    const position = facts.at(-1)!.lastOffset + 1
    if (position > (this.#positions.get(key) ?? 0)) this.#positions.set(key, position)
  }

  async #listEnd(operation: BrokerOperation): Promise<void> {
    const place = await this.#place(operation)
    if (place === null) return
    const { topic, index, history } = place
    const { leader, epoch } = topic.partitions[index]!
    const call = history.readEnd(this.id, false)
    const partitions = [{ partitionIndex: index, currentLeaderEpoch: epoch, timestamp: -1 }]
    const body = { replicaId: -1, topics: [{ name: topic.name, partitions }] }
    const node = leader > 0 ? leader : operation.node
    const { topics } = await this.link.kafka.request(node, 'listOffsets', body, requestMs)
    const answer = topics[0]!.partitions[0]!
    // By name: the topic may be another one by now.
    if (errorOf(answer.errorCode) !== null || operation.topic === churnTopic) return
    this.#counts.read++
    history.endRead(call, answer.offset)
  }

  /** The topic and partition that an operation is about; null when there is none. */
  async #place({ topic: number, partition }: BrokerOperation): Promise<{
    readonly topic: KnownTopic
    readonly index: number
    readonly history: LogHistory
  } | null> {
    const name = `t${number}`
    const isLed = this.link.topics.get(name)?.partitions.every(({ leader }) => leader > 0) === true
    // Now and then without a reason: others make and delete topics.
    if (!isLed || ++this.#placed % 8 === 0) await this.link.refresh()
    const topic = this.link.topics.get(name)
    if (topic === undefined || topic.partitions.length === 0) return null
    const index = partition % topic.partitions.length
    return { topic, index, history: this.#checks.history(groupNameOf(name, index, topic.id)) }
  }

  #nextOf(error: EngineError, node: number): number {
    const leaderId = 'leaderId' in error ? (error.leaderId as number) : -1
    return leaderId > 0 && leaderId !== node ? leaderId : (node % this.link.world.nodes.size) + 1
  }
}

function leaderOr(topic: KnownTopic, index: number, node: number): number {
  const { leader } = topic.partitions[index]!
  return leader > 0 ? leader : node
}

/** What says that nothing was appended. Who stops leading meanwhile answers `notLeaderOrFollower`, whatever becomes of it. */
const refusals: ReadonlySet<EngineErrorName> = new Set([
  'unknownTopicOrPartition',
  'unknownTopicId',
  'unknownTopicId',
  'notEnoughReplicas',
])

function hashesOf(bytes: Uint8Array): number[] {
  return factsOfBytes(bytes, null, null).map(({ hash }) => hash)
}

function bytesOf(records: Uint8Array | RecordsRanges): Uint8Array {
  if (records instanceof Uint8Array) return records
  throw new TypeError('a response has bytes')
}

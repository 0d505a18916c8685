import { isInternalTopic } from '../../controller/topicNames.ts'
import { EngineError } from '../../model/errors.ts'
import { KafkaError } from '../../model/kafkaErrors.ts'
import { type Uuid, zeroUuid } from '../../model/uuid.ts'
import type { apiKeys } from '../../protocol/apiKeys.ts'
import type { Infer } from '../../protocol/schema.ts'
import { BatchHeader, batchHeaderBytes, checkBatch } from '../../segment/recordBatch.ts'
import { haveKeys } from '../../segment/recordWalk.ts'
import type { Answer, Stream } from '../dispatch.ts'
import { endpointsOf } from '../nodes.ts'
import { acksAll, type Partition } from '../partition.ts'
import type { RequestContext, Services } from '../services.ts'
import { firstVersionById, ProducePrefix, type ProduceTerms } from './producePrefix.ts'
import { Append, noteRefused, PartitionResult, ProduceRound } from './produceRound.ts'

type ProduceApi = (typeof apiKeys)['produce']
type ProduceRequest = Infer<ProduceApi['request']>
type ProduceAnswer = Answer<ProduceApi>

const notLeader = KafkaError.notLeaderOrFollower.kafka
const fencedEpoch = KafkaError.fencedLeaderEpoch.kafka
const zstd = 4
const firstVersionWithZstd = 7
const firstVersionWithLeader = 10
/** How many bytes of batches that have arrived are appended before the rest of their request is there. */
const partBytes = 1 << 20

/**
 * Produce: checks every batch, appends them and hands them to the disk, then answers as soon as they are durable under the
 * policy of their topics. Nothing is decompressed and, after the copy that the disk takes, nothing of the request is kept.
 */
export function handleProduce(
  services: Services,
  context: RequestContext,
  request: ProduceRequest,
): ProduceAnswer | Promise<ProduceAnswer> {
  return new Production(services, context, null).complete(request)
}

/**
 * A large Produce request whose batches are appended as they arrive, so that the disk works while the socket is read. Each
 * partition's batch stands for itself: when the rest of the request never comes it is as if its answer were lost.
 */
export function beginProduce(
  services: Services,
  context: RequestContext,
  bodyPosition: number,
): Stream<ProduceApi> {
  const prefix = new ProducePrefix(context.exchange.requestBytes, bodyPosition, context.apiVersion)
  return new Production(services, context, prefix)
}

/** One Produce request: its batches in the order of the request, appended in one round or in several. */
class Production implements Stream<ProduceApi> {
  readonly #services: Services
  readonly #context: RequestContext
  readonly #prefix: ProducePrefix | null
  /** Of the partitions that were taken before the request was whole. */
  readonly #early: PartitionResult[] = []
  readonly #rounds: Promise<void>[] = []
  /** Checked, and not yet handed over. */
  #appends: Append[] = []
  #appendBytes = 0

  constructor(services: Services, context: RequestContext, prefix: ProducePrefix | null) {
    this.#services = services
    this.#context = context
    this.#prefix = prefix
  }

  arrived(bytes: number): void {
    const prefix = this.#prefix!
    for (let next = prefix.next(bytes); next !== null; next = prefix.next(bytes)) {
      this.#early.push(
        this.#take(prefix.terms!, this.#nameOf(next.name, next.topicId), next.index, next.records),
      )
      if (this.#appendBytes >= partBytes) this.#run(prefix.terms!)
    }
  }

  complete(request: ProduceRequest): ProduceAnswer | Promise<ProduceAnswer> {
    let at = 0
    const responses = request.topicData.map(({ name: asked, topicId, partitionData }) => {
      const name = this.#nameOf(asked, topicId)
      const partitionResponses = partitionData.map(
        ({ index, records }) => this.#early[at++] ?? this.#take(request, name, index, records),
      )
      return { name: name ?? '', topicId, partitionResponses }
    })
    this.#run(request)
    this.#context.exchange.releaseRequest()
    const answer = (): ProduceAnswer | Promise<ProduceAnswer> =>
      request.acks === 0
        ? finishUnacknowledged(this.#context, { responses })
        : finish(this.#services, this.#context, responses)
    const [first] = this.#rounds
    if (first === undefined) return answer()
    return (this.#rounds.length === 1 ? first : Promise.all(this.#rounds)).then(answer)
  }

  /** The name of a topic, or of the one that has the id; null when none has it. */
  #nameOf(name: string, topicId: Uuid | null): string | null {
    if (this.#context.apiVersion < firstVersionById) return name
    return this.#services.controller.image.topicsById.get(topicId ?? zeroUuid)?.name ?? null
  }

  #take(
    terms: ProduceTerms,
    name: string | null,
    index: number,
    records: Uint8Array | null,
  ): PartitionResult {
    const result = new PartitionResult(index)
    let partition: Partition | null = null
    try {
      if (name === null) throw new EngineError('unknownTopicId', 'no topic has this id')
      partition = this.#services.partitions.require(name, index)
      const header = check(this.#services, this.#context, terms, partition, records)
      this.#appends.push(new Append(partition, header, records!, result))
      this.#appendBytes += records!.length
    } catch (error) {
      result.fail(this.#services, error)
      const hasHeader = records !== null && records.length >= batchHeaderBytes
      if (partition !== null && hasHeader) {
        noteRefused(this.#services, partition, new BatchHeader(records, 0), error)
      }
    }
    return result
  }

  #run(terms: ProduceTerms): void {
    const appends = this.#appends
    this.#appends = []
    this.#appendBytes = 0
    const done = new ProduceRound(this.#services, this.#context.exchange, terms, appends).run()
    if (done !== null) this.#rounds.push(done)
  }
}

interface TopicResult {
  readonly name: string
  readonly partitionResponses: readonly PartitionResult[]
}

/** The answer, once it is known who leads what this node does not. */
function finish(
  services: Services,
  context: RequestContext,
  responses: readonly TopicResult[],
): ProduceAnswer | Promise<ProduceAnswer> {
  let waiting: Promise<void>[] | null = null
  for (const { name, partitionResponses } of responses) {
    for (const { errorCode, index } of partitionResponses) {
      if (errorCode !== notLeader) continue
      const partition = services.partitions.find(name, index)
      if (partition === null) continue
      waiting ??= []
      waiting.push(new Promise((resolve) => partition.awaitLeader(resolve) || resolve()))
    }
  }
  if (waiting === null) return withLeaders(services, context, responses)
  return Promise.all(waiting).then(() => withLeaders(services, context, responses))
}

/** The answer; where another node leads it says which, and where that is. Source: KIP-951. */
function withLeaders(
  services: Services,
  { apiVersion }: RequestContext,
  responses: readonly TopicResult[],
): ProduceAnswer {
  if (apiVersion < firstVersionWithLeader) return { responses }
  let leaders: Set<number> | null = null
  for (const { name, partitionResponses } of responses) {
    for (const result of partitionResponses) {
      if (result.errorCode !== notLeader && result.errorCode !== fencedEpoch) continue
      const { leader, leaderEpoch } = services.partitions.leadershipOf(name, result.index)
      result.currentLeader = { leaderId: leader, leaderEpoch }
      if (leader >= 0) (leaders ??= new Set()).add(leader)
    }
  }
  return leaders === null ? { responses } : { responses, nodeEndpoints: endpointsOf(services.nodes, leaders) }
}

/** `acks=0` gets no answer, so an error can only be shown by closing the connection, as Kafka does. */
function finishUnacknowledged(
  context: RequestContext,
  response: { readonly responses: readonly TopicResult[] },
): null {
  for (const { partitionResponses } of response.responses) {
    const failed = partitionResponses.find(({ errorCode }) => errorCode !== 0)
    if (failed) {
      context.exchange.fail('unacknowledged', `a produce request with acks=0 failed: ${failed.errorMessage}`)
      break
    }
  }
  return null
}

function check(
  services: Services,
  context: RequestContext,
  { acks, transactionalId }: ProduceTerms,
  partition: Partition,
  records: Uint8Array | null,
): BatchHeader {
  if (acks !== 0 && acks !== 1 && acks !== acksAll) {
    throw new EngineError('invalidRequiredAcks', `acks must be 0, 1 or -1 (all), not ${acks}`)
  }
  partition.requireLeader()
  if (isInternalTopic(partition.topic)) {
    throw new EngineError('invalidTopicException', `records of ${partition.topic} are the broker's own`)
  }
  if (transactionalId !== null) {
    throw new EngineError('transactionalIdAuthorizationFailed', 'this broker has no transactions yet')
  }
  if (acks === acksAll && partition.minInsyncReplicas > 1) checkInSync(partition)
  if (records === null) throw new EngineError('invalidRecord', 'a produce request without records')
  const header = checkBatch(records, services.runtime.checksum)
  if (header.codec === zstd && context.apiVersion < firstVersionWithZstd) {
    throw new EngineError('unsupportedCompressionType', 'zstd needs a produce request of version 7 or later')
  }
  if (header.isTransactional) throw new EngineError('invalidTxnState', 'this broker has no transactions yet')
  if (partition.log.config.cleanupPolicy.compact) checkKeys(header, records)
  return header
}

function checkInSync({ topic, minInsyncReplicas, inSyncCount }: Partition): void {
  if (inSyncCount >= minInsyncReplicas) return
  const found = inSyncCount === 1 ? 'there is one replica' : `there are ${inSyncCount} replicas`
  throw new EngineError(
    'notEnoughReplicas',
    `min.insync.replicas of ${topic} is ${minInsyncReplicas}, and ${found}`,
  )
}

/**
 * Compaction could not tell what a record without a key replaces: it is refused, as Kafka does. Kafka decompresses for it;
 * here batches stay compressed, and compaction keeps what they have without a key.
 */
function checkKeys({ codec, isControl, recordsCount }: BatchHeader, records: Uint8Array): void {
  if (codec !== 0 || isControl || haveKeys(records, batchHeaderBytes, recordsCount)) return
  throw new EngineError('invalidRecord', 'a topic that is compacted takes no records without a key')
}

import { isInternalTopic } from '../../controller/topicNames.ts'
import { EngineError, failureIn } from '../../model/errors.ts'
import { KafkaError } from '../../model/kafkaErrors.ts'
import type { apiKeys } from '../../protocol/apiKeys.ts'
import type { Infer } from '../../protocol/schema.ts'
import { type BatchHeader, batchHeaderBytes, checkBatch } from '../../segment/recordBatch.ts'
import { haveKeys } from '../../segment/recordWalk.ts'
import { WriteGroup } from '../../segment/writeGroup.ts'
import type { Answer } from '../dispatch.ts'
import { endpointsOf } from '../nodes.ts'
import { acksAll, type Partition } from '../partition.ts'
import { type RequestContext, type Services, wireError } from '../services.ts'

type ProduceApi = (typeof apiKeys)['produce']
type ProduceRequest = Infer<ProduceApi['request']>
type ProduceAnswer = Answer<ProduceApi>

const notLeader = KafkaError.notLeaderOrFollower.kafka
const fencedEpoch = KafkaError.fencedLeaderEpoch.kafka
const zstd = 4
const firstVersionWithZstd = 7
const firstVersionWithLeader = 10
/** More than a batch takes in the journal beside its bytes. */
const entryBytes = 128

/** What becomes of one partition's batch; also its place in the response. */
class PartitionResult {
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
interface Append {
  readonly partition: Partition
  readonly header: BatchHeader
  readonly bytes: Uint8Array
  readonly result: PartitionResult
  /** Exclusive; what must be durable before the answer. */
  endOffset: number
  /** It was there before, so it does not depend on this request's write. */
  isDuplicate: boolean
  /** `Partition.losses` at the time of the append. */
  losses: number
}

/** Whom to ask in place of this node. */
interface CurrentLeader {
  readonly leaderId: number
  readonly leaderEpoch: number
}

const unknownLeader: CurrentLeader = { leaderId: -1, leaderEpoch: -1 }

function newAppend(
  partition: Partition,
  header: BatchHeader,
  bytes: Uint8Array,
  result: PartitionResult,
): Append {
  return { partition, header, bytes, result, endOffset: -1, isDuplicate: false, losses: 0 }
}

/**
 * Produce: checks every batch, appends them all in one turn and hands them to the disk in one go, then answers
 * as soon as they are durable under the policy of their topics. Nothing is decompressed and, after the copy that
 * the disk takes, nothing of the request is kept.
 */
export function handleProduce(
  services: Services,
  context: RequestContext,
  request: ProduceRequest,
): ProduceAnswer | Promise<ProduceAnswer> {
  const appends: Append[] = []
  const responses = request.topicData.map(({ name, partitionData }) => ({
    name,
    partitionResponses: partitionData.map(({ index, records }) => {
      const result = new PartitionResult(index)
      try {
        const partition = services.partitions.require(name, index)
        const header = check(services, context, request, partition, records)
        appends.push(newAppend(partition, header, records!, result))
      } catch (error) {
        result.fail(services, error)
      }
      return result
    }),
  }))
  const round = new ProduceRound(services, context, request, appends, () =>
    request.acks === 0 ? finishUnacknowledged(context, { responses }) : finish(services, context, responses),
  )
  return round.run()
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
  request: ProduceRequest,
  partition: Partition,
  records: Uint8Array | null,
): BatchHeader {
  const { acks, transactionalId } = request
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

/** The second half of a produce request: wait for room, append, submit, wait until it is durable, answer once. */
class ProduceRound {
  readonly #services: Services
  readonly #context: RequestContext
  readonly #request: ProduceRequest
  readonly #appends: readonly Append[]
  readonly #answer: () => ProduceAnswer | Promise<ProduceAnswer>

  constructor(
    services: Services,
    context: RequestContext,
    request: ProduceRequest,
    appends: readonly Append[],
    answer: () => ProduceAnswer | Promise<ProduceAnswer>,
  ) {
    this.#services = services
    this.#context = context
    this.#request = request
    this.#appends = appends
    this.#answer = answer
  }

  run(): ProduceAnswer | Promise<ProduceAnswer> {
    if (this.#appends.length === 0) return this.#answer()
    const { diskGate } = this.#services
    let lengthBytes = 0
    for (const { bytes } of this.#appends) lengthBytes += bytes.length + entryBytes
    if (diskGate.hasRoom(lengthBytes)) return this.#append()
    // Later requests stand in line behind this one, so those of this connection keep their order.
    return new Promise((resolve) => {
      diskGate.wait(lengthBytes, this.#timeoutMs(), (hasRoom) => {
        if (!hasRoom) this.#failUndecided('the disk took nothing for as long as the request may take')
        resolve(hasRoom ? this.#append() : this.#answer())
      })
    })
  }

  #timeoutMs(): number {
    return Math.max(0, this.#request.timeoutMs)
  }

  #append(): ProduceAnswer | Promise<ProduceAnswer> {
    const group = new WriteGroup(this.#services.runtime.disk)
    for (const append of this.#appends) {
      const { partition, header, bytes, result } = append
      try {
        const appended = partition.append(header, bytes, group)
        result.baseOffset = appended.baseOffset
        result.logAppendTimeMs = appended.logAppendTimeMs
        append.endOffset = appended.lastOffset + 1
        append.isDuplicate = appended.duplicate
        append.losses = partition.losses
      } catch (error) {
        result.fail(this.#services, error)
      }
      result.logStartOffset = partition.log.logStartOffset
    }
    const submitted = group.submit()
    // The disk has its own copy now.
    this.#context.exchange.releaseRequest()
    if (this.#request.acks === 0) {
      // A log that fails says so itself.
      submitted.catch(() => {})
      return this.#answer()
    }
    return new Promise((resolve) => this.#settle(submitted, resolve))
  }

  /** Answers when everything is durable or has failed, at the latest when the time is up. */
  #settle(submitted: Promise<void>, resolve: (answer: ProduceAnswer | Promise<ProduceAnswer>) => void): void {
    let isSettled = false
    const settle = (): void => {
      if (isSettled) return
      isSettled = true
      timer.cancel()
      resolve(this.#answer())
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
        if (partition.awaitAck(endOffset, this.#request.acks, oneLess)) waiting += 1
      }
      oneLess()
    }
    submitted.then(whenWritten, (error) => {
      for (const { partition, result, isDuplicate } of this.#appends) {
        const failure = failureIn(error, partition.log.directory)
        if (failure !== null && result.errorCode === 0 && !isDuplicate) result.fail(this.#services, failure)
      }
      whenWritten()
    })
  }

  #failUndecided(message: string): void {
    const error = new EngineError('requestTimedOut', message)
    for (const { partition, result, endOffset } of this.#appends) {
      if (result.errorCode === 0 && (endOffset < 0 || !partition.isAcked(endOffset, this.#request.acks))) {
        result.fail(this.#services, error)
      }
    }
  }

  /** What is not durable now never will be. */
  #failLost(): void {
    for (const { partition, result, endOffset, losses } of this.#appends) {
      if (result.errorCode !== 0) continue
      if (partition.losses === losses && partition.isAcked(endOffset, this.#request.acks)) continue
      result.fail(this.#services, partition.whyLost(losses))
    }
  }
}

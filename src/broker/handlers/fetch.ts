import type { FileRange } from '../../model/fileRange.ts'
import { KafkaError } from '../../model/kafkaErrors.ts'
import type { apiKeys } from '../../protocol/apiKeys.ts'
import type { Infer } from '../../protocol/schema.ts'
import type { Answer } from '../dispatch.ts'
import { endpointsOf } from '../nodes.ts'
import { FetchWait, type WatchedPartition } from '../purgatory.ts'
import type { RequestContext, Services } from '../services.ts'
import { FetchItem } from './fetchItem.ts'

type FetchApi = (typeof apiKeys)['fetch']
type FetchRequest = Infer<FetchApi['request']>
type FetchAnswer = Answer<FetchApi>

const firstVersionWithError = 7
/** Source: KIP-595. */
const firstVersionWithLeader = 12
/** Source: KIP-516. */
const firstVersionById = 13
/** Source: KIP-951. */
const firstVersionWithEndpoints = 16
/** Source: KIP-110. */
const firstVersionWithZstd = 10

/**
 * Fetch: where the batches lie, not the batches themselves. Waits for `minBytes` up to `maxWaitMs` without
 * polling. Sessions (KIP-227) are answered with id 0, which tells the client to send full requests.
 */
export function handleFetch(
  services: Services,
  context: RequestContext,
  request: FetchRequest,
): FetchAnswer | Promise<FetchAnswer> {
  const { exchange } = context
  // The request holds no bytes that are looked at later.
  exchange.releaseRequest()
  if (request.sessionId !== 0) return { errorCode: KafkaError.fetchSessionIdNotFound.kafka }
  if (request.isolationLevel !== 0 && request.isolationLevel !== 1) {
    if (context.apiVersion >= firstVersionWithError) return { errorCode: KafkaError.invalidRequest.kafka }
    exchange.fail('malformed', `there is no isolation level ${request.isolationLevel}`)
    return null
  }
  const fetch = new Fetch(services, context, request)
  return fetch.run()
}

/** What one answer may take of memory where it consists of checked bytes, unless a single batch is larger. */
const maxCopiedBytes = 1 << 20

/** Counts fetches: where each begins to look, so that with a small limit every partition gets its turn. */
let turn = 0

class Fetch {
  readonly #services: Services
  readonly #context: RequestContext
  readonly #request: FetchRequest
  readonly #items: FetchItem[] = []
  #response: FetchAnswer & object
  readonly #firstItem: number
  /** Bytes found, and whether an error asks for an answer at once. */
  #bytes = 0
  #isUrgent = false

  constructor(services: Services, context: RequestContext, request: FetchRequest) {
    this.#services = services
    this.#context = context
    this.#request = request
    turn += 1
    const isById = context.apiVersion >= firstVersionById
    // Replicas have a listener of their own: whoever claims to be one here must not be given what they are given.
    const isReplica = request.replicaId >= 0 || request.replicaState.replicaId >= 0
    const { topicsById } = services.controller.image
    const responses = request.topics.map(({ topic, topicId, partitions }) => {
      const items: FetchItem[] = []
      const name = isById ? (topicsById.get(topicId)?.name ?? null) : topic
      for (const position of partitions) {
        // Each partition once: a few bytes more of request must not mean its records again.
        if (name !== null && services.partitions.find(name, position.partition)?.isFetchedAgain(turn))
          continue
        const item = new FetchItem(services, name, position, request.rackId, isReplica)
        this.#items.push(item)
        items.push(item)
      }
      return { topic, topicId, partitions: items }
    })
    this.#response = { responses }
    this.#firstItem = turn % Math.max(1, this.#items.length)
  }

  run(): FetchAnswer | Promise<FetchAnswer> {
    const read = this.#read()
    return read === null ? this.#afterRead() : read.then(() => this.#afterRead())
  }

  #afterRead(): FetchAnswer | Promise<FetchAnswer> {
    const { maxWaitMs, minBytes } = this.#request
    const isEnough = this.#bytes >= minBytes || this.#isUrgent || this.#items.length === 0
    if (isEnough || maxWaitMs <= 0 || this.#context.exchange.isClosed) return this.#answer()
    if (!this.#services.purgatory.hasRoom(this.#items.length)) return this.#answer()
    return new Promise((resolve, reject) => this.#wait(resolve, reject))
  }

  /** What was read, once it may be sent. */
  #answer(): FetchAnswer | Promise<FetchAnswer> {
    if (this.#isUrgent) this.#nameLeaders()
    const confirmed = this.#confirm()
    return confirmed === null ? this.#understandable() : confirmed.then(() => this.#understandable())
  }

  /** Says where to go with what another node leads. */
  #nameLeaders(): void {
    const { apiVersion } = this.#context
    if (apiVersion < firstVersionWithLeader) return
    const leaders = new Set<number>()
    for (const item of this.#items) if (item.nameLeader()) leaders.add(item.currentLeader.leaderId)
    if (leaders.size === 0 || apiVersion < firstVersionWithEndpoints) return
    this.#response = { ...this.#response, nodeEndpoints: endpointsOf(this.#services.nodes, leaders) }
  }

  /** Has what comes from the disk read and checked aside; null when all of it is in memory and good. */
  #confirm(): Promise<unknown> | null {
    const ranges: FileRange[] = []
    for (const item of this.#items) for (const range of item.ranges) ranges.push(range)
    if (ranges.length === 0) return null
    const always = this.#services.config.text('cordwood.fetch.verify') === 'always'
    const each = (): Promise<unknown> => Promise.all(this.#items.map((item) => item.confirm(always)))
    if (always) return each()
    return this.#services.runtime.disk.prepare(ranges)?.catch(each) ?? null
  }

  /** The answer; for old clients without what they cannot understand. */
  #understandable(): FetchAnswer | Promise<FetchAnswer> {
    if (this.#context.apiVersion >= firstVersionWithZstd) return this.#response
    const checks: Promise<void>[] = []
    for (const item of this.#items) if (item.records.lengthBytes > 0) checks.push(item.refuseZstd())
    return checks.length === 0 ? this.#response : Promise.all(checks).then(() => this.#response)
  }

  #wait(
    resolve: (answer: FetchAnswer | Promise<FetchAnswer>) => void,
    reject: (error: unknown) => void,
  ): void {
    const { maxWaitMs, minBytes } = this.#request
    const { exchange } = this.#context
    const wait = new FetchWait(this.#services.purgatory, minBytes, () => {
      exchange.onClose(null)
      if (exchange.isClosed) {
        resolve(this.#response)
        return
      }
      const read = this.#read()
      if (read === null) resolve(this.#answer())
      else read.then(() => resolve(this.#answer()), reject)
    })
    const watched: WatchedPartition[] = []
    let isStale = false
    // Where many wait for much already, this one is only looked at again when its time is up.
    const items = this.#services.purgatory.mayWatch(this.#items.length) ? this.#items : []
    for (const item of items) {
      if (item.partition === null) continue
      watched.push(item.watchedBy(wait))
      isStale ||= item.isStale
    }
    wait.start(watched, this.#bytes, maxWaitMs, this.#items.length)
    exchange.onClose(() => wait.wake())
    // Records that came while an index was being loaded would otherwise only be seen with the next ones.
    if (isStale) wait.wake()
  }

  /** Reads every partition within the limits; null when that needed no waiting. */
  #read(): Promise<void> | null {
    this.#bytes = 0
    this.#isUrgent = false
    return this.#readFrom(0)
  }

  #readFrom(first: number): Promise<void> | null {
    const count = this.#items.length
    const { config } = this.#services
    let limitBytes = Math.min(this.#request.maxBytes, config.number('fetch.max.bytes'))
    if (config.text('cordwood.fetch.verify') === 'always') limitBytes = Math.min(limitBytes, maxCopiedBytes)
    for (let nth = first; nth < count; nth++) {
      const item = this.#items[(this.#firstItem + nth) % count]!
      if (!item.prepare()) {
        if (item.asksForAnswer) this.#isUrgent = true
        continue
      }
      const found = item.read(limitBytes - this.#bytes, this.#bytes === 0)
      if (typeof found === 'number') {
        this.#bytes += found
        if (item.errorCode !== 0) this.#isUrgent = true
      } else {
        return found.then((late) => {
          this.#bytes += late
          if (item.errorCode !== 0) this.#isUrgent = true
          return this.#readFrom(nth + 1) ?? undefined
        })
      }
    }
    return null
  }
}

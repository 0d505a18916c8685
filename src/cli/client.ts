import { EngineError } from '../model/errors.ts'
import { KafkaError, kafkaErrorName } from '../model/kafkaErrors.ts'
import type { Uuid } from '../model/uuid.ts'
import { type AnyApi, type ApiName, apiKeys } from '../protocol/apiKeys.ts'
import { decodeResponse, encodeRequest } from '../protocol/headers.ts'
import type { Infer, InferInput } from '../protocol/schema.ts'
import type { Address } from '../runtime/network.ts'
import type { Runtime } from '../runtime/runtime.ts'
import { ClientConnection } from './clientConnection.ts'
import { upperSnake } from './failure.ts'
import { formatAddress } from './options.ts'

/** The body of a request; fields left out are at their default. */
export type RequestOf<N extends ApiName> = InferInput<(typeof apiKeys)[N]['request']>
/** The body of a response. */
export type ResponseOf<N extends ApiName> = Infer<(typeof apiKeys)[N]['response']>

/** How a client behaves. */
export interface ClientOptions {
  /** Brokers to ask first; the first that answers is enough. */
  readonly bootstrap: readonly Address[]
  readonly clientId?: string
  /** How long one request may take, connecting included; default 30 s. */
  readonly timeoutMs?: number
}

/** Where and how one request is sent. */
export interface SendOptions {
  /** The broker that is meant; by default any. */
  readonly nodeId?: number
  /** Default: that of the client. */
  readonly timeoutMs?: number
  /** The highest version to use, for requests that are not what later ones want. */
  readonly maxVersion?: number
}

/** One partition as the cluster describes it. */
export interface PartitionMetadata {
  readonly partition: number
  /** Node id; -1 while there is none. */
  readonly leader: number
  readonly leaderEpoch: number
  readonly replicas: readonly number[]
  readonly isr: readonly number[]
}

/** One topic as the cluster describes it; partitions in ascending order. */
export interface TopicMetadata {
  readonly name: string
  readonly topicId: Uuid
  readonly isInternal: boolean
  readonly partitions: readonly PartitionMetadata[]
}

/** What a Metadata request says, as far as it went well. */
export interface ClusterMetadata {
  readonly clusterId: string | null
  readonly controllerId: number
  readonly brokers: ReadonlyMap<number, Address>
  readonly topics: readonly TopicMetadata[]
  /** Topics that were asked for and cannot be described, with the number of the error. */
  readonly failed: readonly { readonly name: string; readonly errorCode: number }[]
}

/** Versions of one API, both ends inclusive. */
interface Versions {
  readonly min: number
  readonly max: number
}

/** A connection that has been asked what its broker speaks. */
interface Link {
  readonly connection: ClientConnection
  readonly versions: ReadonlyMap<number, Versions>
}

const software = { clientSoftwareName: 'cordwood', clientSoftwareVersion: '0.1.0' }
const retryDelayMs = 50
const unsupportedVersion = KafkaError.unsupportedVersion.kafka

/**
 * A small Kafka client: negotiates versions, keeps one connection a broker, sends requests without waiting for
 * earlier ones. Every failure is an `EngineError`; one that a broker answered has that error's code.
 * Source: KIP-35 (ApiVersions), KIP-511 (client software).
 */
export class Client {
  readonly #runtime: Pick<Runtime, 'network' | 'clock'>
  readonly #bootstrap: readonly Address[]
  readonly #clientId: string
  readonly #timeoutMs: number
  /** Links by `HOST:PORT`; a link that is being made is there too, so that two requests share it. */
  readonly #links = new Map<string, Promise<Link>>()
  #brokers: ReadonlyMap<number, Address> = new Map()
  #closed = false

  /** Connects to nobody yet; the first request does. */
  constructor(runtime: Pick<Runtime, 'network' | 'clock'>, options: ClientOptions) {
    this.#runtime = runtime
    this.#bootstrap = options.bootstrap
    this.#clientId = options.clientId ?? 'cordwood'
    this.#timeoutMs = options.timeoutMs ?? 30_000
  }

  /** Sends one request in the highest version that both sides know and resolves with the response as it came. */
  async send<N extends ApiName>(
    api: N,
    body: RequestOf<N>,
    options: SendOptions = {},
  ): Promise<ResponseOf<N>> {
    const timeoutMs = options.timeoutMs ?? this.#timeoutMs
    const { connection, versions } = await this.#link(options.nodeId)
    const version = commonVersion(api, versions, options.maxVersion)
    return this.#exchange(connection, api, version, body, timeoutMs)
  }

  /** Sends a Produce request with acks=0, which is never answered. */
  async post(body: RequestOf<'produce'>, nodeId: number): Promise<void> {
    const { connection, versions } = await this.#link(nodeId)
    const version = commonVersion('produce', versions)
    connection.post(
      encodeRequest(apiKeys.produce, version, connection.nextCorrelationId(), this.#clientId, body),
    )
  }

  /** The highest version of `api` that both this client and the broker know. Throws `unsupportedVersion`. */
  async version(api: ApiName, nodeId?: number): Promise<number> {
    return commonVersion(api, (await this.#link(nodeId)).versions)
  }

  /** What the cluster says of `topics` (null for all); `create` lets the broker create what is missing. */
  async metadata(topics: readonly string[] | null, create = false): Promise<ClusterMetadata> {
    const response = await this.send('metadata', {
      topics: topics === null ? null : topics.map((name) => ({ name })),
      allowAutoTopicCreation: create,
    })
    this.#brokers = new Map(response.brokers.map(({ nodeId, host, port }) => [nodeId, { host, port }]))
    const described = response.topics.filter(({ errorCode }) => errorCode === 0)
    return {
      clusterId: response.clusterId,
      controllerId: response.controllerId,
      brokers: this.#brokers,
      topics: described.map((topic) => ({
        name: topic.name ?? '',
        topicId: topic.topicId,
        isInternal: topic.isInternal,
        partitions: topic.partitions
          .map(({ partitionIndex, leaderId, leaderEpoch, replicaNodes, isrNodes }) => ({
            partition: partitionIndex,
            leader: leaderId,
            leaderEpoch,
            replicas: replicaNodes,
            isr: isrNodes,
          }))
          .sort((a, b) => a.partition - b.partition),
      })),
      failed: response.topics
        .filter(({ errorCode }) => errorCode !== 0)
        .map(({ name, errorCode }) => ({ name: name ?? '', errorCode })),
    }
  }

  /** The descriptions of topics, all there are for no `names`, by name. Throws for one that cannot be told of. */
  async describe(names: readonly string[]): Promise<readonly TopicMetadata[]> {
    const { topics, failed } = await this.metadata(names.length === 0 ? null : names)
    const [first] = failed
    if (first !== undefined) throw topicError(first.name, first.errorCode)
    return [...topics].sort((a, b) => (a.name < b.name ? -1 : 1))
  }

  /**
   * The description of one topic. With `create` it waits until a missing topic has been created and every
   * partition has a leader, at most the client's timeout; without, a missing topic is an error at once.
   */
  async topic(name: string, create: boolean): Promise<TopicMetadata> {
    const { clock } = this.#runtime
    const giveUpAtMs = clock.monotonicMs() + Math.min(this.#timeoutMs, 10_000)
    for (;;) {
      const { topics, failed } = await this.metadata([name], create)
      const topic = topics[0]
      const code = kafkaErrorName(failed[0]?.errorCode ?? 0)
      const leaderless = topic?.partitions.find(({ leader }) => leader < 0)
      if (topic !== undefined && leaderless === undefined) return topic
      const settled =
        code === 'unknownTopicOrPartition' ? !create : !['none', 'leaderNotAvailable'].includes(code)
      if ((settled || clock.monotonicMs() >= giveUpAtMs) && leaderless !== undefined) {
        const where = `partition ${leaderless.partition} of topic ${name}`
        throw new EngineError(
          'leaderNotAvailable',
          `${where} has no leader; see "cordwood partitions ${name}"`,
        )
      }
      if (settled || clock.monotonicMs() >= giveUpAtMs) throw topicError(name, failed[0]?.errorCode ?? 0)
      await this.pause(retryDelayMs)
    }
  }

  /** Runs `attempt` until it succeeds, fails for good, or the client's timeout is over: then throws its last error. */
  async retrying<T>(attempt: () => Promise<T>): Promise<T> {
    const { clock } = this.#runtime
    const giveUpAtMs = clock.monotonicMs() + this.#timeoutMs
    for (;;) {
      try {
        return await attempt()
      } catch (error) {
        // Nobody listening is not going to change while a user waits.
        const mayPass = error instanceof EngineError && error.retriable && error.code !== 'networkException'
        if (!mayPass || clock.monotonicMs() >= giveUpAtMs) throw error
      }
      await this.pause(retryDelayMs)
    }
  }

  /** Resolves `delayMs` from now. */
  pause(delayMs: number): Promise<void> {
    return new Promise((resolve) => this.#runtime.clock.setTimer(delayMs, resolve))
  }

  /** Closes every connection; later calls reject with `closed`. */
  async close(): Promise<void> {
    this.#closed = true
    const links = [...this.#links.values()]
    this.#links.clear()
    for (const link of links) (await link.catch(() => null))?.connection.close()
  }

  async #exchange<N extends ApiName>(
    connection: ClientConnection,
    name: N,
    version: number,
    body: RequestOf<N>,
    timeoutMs: number,
  ): Promise<ResponseOf<N>> {
    const api: AnyApi = apiKeys[name]
    const correlationId = connection.nextCorrelationId()
    const request = encodeRequest(api, version, correlationId, this.#clientId, body)
    const frame = await connection.exchange(correlationId, request, timeoutMs)
    // A broker too old for our ApiVersions answers in version 0, whatever was asked. Source: KIP-511.
    const isRefusal = name === 'apiVersions' && frame[4] === 0 && frame[5] === unsupportedVersion
    return decodeResponse(api, isRefusal ? 0 : version, frame) as ResponseOf<N>
  }

  async #link(nodeId?: number): Promise<Link> {
    if (nodeId === undefined) return this.#anyLink()
    if (!this.#brokers.has(nodeId)) await this.metadata([])
    const address = this.#brokers.get(nodeId)
    if (address !== undefined) return this.#linkTo(address)
    // A leader that has died is in no list of brokers, and for a moment nobody is in its place: whoever asks again finds one.
    const who = nodeId < 0 ? 'nobody leads' : `broker ${nodeId} is not there`
    throw new EngineError('leaderNotAvailable', `${who} at the moment`)
  }

  async #anyLink(): Promise<Link> {
    let failure: unknown = new EngineError('brokerNotAvailable', 'no broker to connect to')
    for (const address of [...this.#bootstrap, ...this.#brokers.values()]) {
      try {
        return await this.#linkTo(address)
      } catch (error) {
        failure = failure instanceof EngineError && failure.code === 'networkException' ? failure : error
      }
    }
    throw failure
  }

  #linkTo(address: Address): Promise<Link> {
    if (this.#closed) return Promise.reject(new EngineError('closed', 'the client was closed'))
    const key = formatAddress(address)
    const known = this.#links.get(key)
    if (known !== undefined)
      return known.then((link) => (link.connection.isClosed ? this.#relink(key, known, address) : link))
    const made = this.#makeLink(address)
    this.#links.set(key, made)
    made.catch(() => this.#links.delete(key))
    return made
  }

  #relink(key: string, closed: Promise<Link>, address: Address): Promise<Link> {
    if (this.#links.get(key) === closed) this.#links.delete(key)
    return this.#linkTo(address)
  }

  async #makeLink(address: Address): Promise<Link> {
    const { network, clock } = this.#runtime
    const connection = await ClientConnection.open(network, clock, address, this.#timeoutMs)
    try {
      return { connection, versions: await this.#askVersions(connection) }
    } catch (error) {
      connection.close()
      throw error
    }
  }

  /** A broker that does not know our version answers error 35 in version 0, with the versions that it knows. */
  async #askVersions(connection: ClientConnection): Promise<ReadonlyMap<number, Versions>> {
    let version: number = apiKeys.apiVersions.max
    for (;;) {
      const response = await this.#exchange(connection, 'apiVersions', version, software, this.#timeoutMs)
      if (response.errorCode === 0) {
        return new Map(
          response.apiKeys.map(({ apiKey, minVersion, maxVersion }) => [
            apiKey,
            { min: minVersion, max: maxVersion },
          ]),
        )
      }
      const known = response.apiKeys.find(({ apiKey }) => apiKey === apiKeys.apiVersions.key)
      const lower = Math.min(version - 1, known?.maxVersion ?? 0)
      if (kafkaErrorName(response.errorCode) !== 'unsupportedVersion' || lower < 0)
        throw answered(response.errorCode, 'ApiVersions')
      version = lower
    }
  }
}

/** The error that a broker answered, as an `EngineError`; `subject` says what it is about. */
export function answered(errorCode: number, subject: string, errorMessage?: string | null): EngineError {
  const code = kafkaErrorName(errorCode)
  return new EngineError(code, `${upperSnake(code)}: ${subject}${errorMessage ? `: ${errorMessage}` : ''}`)
}

/** Throws `answered` unless `errorCode` is 0. */
export function checkAnswer(errorCode: number, subject: string, errorMessage?: string | null): void {
  if (errorCode !== 0) throw answered(errorCode, subject, errorMessage)
}

/** Why a topic that was asked for cannot be told of; `errorCode` is Kafka's number. */
function topicError(name: string, errorCode: number): EngineError {
  const code = kafkaErrorName(errorCode)
  if (code === 'unknownTopicOrPartition') {
    return new EngineError(code, `topic ${name} does not exist; "cordwood topics create ${name}" creates it`)
  }
  if (code === 'invalidTopicException') {
    return new EngineError(
      code,
      `"${name}" cannot be a topic: letters, digits, ".", "_", "-", at most 249 of them`,
    )
  }
  return new EngineError(code, `topic ${name} is not available`)
}

function commonVersion(api: ApiName, versions: ReadonlyMap<number, Versions>, max = Infinity): number {
  const own: AnyApi = apiKeys[api]
  const theirs = versions.get(own.key)
  const version = Math.min(own.max, theirs?.max ?? -1, max)
  if (theirs !== undefined && version >= Math.max(own.min, theirs.min)) return version
  throw new EngineError(
    'unsupportedVersion',
    `the broker does not offer a version of ${String(api)} that this client knows`,
  )
}

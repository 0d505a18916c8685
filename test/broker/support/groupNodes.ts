import { onTestFinished } from 'vitest'
import { brokerConfig } from '../../../src/broker/brokerConfig.ts'
import { DiskGate } from '../../../src/broker/diskGate.ts'
import { GroupPartitions } from '../../../src/broker/groupPartitions.ts'
import { handleFetch } from '../../../src/broker/handlers/fetch.ts'
import { handleListOffsets } from '../../../src/broker/handlers/listOffsets.ts'
import { handleMetadata } from '../../../src/broker/handlers/metadata.ts'
import { handleProduce } from '../../../src/broker/handlers/produce.ts'
import { Limiter } from '../../../src/broker/limiter.ts'
import { ClusterNodes } from '../../../src/broker/nodes.ts'
import { Purgatory } from '../../../src/broker/purgatory.ts'
import type { RequestContext, Services } from '../../../src/broker/services.ts'
import type { Command, CommandResults, NewTopic } from '../../../src/controller/commands.ts'
import { decide } from '../../../src/controller/decide.ts'
import { DeltaBuilder } from '../../../src/controller/delta.ts'
import { MutableImage } from '../../../src/controller/image.ts'
import { replay } from '../../../src/controller/replay.ts'
import { noConfigs } from '../../../src/controller/topicConfigs.ts'
import { silentLogger } from '../../../src/model/logger.ts'
import { randomUuid } from '../../../src/model/uuid.ts'
import { apiKeys } from '../../../src/protocol/apiKeys.ts'
import { decodeRequestBody, decodeRequestHeader, encodeRequest } from '../../../src/protocol/headers.ts'
import {
  decodeMetadataRecord,
  encodeMetadataRecord,
} from '../../../src/protocol/metadataRecords/metadataRecord.ts'
import { ReplicaHost } from '../../../src/replica/replicaHost.ts'
import { createNodeRuntime } from '../../../src/runtime/node/nodeRuntime.ts'
import { RateLimitedLog } from '../../../src/runtime/rateLimitedLog.ts'
import { defaultLogConfig } from '../../../src/segment/logConfig.ts'
import { LogDirectory } from '../../../src/segment/logDirectory.ts'
import { LocalTransports } from '../../replica/support/localTransport.ts'
import { temporaryDirectory } from '../../support/temporaryDirectory.ts'
import { batchOf } from './produce.ts'

const runtime = createNodeRuntime()

/** What a test may choose. */
export interface GroupNodesOptions {
  readonly racks?: readonly (string | null)[]
  readonly rebalances?: boolean
}

/** What is asked of a partition when records are produced. */
export interface ProduceAsk {
  readonly topic?: string
  readonly index?: number
  readonly acks?: number
  readonly version?: number
  readonly timeoutMs?: number
}

interface GroupNode {
  readonly id: number
  readonly directory: string
  readonly image: MutableImage
  logs: LogDirectory
  host: ReplicaHost
  partitions: GroupPartitions
  services: Services
}

/** Brokers of one process as far as their partitions go: no sockets, and a controller that decides at once. */
export class GroupNodes {
  readonly transports = new LocalTransports(runtime)
  readonly nodes = new Map<number, GroupNode>()
  /** What has been reported, and by whom it was. */
  reports = 0
  readonly #options: GroupNodesOptions
  #tail: Promise<unknown> = Promise.resolve()

  private constructor(options: GroupNodesOptions) {
    this.#options = options
  }

  /** As many nodes, registered and unfenced. */
  static async start(count: number, options: GroupNodesOptions = {}): Promise<GroupNodes> {
    const cluster = new GroupNodes(options)
    for (let id = 1; id <= count; id++) {
      await cluster.run(id, temporaryDirectory(), new MutableImage('test-cluster'))
    }
    for (let id = 1; id <= count; id++) {
      await cluster.register(id)
    }
    onTestFinished(() => cluster.stop())
    return cluster
  }

  /** What all nodes know. */
  get image(): MutableImage {
    return [...this.nodes.values()][0]!.image
  }

  /** Has a node known to all. */
  async register(id: number): Promise<void> {
    const { logs } = this.nodes.get(id)!
    const rack = this.#options.racks?.[id - 1] ?? null
    const endpoints = [{ name: 'PLAINTEXT', host: `host-${id}`, port: 9000 + id, securityProtocol: 0 }]
    const incarnationId = randomUuid(runtime.random)
    const directories = [logs.directoryId]
    const registration = { brokerId: id, incarnationId, endpoints, rack, directories }
    const brokerEpoch = await this.decide({ type: 'enrolBroker', registration })
    await this.decide({ type: 'changeBrokers', changes: [{ brokerId: id, brokerEpoch, fenced: false }] })
  }

  /** Starts a node on a directory, with an image that has caught up unless it `isOld`. */
  async run(id: number, directory: string, image: MutableImage, isOld = false): Promise<void> {
    const logs = await LogDirectory.open(runtime, {
      directory,
      logger: silentLogger,
      nodeId: id,
      clusterId: 'test-cluster',
      journalBytes: 1 << 20,
      journalFileBytes: 1 << 18,
      configFor: () => defaultLogConfig,
    })
    const host = await ReplicaHost.open(runtime, {
      nodeId: id,
      clusterId: 'test-cluster',
      endpoints: [],
      logs,
      transport: this.transports.of(id),
      logger: silentLogger,
    })
    const partitions = new GroupPartitions({
      nodeId: id,
      host,
      directory: logs,
      image,
      defaults: noConfigs,
      clock: runtime.clock,
      logger: silentLogger,
      nodeListener: 'CONTROLLER',
      rebalances: this.#options.rebalances ?? false,
      report: async (states) => {
        this.reports++
        await this.decide({ type: 'reportPartitions', states })
      },
      topicsDeleted() {},
      beginAt: async (to, partition, offset) => this.nodes.get(to)?.partitions.beginAt(partition, offset),
    })
    const config = brokerConfig({ 'log.dirs': directory }, { hostName: 'localhost' })
    const services = {
      runtime,
      config,
      logger: silentLogger,
      log: new RateLimitedLog(runtime.clock, silentLogger),
      directory: logs,
      controller: { image, controllerId: 1 },
      partitions,
      purgatory: new Purgatory(runtime.clock),
      diskGate: new DiskGate([runtime.disk, logs.journalQueue], runtime.clock),
      lookups: new Limiter(8),
      node: { nodeId: id, host: `host-${id}`, port: 9000 + id },
      nodes: new ClusterNodes(image, 'PLAINTEXT'),
    } as unknown as Services
    this.nodes.set(id, { id, directory, image, logs, host, partitions, services })
    await partitions.load()
    if (!isOld) await partitions.caughtUp()
  }

  /** Carries a command out on the images of all nodes that run, one after the other. */
  decide<C extends Command>(command: C): Promise<CommandResults[C['type']]> {
    const done = this.#tail.then(() => this.#decide(command))
    this.#tail = done.catch(() => {})
    return done
  }

  async createTopic(name: string, more: Partial<NewTopic> = {}): Promise<void> {
    const topics = [{ name, numPartitions: 1, replicationFactor: 3, ...more }]
    const topicIds = [randomUuid(runtime.random)]
    const [outcome] = await this.decide({ type: 'createTopics', topics, topicIds, requester: 'client' })
    if (outcome instanceof Error) throw outcome
  }

  /** Asks for other replicas of the first partition of a topic. */
  async reassign(topic: string, replicas: readonly number[]): Promise<void> {
    const changes = [{ topic, partition: 0, replicas }]
    const [outcome] = await this.decide({ type: 'alterPartitionReassignments', changes })
    if (outcome instanceof Error) throw outcome
  }

  /** The node that leads, once there is one that all others follow and that knows what is committed. */
  async leader(topic = 'orders', index = 0): Promise<number> {
    for (;;) {
      const found = [...this.nodes.values()].flatMap(
        ({ partitions }) => partitions.find(topic, index)?.group ?? [],
      )
      const leader = found.find(({ state }) => state === 'leader')
      const isFollowed = found.every(({ leaderId, leaderEpoch }) => {
        return leader !== undefined && leaderId === leader.leaderId && leaderEpoch === leader.leaderEpoch
      })
      if (leader?.knowsAllCommitted && isFollowed) return leader.leaderId
      await new Promise((resolve) => setTimeout(resolve, 2))
    }
  }

  partition(id: number, topic = 'orders', index = 0) {
    const partition = this.nodes.get(id)!.partitions.find(topic, index)
    if (partition === null) throw new Error(`node ${id} has no ${topic}-${index}`)
    return partition
  }

  async produce(id: number, records: Uint8Array | string, ask: ProduceAsk = {}) {
    const { topic = 'orders', index = 0, acks = -1, version = 11, timeoutMs = 10_000 } = ask
    const bytes = typeof records === 'string' ? batchOf([records]) : Uint8Array.from(records)
    const topicData = [{ name: topic, partitionData: [{ index, records: bytes }] }]
    const request = { transactionalId: null, acks, timeoutMs, topicData }
    const { services } = this.nodes.get(id)!
    const answer = await handleProduce(
      services,
      contextOf(version),
      requestOf(apiKeys.produce, version, request),
    )
    const { responses, nodeEndpoints = [] } = answer as NonNullable<Awaited<ReturnType<typeof handleProduce>>>
    return { ...responses![0]!.partitionResponses![0]!, nodeEndpoints }
  }

  async fetch(id: number, fetchOffset: number, ask: FetchAsk = {}) {
    const { topic = 'orders', index = 0, maxWaitMs = 0, rackId = '', currentLeaderEpoch = -1 } = ask
    const { services, image } = this.nodes.get(id)!
    const topicId = image.topics.get(topic)!.id
    const partitions = [{ partition: index, fetchOffset, currentLeaderEpoch, partitionMaxBytes: 1 << 20 }]
    const body = { maxWaitMs, minBytes: 1, maxBytes: 1 << 24, rackId, topics: [{ topicId, partitions }] }
    const request = requestOf(apiKeys.fetch, 17, body)
    const answer = await handleFetch(services, contextOf(17), request)
    const { responses, nodeEndpoints = [] } = answer as NonNullable<Awaited<ReturnType<typeof handleFetch>>>
    return { ...responses![0]!.partitions![0]!, nodeEndpoints }
  }

  async listOffset(id: number, timestamp: number, topic = 'orders') {
    const topics = [{ name: topic, partitions: [{ partitionIndex: 0, timestamp }] }]
    const request = requestOf(apiKeys.listOffsets, 7, { replicaId: -1, isolationLevel: 0, topics })
    const answer = await handleListOffsets(this.nodes.get(id)!.services, contextOf(7), request)
    return answer!.topics![0]!.partitions![0]!
  }

  /** What a node tells clients of the topic. */
  describe(id: number, topic = 'orders') {
    const request = requestOf(apiKeys.metadata, 12, { topics: [{ name: topic }] })
    const answer = handleMetadata(this.nodes.get(id)!.services, contextOf(12), request)!
    return { brokers: answer.brokers!, partitions: answer.topics![0]!.partitions! }
  }

  /** Ends a node without any order. */
  async kill(id: number): Promise<void> {
    const node = this.nodes.get(id)!
    this.nodes.delete(id)
    this.transports.stop(id)
    await node.partitions.close()
    for (const group of node.host.groups.values()) await group.close()
    await node.host.close()
    await node.logs.close()
  }

  /** Ends nodes and starts them again with what their disks and images have. */
  async restart(ids: readonly number[]): Promise<void> {
    const gone = ids.map((id) => this.nodes.get(id)!)
    for (const id of ids) await this.kill(id)
    for (const { id, directory, image } of gone) await this.run(id, directory, image)
  }

  /** Ends a node that misses what is decided until `come`. */
  async leave(id: number): Promise<{ readonly directory: string }> {
    const { directory } = this.nodes.get(id)!
    await this.kill(id)
    return { directory }
  }

  /** Starts a node that knows what the others do. */
  async come(id: number, { directory }: { readonly directory: string }): Promise<void> {
    await this.run(id, directory, this.copyOfImage())
  }

  /** What all nodes know by now, for one that is to know no more. */
  copyOfImage(): MutableImage {
    const { image } = this
    const own = new MutableImage(image.clusterId)
    for (const [brokerId, broker] of image.brokers) own.brokers.set(brokerId, broker)
    for (const topic of image.topics.values()) {
      const copy = own.addTopic(topic.name, topic.id)
      copy.partitions.push(...topic.partitions)
      for (const [name, value] of topic.configs) copy.configs.set(name, value)
    }
    own.nextOffset = image.nextOffset
    return own
  }

  async stop(): Promise<void> {
    for (const { partitions, host, logs } of this.nodes.values()) {
      await partitions.close()
      await host.close()
      await logs.close()
    }
    this.nodes.clear()
  }

  async #decide<C extends Command>(command: C): Promise<CommandResults[C['type']]> {
    const all = [...this.nodes.values()]
    const { records, result } = decide(all[0]!.image, command, { broker: noConfigs, elects: true })
    const applied = records.map((record) => decodeMetadataRecord(encodeMetadataRecord(record)))
    await Promise.all(
      all.map(async ({ image, partitions }) => {
        const delta = new DeltaBuilder()
        for (const record of applied) replay(image, record, delta)
        image.nextOffset += applied.length
        const built = delta.build()
        if (built !== null) await partitions.apply(built)
      }),
    )
    return result
  }
}

/** What is asked of a partition when records are fetched. */
export interface FetchAsk {
  readonly topic?: string
  readonly index?: number
  readonly maxWaitMs?: number
  readonly rackId?: string
  readonly currentLeaderEpoch?: number
}

function contextOf(apiVersion: number): RequestContext {
  const exchange = {
    releaseRequest() {},
    borrowRequest() {},
    returnRequest() {},
    isClosed: false,
    onClose() {},
    fail() {},
  }
  return { exchange, apiVersion, clientId: 'test' } as unknown as RequestContext
}

/** The request as a handler gets it: through the codec, with every default. */
function requestOf<A extends (typeof apiKeys)[keyof typeof apiKeys]>(
  api: A,
  version: number,
  body: Parameters<typeof encodeRequest<A>>[4],
) {
  const frame = Buffer.concat(encodeRequest(api, version, 1, 'test', body) as Uint8Array[]).subarray(4)
  const header = decodeRequestHeader(frame)
  return decodeRequestBody(api, header, frame)
}

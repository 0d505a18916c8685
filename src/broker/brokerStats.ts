import type { PartitionImage } from '../controller/image.ts'
import { EngineError } from '../model/errors.ts'
import { apiName } from '../protocol/plannedApis.ts'
import type { HostStats } from '../replica/hostStats.ts'
import type { RepairCounts } from '../replica/repair/repairs.ts'
import type { Dispatcher } from './dispatch.ts'
import { type GroupStats, groupStats } from './groupStats.ts'
import type { Partition } from './partition.ts'
import { type ReplicaHealth, replicaHealth } from './replicaHealth.ts'
import type { RequestStats } from './requestStats.ts'
import type { Server } from './server.ts'
import type { Services } from './services.ts'

/** Memory or a queue with a bound. */
export interface PoolStats {
  readonly name: string
  readonly usedBytes: number
  readonly capacityBytes: number
}

/** A partition that has a replica on this node. */
export interface PartitionStats {
  readonly topic: string
  readonly partition: number
  readonly isLeader: boolean
  readonly logStartOffset: number
  /** Exclusive, as is `highWatermark`. */
  readonly logEndOffset: number
  readonly highWatermark: number
  readonly sizeBytes: number
  /** Why nothing can be written to its log; null while it can. */
  readonly offline: string | null
  /** As the metadata has it; empty for a partition that is being removed. */
  readonly replicas: readonly number[]
  readonly isr: readonly number[]
  readonly minInsyncReplicas: number
}

/** What a node of a cluster has to say beside its partitions. */
export interface ReplicationStats {
  readonly host: HostStats
  /** Damage that was found and mended from other nodes. */
  readonly repairs: RepairCounts
  readonly health: ReplicaHealth
  /** The replica of the metadata: who leads it, in which epoch, and how much of it is committed as far as this node knows. */
  readonly quorum: {
    readonly leaderId: number
    readonly leaderEpoch: number
    readonly highWatermark: number
  }
  /** Exclusive end of the metadata that this node has taken in. */
  readonly appliedOffset: number
  /** Whether this node decides for the cluster. */
  readonly isActiveController: boolean
  /** Whether the controllers take this node for one that clients may be sent to. */
  readonly isFenced: boolean
  readonly activeBrokers: number
  readonly fencedBrokers: number
}

/** Records of metadata that a node may lack and still be sent clients. */
const maxRecordsBehind = 1000

/** What the statistics are taken from. */
export interface BrokerParts {
  readonly services: Services
  readonly dispatcher: Dispatcher
  readonly server: Server
  readonly scrubber: { readonly bytesRead: number }
}

/** What a broker has done and is doing: read when somebody asks, from numbers that are kept anyway. */
export class BrokerStats {
  readonly #parts: BrokerParts
  /** Whether all partitions were open at some moment since the start. */
  #wereOpen = false

  constructor(parts: BrokerParts) {
    this.#parts = parts
  }

  /** What the journal has done. */
  get journal(): Services['directory']['journalQueue'] {
    return this.#parts.services.directory.journalQueue
  }

  /** The APIs that were asked for, by Kafka's name: `Produce`, `Fetch`, … */
  *requests(): IterableIterator<readonly [api: string, RequestStats]> {
    for (const [key, stats] of this.#parts.dispatcher.stats()) {
      const name = apiName(key)
      if (stats.timeMs.count > 0) yield [name[0]!.toUpperCase() + name.slice(1), stats]
    }
  }

  get connections(): number {
    return this.#parts.server.connectionCount
  }

  get requestsInFlight(): number {
    return this.#parts.server.requestsInFlight
  }

  get waitingFetches(): number {
    return this.#parts.services.purgatory.size
  }

  /** Produce requests that wait for room in the disk's queue. */
  get waitingForDisk(): number {
    return this.#parts.services.diskGate.waiting
  }

  /** Bytes that the scrubber has read. */
  get scrubbedBytes(): number {
    return this.#parts.scrubber.bytesRead
  }

  /** Stretches of files that are known to be damaged and are not served. */
  get damage(): { readonly ranges: number; readonly bytes: number } {
    const ranges = this.#parts.services.directory.badRanges.all()
    return {
      ranges: ranges.length,
      bytes: ranges.reduce((sum, { position, end }) => sum + end - position, 0),
    }
  }

  /** Topics and partitions of the whole cluster, as this node knows it. */
  get cluster(): { readonly topics: number; readonly partitions: number } {
    let partitions = 0
    const { topics } = this.#parts.services.controller.image
    for (const topic of topics.values()) partitions += topic.partitions.length
    return { topics: topics.size, partitions }
  }

  /** Null for a broker that stands alone. */
  get replication(): ReplicationStats | null {
    const { cluster, controller, node, config } = this.#parts.services
    if (cluster === null) return null
    const { host, metadata } = cluster.base
    const { leaderId, leaderEpoch, highWatermark } = metadata
    const { brokers, nextOffset } = controller.image
    const fencedBrokers = [...brokers.values()].filter(({ fenced }) => fenced).length
    return {
      host: host.stats,
      repairs: host.repairs,
      get health() {
        return replicaHealth(cluster)
      },
      quorum: { leaderId, leaderEpoch, highWatermark },
      appliedOffset: nextOffset,
      isActiveController: leaderId === node.nodeId,
      // A controller that is no broker is not registered.
      isFenced: config.cluster?.isBroker === true && (brokers.get(node.nodeId)?.fenced ?? true),
      activeBrokers: brokers.size - fencedBrokers,
      fencedBrokers,
    }
  }

  /** Partitions of the cluster that nobody leads, as this node knows it. */
  get leaderless(): number {
    let count = 0
    for (const { partitions } of this.#parts.services.controller.image.topics.values()) {
      for (const { leader } of partitions) if (leader < 0) count += 1
    }
    return count
  }

  /** Why clients should not be sent here, one reason each; empty when they should. */
  notReady(): readonly string[] {
    const { replication, journal } = this
    const reasons: string[] = []
    if (replication?.isFenced === true)
      reasons.push('the controllers do not hear from this broker: it is fenced')
    if (replication !== null && replication.quorum.leaderId < 0) reasons.push('nobody leads the metadata')
    const behind = replication === null ? 0 : replication.quorum.highWatermark - replication.appliedOffset
    if (behind > maxRecordsBehind) reasons.push(`the metadata is ${behind} records behind`)
    const unopened = this.#wereOpen ? 0 : this.#unopened()
    if (unopened > 0) reasons.push(`${unopened} partitions are not open yet`)
    // Topics that are created later are no reason to send clients away.
    else this.#wereOpen = true
    if (journal.failed !== null) reasons.push(`nothing can be stored: ${journal.failed.message}`)
    return reasons
  }

  /** Partitions that belong here and are on their way; not those whose log cannot be opened. */
  #unopened(): number {
    const { partitions, controller, node, cluster } = this.#parts.services
    let count = 0
    for (const topic of controller.image.topics.values()) {
      for (const { partition, replicas } of topic.partitions) {
        if (cluster !== null && !replicas.includes(node.nodeId)) continue
        if (partitions.find(topic.name, partition) !== null) continue
        try {
          partitions.require(topic.name, partition)
        } catch (error) {
          if (error instanceof EngineError && error.code === 'notLeaderOrFollower') count += 1
        }
      }
    }
    return count
  }

  /** What is bounded: memory of requests, bytes on their way to the disk. */
  pools(): readonly PoolStats[] {
    const { server, services } = this.#parts
    const { disk } = services.runtime
    const { journal } = this
    const { cluster } = services
    return [
      ...(cluster === null ? [] : [{ name: 'replication', ...cluster.base.host.pending }]),
      { name: 'requests', usedBytes: server.pool.usedBytes, capacityBytes: server.pool.capacityBytes },
      { name: 'disk', usedBytes: disk.queuedBytes, capacityBytes: disk.maxQueuedBytes },
      { name: 'journal', usedBytes: journal.queuedBytes, capacityBytes: journal.maxQueuedBytes },
    ]
  }

  /** Every partition that has a replica here. */
  *partitions(): IterableIterator<PartitionStats> {
    const { partitions, controller, node } = this.#parts.services
    for (const partition of partitions.all()) {
      const image = controller.image.topics.get(partition.topic)?.partitions[partition.index]
      yield partitionStats(partition, image ?? null, node.nodeId)
    }
  }

  /**
   * The groups that this node coordinates, with the lag of each partition that has a replica here. At most `maxLookups` times of
   * unread records are read from the disk.
   */
  groups(maxLookups: number): Promise<readonly GroupStats[]> {
    return groupStats(this.#parts.services, maxLookups)
  }
}

function partitionStats(partition: Partition, image: PartitionImage | null, nodeId: number): PartitionStats {
  const { topic, index, log, highWatermark, minInsyncReplicas } = partition
  return {
    topic,
    partition: index,
    isLeader: partition.leadership.leader === nodeId,
    logStartOffset: log.logStartOffset,
    logEndOffset: log.logEndOffset,
    highWatermark,
    sizeBytes: log.sizeBytes,
    offline: log.offline?.message ?? null,
    replicas: image?.replicas ?? [],
    isr: image?.isr ?? [],
    minInsyncReplicas,
  }
}

import type { PartitionImage } from '../controller/image.ts'
import { apiName } from '../protocol/plannedApis.ts'
import type { Dispatcher } from './dispatch.ts'
import { type GroupStats, groupStats } from './groupStats.ts'
import type { Partition } from './partition.ts'
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

  /** What is bounded: memory of requests, bytes on their way to the disk. */
  pools(): readonly PoolStats[] {
    const { server, services } = this.#parts
    const { disk } = services.runtime
    const { journal } = this
    return [
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

import type { MetadataDelta, MetadataImage, PartitionImage, TopicImage } from '../controller/image.ts'
import type { PartitionState } from '../controller/metadata.ts'
import { type Configs, minInsyncReplicas, toLogConfig } from '../controller/topicConfigs.ts'
import { EngineError, toEngineError } from '../model/errors.ts'
import type { Logger } from '../model/logger.ts'
import { planted } from '../model/planted.ts'
import type { Uuid } from '../model/uuid.ts'
import type { Group } from '../replica/group.ts'
import { replicaMemory } from '../replica/leasedMemory.ts'
import { NotLeaderError } from '../replica/notLeader.ts'
import type { ReplicaHost } from '../replica/replicaHost.ts'
import type { Clock, Timer } from '../runtime/clock.ts'
import { inParallel } from '../segment/inParallel.ts'
import type { LogDirectory } from '../segment/logDirectory.ts'
import { GroupPartition, type GroupPartitionHost } from './groupPartition.ts'
import { GroupVoters } from './groupVoters.ts'
import { givePreferred, handOverAll } from './leaderBalance.ts'
import { LeaderReports } from './leaderReports.ts'
import type { Leadership, Partition, PartitionIdentity } from './partition.ts'
import type { Partitions, PartitionView } from './partitions.ts'
import { Peers } from './peers.ts'
import { replicaSpec } from './replicaSpec.ts'
import { removeUnneeded } from './unneededLogs.ts'

/** How many replicas are opened or removed at the same time: what they wait for is mostly the same sync. */
const parallel = 128
/** How often it is looked who is in sync and who should lead. Milliseconds. */
const lookMs = 1000

/** What `GroupPartitions` works with. */
export interface GroupPartitionsOptions {
  readonly nodeId: number
  readonly host: ReplicaHost
  readonly directory: LogDirectory
  readonly image: MetadataImage
  /** Configs of this broker, the defaults of topics. */
  readonly defaults: Configs
  readonly clock: Clock
  readonly logger: Logger
  /** The name of the listener that nodes reach each other on. */
  readonly nodeListener: string
  /** Whether leaderships go back to preferred replicas by themselves. */
  readonly rebalances: boolean
  report(states: readonly PartitionState[]): Promise<void>
  /** Called with the names of topics that are gone. */
  topicsDeleted(names: readonly string[]): void
  /** Has another node make its replica's log begin at `offset`. */
  beginAt?(nodeId: number, partition: PartitionIdentity, offset: number): Promise<void>
  /** Called when this node may have begun or ceased to lead a partition. */
  leadershipChanged?(partition: GroupPartition): void
}

/**
 * The partitions of a broker in a cluster: a replica of a group for each that the image places here. What the groups know of
 * themselves is told to the controller, and voters and leaders are made what the image wants.
 */
export class GroupPartitions implements Partitions {
  readonly #options: GroupPartitionsOptions
  readonly #byTopic = new Map<string, (GroupPartition | undefined)[]>()
  /** Replicas of the image that could not be opened. */
  readonly #missing = new Map<string, { readonly topic: TopicImage; readonly index: number }>()
  readonly #reports: LeaderReports
  readonly #voters: GroupVoters
  readonly #peers: Peers
  readonly #partitionHost: GroupPartitionHost
  #turn: Promise<void> = Promise.resolve()
  #timer: Timer | null = null
  /** The image has everything that was decided before this start. */
  #isCaughtUp = planted('oldImageTrusted')
  #isClosed = false

  constructor(options: GroupPartitionsOptions) {
    const { clock, logger, nodeId, image, nodeListener } = options
    this.#options = options
    this.#peers = new Peers(image, nodeListener)
    this.#reports = new LeaderReports({ clock, logger, report: (states) => options.report(states) })
    this.#voters = new GroupVoters({
      nodeId,
      clock,
      logger,
      imageOf: (partition) => this.#imageOf(partition),
      peers: this.#peers,
    })
    this.#partitionHost = {
      nodeId,
      clock,
      rackOf: (id) => this.#peers.rackOf(id),
      changed: (partition) => this.#changed(partition),
      begun: (partition, offset) => this.#tellBegun(partition, offset),
    }
  }

  /**
   * Opens the replicas that the image places here and that have a log. Until `caughtUp` no other is begun, and none is removed: by an
   * image from before the last start a replica that has gone would come back without what it knew, and one that has come would go.
   */
  load(): Promise<void> {
    return this.#inTurn(async () => {
      await this.#followAll()
      this.#look(true)
    })
  }

  /**
   * The image has everything that was decided before this start: replicas are begun and removed as it says, and logs set aside that
   * no topic knows.
   */
  caughtUp(): Promise<void> {
    const { directory, image, logger, nodeId } = this.#options
    const isServed = (topic: string, index: number, topicId: Uuid): boolean =>
      this.find(topic, index)?.topicId === topicId
    return this.#inTurn(async () => {
      this.#isCaughtUp = true
      await this.#followAll()
      await removeUnneeded({ directory, image, logger, nodeId, isServed })
    })
  }

  async #followAll(): Promise<void> {
    const work: (() => Promise<void>)[] = []
    for (const topic of this.#options.image.topics.values()) {
      for (const { partition } of topic.partitions) work.push(() => this.#follow(topic, partition))
    }
    await inParallel(work, parallel, (each) => each())
  }

  apply(delta: MetadataDelta): Promise<void> {
    return this.#inTurn(() => this.#apply(delta))
  }

  async retryMissing(): Promise<void> {
    if (planted('missingLeftOut')) return
    for (const [name, missing] of [...this.#missing]) {
      await this.#inTurn(async () => {
        if (this.#missing.get(name) === missing) await this.#follow(missing.topic, missing.index)
      })
    }
  }

  async applyRetention(): Promise<void> {
    await inParallel([...this.all()], parallel, async ({ group, topic, index }) => {
      if (group.failure !== null) return
      await group.applyRetention().catch((error) => {
        const { logger } = this.#options
        logger.error('retention failed', { log: `${topic}-${index}`, error: String(error) })
      })
    })
  }

  compactableEnd(name: string): number {
    const at = name.lastIndexOf('-')
    // What is not committed may be cut off again, and with it what has taken the place of something.
    return this.find(name.slice(0, at), Number(name.slice(at + 1)))?.readableEnd ?? 0
  }

  has(topic: string, index: number): boolean {
    return this.#options.image.topics.get(topic)?.partitions[index] !== undefined
  }

  find(topic: string, index: number): GroupPartition | null {
    return this.#byTopic.get(topic)?.[index] ?? null
  }

  require(topic: string, index: number): Partition {
    const partition = this.#byTopic.get(topic)?.[index]
    if (partition) return partition
    if (this.#missing.has(`${topic}-${index}`)) {
      throw new EngineError('kafkaStorageError', `the replica of ${topic}-${index} could not be opened`)
    }
    const known = this.#options.image.topics.get(topic)?.partitions[index]
    if (known !== undefined) throw new NotLeaderError(known.leader)
    throw new EngineError('unknownTopicOrPartition', `there is no partition ${index} of topic ${topic}`)
  }

  *all(): IterableIterator<GroupPartition> {
    for (const partitions of this.#byTopic.values()) {
      for (const partition of partitions) if (partition) yield partition
    }
  }

  leadershipOf(topic: string, index: number): Leadership {
    const known = this.#options.image.topics.get(topic)?.partitions[index]
    const found = { leader: known?.leader ?? -1, leaderEpoch: known?.leaderEpoch ?? -1 }
    const hosted = this.find(topic, index)?.leadership
    return hosted !== undefined && hosted.leaderEpoch >= found.leaderEpoch ? hosted : found
  }

  view({ name, partitions }: TopicImage, index: number): PartitionView {
    const { replicas, isr } = partitions[index]!
    const hosted = this.find(name, index)
    const { brokers } = this.#options.image
    const offlineReplicas = replicas.filter((id) => {
      if (id === this.#options.nodeId) return hosted?.group.failure != null
      return brokers.get(id)?.fenced !== false
    })
    const known = hosted?.isLeader ? hosted.inSync : isr
    return { ...this.leadershipOf(name, index), isr: known, offlineReplicas }
  }

  /** The leader's log begins at `offset`: so does the replica's here, once it knows that everything before is committed. */
  beginAt({ topic, topicId, index }: PartitionIdentity, offset: number): void {
    const partition = this.find(topic, index)
    if (partition?.topicId === topicId) partition.beginAtCommitted(offset)
  }

  /** Gives all leaderships to others. Resolves once nothing is led that somebody else could lead. */
  handOver(): Promise<void> {
    const { nodeId, clock } = this.#options
    return handOverAll(
      () => this.all(),
      nodeId,
      (id) => this.#peers.mayLead(id),
      clock,
    )
  }

  /** Ends what goes on beside the groups, which are the host's to close. */
  async close(): Promise<void> {
    this.#isClosed = true
    this.#timer?.cancel()
    this.#voters.close()
    this.#reports.close()
    await this.#turn
    for (const partition of this.all()) partition.close()
  }

  async #apply(delta: MetadataDelta): Promise<void> {
    const configured = delta.brokerConfigsChanged ? this.#options.image.topics.values() : delta.configsChanged
    for (const topic of configured) this.#configure(topic)
    if (delta.topicsDeleted.length > 0) await this.#removeTopics(delta.topicsDeleted)
    const work: (() => Promise<void>)[] = []
    for (const topic of delta.topicsCreated) {
      for (const { partition } of topic.partitions) work.push(() => this.#follow(topic, partition))
    }
    for (const { topic, partitions } of [...delta.partitionsAdded, ...delta.partitionsChanged]) {
      for (const partition of partitions) work.push(() => this.#follow(topic, partition))
    }
    await inParallel(work, parallel, (each) => each())
    if (delta.brokersChanged.length > 0) this.#look(true)
  }

  /** Brings one partition in line with the image: opens it, removes it, or looks at who votes. */
  async #follow(topic: TopicImage, index: number): Promise<void> {
    const image = topic.partitions[index]
    if (image === undefined || this.#isClosed || this.#options.image.topics.get(topic.name) !== topic) return
    const { nodeId, directory } = this.#options
    const name = `${topic.name}-${index}`
    const hosted = this.find(topic.name, index)
    const isPlacedHere = image.replicas.includes(nodeId)
    if (hosted === null) {
      if (!isPlacedHere) this.#missing.delete(name)
      else if (this.#isCaughtUp || directory.logs.get(name)?.topicId === topic.id)
        await this.#open(topic, index, image)
    } else if (!isPlacedHere) {
      if (this.#isCaughtUp) await this.#remove(hosted)
    } else {
      this.#voters.look(hosted)
    }
  }

  async #open(topic: TopicImage, index: number, image: PartitionImage): Promise<void> {
    const { directory, defaults, logger, host, nodeId } = this.#options
    const name = `${topic.name}-${index}`
    try {
      const log = directory.logs.get(name)
      if (log && log.topicId !== topic.id) {
        const keptAs = (await directory.setAside(topic.name, index)) ?? ''
        logger.warn('a log that belongs to no topic has made room for a topic of the same name', {
          log: name,
          topicId: log.topicId,
          keptAs,
        })
      }
      const group = await host.openGroup(
        replicaSpec(topic, image, nodeId, this.#options.image, defaults, this.#peers),
      )
      const identity = { topic: topic.name, topicId: topic.id, index }
      const minimum = minInsyncReplicas(topic.configs, defaults)
      const partition = new GroupPartition(identity, group, minimum, this.#partitionHost)
      let partitions = this.#byTopic.get(topic.name)
      if (!partitions) this.#byTopic.set(topic.name, (partitions = []))
      partitions[index] = partition
      this.#missing.delete(name)
      this.#changed(partition)
    } catch (cause) {
      const error = toEngineError(cause, 'kafkaStorageError', 'the replica could not be opened')
      if (!this.#missing.has(name))
        logger.error('a partition has no replica here', { log: name, error: error.message })
      this.#missing.set(name, { topic, index })
    }
  }

  #configure(topic: TopicImage): void {
    const { defaults } = this.#options
    const config = toLogConfig(topic.configs, defaults)
    const minimum = minInsyncReplicas(topic.configs, defaults)
    for (const partition of this.#byTopic.get(topic.name) ?? []) {
      if (!partition) continue
      partition.group.updateConfig(config)
      partition.minInsyncReplicas = minimum
    }
  }

  async #removeTopics(topics: readonly TopicImage[]): Promise<void> {
    const gone: GroupPartition[] = []
    for (const { name, id } of topics) {
      for (const partition of this.#byTopic.get(name) ?? [])
        if (partition?.topicId === id) gone.push(partition)
      for (const [key, missing] of this.#missing) if (missing.topic.id === id) this.#missing.delete(key)
    }
    this.#options.topicsDeleted(topics.map(({ name }) => name))
    await inParallel(gone, parallel, (partition) => this.#remove(partition))
    // Topics that came and went while this node was away, or faster than it could open them, may have logs all the same.
    const { directory } = this.#options
    const left = topics.flatMap(({ name, id, partitions }) =>
      partitions
        .filter(({ partition }) => directory.topicIdOf(`${name}-${partition}`) === id)
        .map(({ partition }) => ({ name, partition })),
    )
    await inParallel(left, parallel, ({ name, partition }) => this.#deleteLog(name, partition))
  }

  /** Leaves the group and removes its log. */
  async #remove(partition: GroupPartition): Promise<void> {
    const { topic, index } = partition
    const partitions = this.#byTopic.get(topic)!
    delete partitions[index]
    if (partitions.every((other) => other === undefined)) this.#byTopic.delete(topic)
    this.#reports.forget(partition)
    partition.close()
    this.#options.leadershipChanged?.(partition)
    await this.#deleteLog(topic, index, partition.group)
  }

  async #deleteLog(topic: string, index: number, group: Group | null = null): Promise<void> {
    const { directory, logger } = this.#options
    try {
      await group?.close()
      await directory.deleteLog(topic, index)
    } catch (cause) {
      const error = toEngineError(cause, 'diskFailed', 'the log could not be deleted')
      logger.error('the log of a partition that is gone stays', {
        log: `${topic}-${index}`,
        error: error.message,
      })
    }
  }

  #changed(partition: GroupPartition): void {
    this.#reports.changed(partition)
    this.#voters.look(partition)
    this.#options.leadershipChanged?.(partition)
  }

  /** Looks now and then who is in sync, who votes and who should lead; `isUrgent`: at those that are quiet, too. */
  #look(isUrgent: boolean): void {
    this.#timer?.cancel()
    if (this.#isClosed) return
    if (!isUrgent) replicaMemory.trimIdle()
    const { rebalances, nodeId, clock } = this.#options
    for (const partition of this.all()) {
      if (!partition.isLeader || !(isUrgent || partition.isInSyncStale)) continue
      this.#reports.changed(partition)
      this.#voters.look(partition)
    }
    if (rebalances) {
      const preferredOf = (partition: GroupPartition): number => this.#imageOf(partition)?.replicas[0] ?? -1
      void givePreferred(this.all(), nodeId, preferredOf, (id) => this.#peers.mayLead(id))
    }
    this.#timer = clock.setTimer(lookMs, () => this.#look(false))
    this.#timer.detach?.()
  }

  /** A replica that does not hear of it keeps its records for retention to take. */
  #tellBegun(partition: GroupPartition, offset: number): void {
    const { nodeId, beginAt, logger } = this.#options
    for (const { id } of partition.group.voters.voters.voters) {
      if (id === nodeId) continue
      beginAt?.(id, partition, offset).catch((error) =>
        logger.debug('a replica was not told where its log begins', { id, error: String(error) }),
      )
    }
  }

  #imageOf({ topic, topicId, index }: GroupPartition): PartitionImage | null {
    const known = this.#options.image.topics.get(topic)
    return known?.id === topicId ? (known.partitions[index] ?? null) : null
  }

  /** One change after the other, so that no replica is opened twice, or opened for a topic that is being deleted. */
  #inTurn(body: () => Promise<void>): Promise<void> {
    const ended = this.#turn.then(body)
    this.#turn = ended.catch(() => {})
    return ended
  }
}

import type { MetadataDelta, MetadataImage, TopicImage } from '../controller/image.ts'
import { type Configs, minInsyncReplicas, toLogConfig } from '../controller/topicConfigs.ts'
import { metadataTopicName } from '../controller/topicNames.ts'
import { EngineError, toEngineError } from '../model/errors.ts'
import type { Logger } from '../model/logger.ts'
import type { Uuid } from '../model/uuid.ts'
import { inParallel } from '../segment/inParallel.ts'
import type { Log } from '../segment/log.ts'
import type { LogDirectory } from '../segment/logDirectory.ts'
import { LocalPartition } from './localPartition.ts'
import type { Leadership, Partition } from './partition.ts'
import type { Partitions, PartitionView } from './partitions.ts'

/** How many logs are created or removed at the same time. */
const parallel = 16

/** What `LocalPartitions` works with. */
export interface LocalPartitionsOptions {
  readonly directory: LogDirectory
  readonly image: MetadataImage
  /** Static broker configs, the defaults of topics. */
  readonly defaults: Configs
  readonly logger: Logger
  /** Called with the names of topics that are gone. */
  topicsDeleted(names: readonly string[]): void
}

/**
 * The partitions of a broker that stands alone: each is a log. What is in the image has a log and can be found
 * here; what is not cannot. Only the logs of topics that the metadata log says were deleted are removed. Any other
 * log, as there is after a loss of metadata, is kept and reported; when a topic needs its name it gets another.
 */
export class LocalPartitions implements Partitions {
  readonly #options: LocalPartitionsOptions
  readonly #byTopic = new Map<string, (LocalPartition | undefined)[]>()
  /** Partitions of the image whose log could not be created. */
  readonly #missing = new Map<string, { readonly topic: TopicImage; readonly index: number }>()
  #turn: Promise<void> = Promise.resolve()

  constructor(options: LocalPartitionsOptions) {
    this.#options = options
  }

  /** Brings the directory in line with the image, at the start. `deletedTopics` has the ids of all that were deleted. */
  async load(deletedTopics: ReadonlySet<Uuid>): Promise<void> {
    const { image, directory, logger } = this.#options
    await this.#sortOut(deletedTopics)
    const work: (() => Promise<void>)[] = []
    const created: string[] = []
    for (const topic of image.topics.values()) {
      for (const { partition } of topic.partitions) {
        const name = `${topic.name}-${partition}`
        if (!directory.logs.has(name)) created.push(name)
        work.push(() => this.#open(topic, partition))
      }
    }
    await inParallel(work, parallel, (each) => each())
    if (created.length === 0) return
    // Either the broker died between deciding and doing, or somebody has removed directories.
    logger.warn('partitions had no log; they begin empty', {
      count: created.length,
      logs: created.slice(0, 10).join(' '),
    })
  }

  apply(delta: MetadataDelta): Promise<void> {
    return this.#inTurn(() => this.#apply(delta))
  }

  async #apply(delta: MetadataDelta): Promise<void> {
    for (const topic of delta.configsChanged) this.#configure(topic)
    if (delta.topicsDeleted.length > 0) await this.#remove(delta.topicsDeleted)
    const work: (() => Promise<void>)[] = []
    for (const topic of delta.topicsCreated) {
      for (const { partition } of topic.partitions) work.push(() => this.#open(topic, partition))
    }
    for (const { topic, partitions } of delta.partitionsAdded) {
      for (const partition of partitions) work.push(() => this.#open(topic, partition))
    }
    await inParallel(work, parallel, (each) => each())
  }

  async retryMissing(): Promise<void> {
    for (const [name, missing] of [...this.#missing]) {
      await this.#inTurn(async () => {
        // While it stood in line the topic may have been deleted.
        if (this.#missing.get(name) === missing) await this.#open(missing.topic, missing.index)
      })
    }
  }

  applyRetention(): Promise<unknown> {
    return this.#options.directory.retention()
  }

  compactableEnd(_name: string, log: Log): number {
    return log.flushedOffset
  }

  has(topic: string, index: number): boolean {
    return this.#options.image.topics.get(topic)?.partitions[index] !== undefined
  }

  find(topic: string, index: number): Partition | null {
    return this.#byTopic.get(topic)?.[index] ?? null
  }

  require(topic: string, index: number): Partition {
    const partition = this.#byTopic.get(topic)?.[index]
    if (partition) return partition
    if (this.#missing.has(`${topic}-${index}`)) {
      throw new EngineError('kafkaStorageError', `the log of ${topic}-${index} could not be created`)
    }
    if (this.has(topic, index)) {
      throw new EngineError('notLeaderOrFollower', `the log of ${topic}-${index} is not there yet`)
    }
    throw new EngineError('unknownTopicOrPartition', `there is no partition ${index} of topic ${topic}`)
  }

  *all(): IterableIterator<Partition> {
    for (const partitions of this.#byTopic.values()) {
      for (const partition of partitions) if (partition) yield partition
    }
  }

  leadershipOf(topic: string, index: number): Leadership {
    const known = this.#options.image.topics.get(topic)?.partitions[index]
    return { leader: known?.leader ?? -1, leaderEpoch: known?.leaderEpoch ?? -1 }
  }

  view({ name, partitions }: TopicImage, index: number): PartitionView {
    const { leader, leaderEpoch, replicas, isr } = partitions[index]!
    const served = this.find(name, index)
    // Nobody can be sent to a leader whose log is still to be made.
    const known = served === null ? -1 : leader
    return { leader: known, leaderEpoch, isr, offlineReplicas: served?.log.offline != null ? replicas : [] }
  }

  async #open(topic: TopicImage, index: number): Promise<void> {
    const { directory, defaults, logger } = this.#options
    const name = `${topic.name}-${index}`
    const config = toLogConfig(topic.configs, defaults)
    try {
      let log = directory.logs.get(name) ?? (await directory.openAgain(topic.name, index)) ?? undefined
      if (log && log.topicId !== topic.id) {
        const to = await directory.setAside(topic.name, index)
        logger.warn('a log that belongs to no topic has made room for a topic of the same name', {
          log: name,
          topicId: log.topicId,
          keptAs: to ?? '',
        })
        log = undefined
      }
      if (log) log.updateConfig(config)
      else log = await directory.createLog(topic.name, index, topic.id, config)
      this.#add(topic, index, log)
      this.#missing.delete(name)
    } catch (cause) {
      const error = toEngineError(cause, 'kafkaStorageError', 'the log could not be created')
      if (!this.#missing.has(name))
        logger.error('a partition has no log', { log: name, error: error.message })
      this.#missing.set(name, { topic, index })
    }
  }

  #add(topic: TopicImage, index: number, log: Log): void {
    const { leader = -1, leaderEpoch = 0 } = topic.partitions[index] ?? {}
    const minimum = minInsyncReplicas(topic.configs, this.#options.defaults)
    const identity = { topic: topic.name, topicId: topic.id, index }
    let partitions = this.#byTopic.get(topic.name)
    if (!partitions) this.#byTopic.set(topic.name, (partitions = []))
    partitions[index] = new LocalPartition(identity, log, { leader, leaderEpoch }, minimum)
  }

  #configure(topic: TopicImage): void {
    const config = toLogConfig(topic.configs, this.#options.defaults)
    const minimum = minInsyncReplicas(topic.configs, this.#options.defaults)
    for (const partition of this.#byTopic.get(topic.name) ?? []) {
      if (!partition) continue
      partition.log.updateConfig(config)
      partition.minInsyncReplicas = minimum
    }
  }

  async #remove(topics: readonly TopicImage[]): Promise<void> {
    const work: (() => Promise<void>)[] = []
    for (const topic of topics) {
      const partitions = this.#byTopic.get(topic.name) ?? []
      this.#byTopic.delete(topic.name)
      for (const { partition: index } of topic.partitions) {
        this.#missing.delete(`${topic.name}-${index}`)
        const partition = partitions[index]
        if (!partition) continue
        partition.close()
        work.push(() => this.#delete(topic.name, index))
      }
    }
    this.#options.topicsDeleted(topics.map(({ name }) => name))
    await inParallel(work, parallel, (each) => each())
  }

  /** Finishes interrupted deletions; reports the logs that nobody knows. */
  async #sortOut(deletedTopics: ReadonlySet<Uuid>): Promise<void> {
    const { directory, image, logger } = this.#options
    const deletions: (() => Promise<void>)[] = []
    for (const [name, log] of directory.logs) {
      const at = name.lastIndexOf('-')
      const topic = name.slice(0, at)
      const { topicId } = log
      if (topic === metadataTopicName || image.topics.get(topic)?.id === topicId) continue
      if (deletedTopics.has(topicId)) {
        logger.info('removing the log of a topic that was deleted', { log: name, topicId })
        deletions.push(() => this.#delete(topic, Number(name.slice(at + 1))))
      } else if (!image.topics.has(topic)) {
        logger.warn('a log belongs to no topic; it is kept and not served', { log: name, topicId })
      }
    }
    await inParallel(deletions, parallel, (each) => each())
  }

  async #delete(topic: string, index: number): Promise<void> {
    const { directory, logger } = this.#options
    try {
      await directory.deleteLog(topic, index)
    } catch (cause) {
      const error = toEngineError(cause, 'diskFailed', 'the log could not be deleted')
      logger.error('the log of a deleted topic stays', { log: `${topic}-${index}`, error: error.message })
    }
  }

  /** One change after the other, so that no log is made twice, or made for a topic that is being deleted. */
  #inTurn(body: () => Promise<void>): Promise<void> {
    const ended = this.#turn.then(body)
    this.#turn = ended.catch(() => {})
    return ended
  }
}

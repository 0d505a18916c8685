import type { Metadata } from '../controller/metadata.ts'
import { offsetsLogConfig } from '../coordinator/offsetsLog.ts'
import { EngineError } from '../model/errors.ts'
import type { Logger } from '../model/logger.ts'
import type { Clock } from '../runtime/clock.ts'
import type { BrokerConfig } from './brokerConfig.ts'
import type { Nodes } from './nodes.ts'

/** The topic of the group coordinator's records. */
export const offsetsTopicName = '__consumer_offsets'

/** What `offsets.topic.replication.factor` is unless set, where there are as many brokers. */
const offsetsReplicas = 3
/**
 * How long after the start the offsets topic is not created with fewer replicas than there may be brokers: those that start at
 * the same time may take that long to be there. Milliseconds.
 */
const gatherMs = 10_000

/** Names that may be on their way at the same time; a client that asks for more has to come again. */
const maxPending = 10_000

/** What a `TopicCreator` works with. */
export interface TopicCreatorOptions {
  readonly controller: Metadata
  readonly config: BrokerConfig
  readonly logger: Logger
  readonly nodes: Nodes
  readonly clock: Clock
}

/** Creates topics that nobody asked to create: those that clients name, and the one of the group coordinator. */
export class TopicCreator {
  readonly #controller: Metadata
  readonly #config: BrokerConfig
  readonly #logger: Logger
  readonly #nodes: Nodes
  readonly #clock: Clock
  readonly #startedMs: number
  readonly #pending = new Set<string>()
  #offsetsTopic: Promise<void> | null = null

  constructor(options: TopicCreatorOptions) {
    this.#controller = options.controller
    this.#config = options.config
    this.#logger = options.logger
    this.#nodes = options.nodes
    this.#clock = options.clock
    this.#startedMs = options.clock.monotonicMs()
  }

  /** Begins to create the topics; what comes of it shows in the image. */
  createInBackground(names: readonly string[]): void {
    const topics: { readonly name: string }[] = []
    for (const name of names) {
      if (this.#pending.has(name) || this.#pending.size >= maxPending) continue
      this.#pending.add(name)
      topics.push({ name })
    }
    if (topics.length === 0) return
    this.#controller
      .createTopics(topics)
      .then(
        (outcomes) => {
          for (const outcome of outcomes) {
            if (outcome instanceof EngineError && outcome.code !== 'topicAlreadyExists') {
              this.#logger.warn('a topic was not created', { error: outcome.message })
            }
          }
        },
        (error) => this.#logger.error('topics were not created', { error: String(error) }),
      )
      .finally(() => {
        for (const { name } of topics) this.#pending.delete(name)
      })
  }

  /** Resolves once the topic of the group coordinator is there. Rejects with why it could not be created. */
  ensureOffsetsTopic(): Promise<void> | null {
    if (this.#controller.image.topics.has(offsetsTopicName)) return null
    this.#offsetsTopic ??= this.#createOffsetsTopic().finally(() => {
      this.#offsetsTopic = null
    })
    return this.#offsetsTopic
  }

  /**
   * As set; else three, or as many as there are brokers. Throws `invalidReplicationFactor` while more of them may be on their way,
   * since what the topic begins with it keeps.
   */
  #offsetsReplicas(): number {
    const wanted = this.#config.number('offsets.topic.replication.factor')
    if (wanted > 0) return wanted
    const { cluster } = this.#config
    if (cluster === null) return 1
    const alive = this.#nodes.all().length
    const known = Math.max(this.#controller.image.brokers.size, cluster.voters.length)
    const isEarly = this.#clock.monotonicMs() - this.#startedMs < gatherMs
    if (isEarly && alive < Math.min(offsetsReplicas, known)) {
      throw new EngineError('invalidReplicationFactor', `${alive} of perhaps ${known} brokers are there yet`)
    }
    return Math.min(offsetsReplicas, alive)
  }

  async #createOffsetsTopic(): Promise<void> {
    const [outcome] = await this.#controller.createTopics(
      [
        {
          name: offsetsTopicName,
          numPartitions: this.#config.number('offsets.topic.num.partitions'),
          replicationFactor: this.#offsetsReplicas(),
          configs: [
            // The coordinator rewrites what lives; see docs/decisions/0004-compaction.md.
            { name: 'cleanup.policy', value: 'delete' },
            { name: 'segment.bytes', value: this.#config.texts.get('offsets.topic.segment.bytes')! },
            // Live offsets are kept by rewriting them, never by age, and a group's record can be large.
            { name: 'retention.ms', value: String(offsetsLogConfig.retentionMs) },
            { name: 'retention.bytes', value: String(offsetsLogConfig.retentionBytes) },
            { name: 'max.message.bytes', value: String(offsetsLogConfig.maxMessageBytes) },
            { name: 'message.timestamp.after.max.ms', value: String(offsetsLogConfig.timestampAfterMaxMs) },
          ],
        },
      ],
      { requester: 'broker' },
    )
    if (outcome instanceof EngineError && outcome.code !== 'topicAlreadyExists') throw outcome
  }
}

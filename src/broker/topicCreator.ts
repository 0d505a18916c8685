import type { Metadata } from '../controller/metadata.ts'
import { offsetsLogConfig } from '../coordinator/offsetsLog.ts'
import { EngineError } from '../model/errors.ts'
import type { Logger } from '../model/logger.ts'
import type { BrokerConfig } from './brokerConfig.ts'

/** The topic of the group coordinator's records. */
export const offsetsTopicName = '__consumer_offsets'

/** Names that may be on their way at the same time; a client that asks for more has to come again. */
const maxPending = 10_000

/** Creates topics that nobody asked to create: those that clients name, and the one of the group coordinator. */
export class TopicCreator {
  readonly #controller: Metadata
  readonly #config: BrokerConfig
  readonly #logger: Logger
  readonly #pending = new Set<string>()
  #offsetsTopic: Promise<void> | null = null

  constructor(controller: Metadata, config: BrokerConfig, logger: Logger) {
    this.#controller = controller
    this.#config = config
    this.#logger = logger
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

  async #createOffsetsTopic(): Promise<void> {
    const [outcome] = await this.#controller.createTopics(
      [
        {
          name: offsetsTopicName,
          numPartitions: this.#config.number('offsets.topic.num.partitions'),
          replicationFactor: 1,
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
